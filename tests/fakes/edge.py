"""A stand-in for the Edge voices on 127.0.0.1, with their WebSocket messages and their list of voices.

It checks what the service checks: the token, the signature, the order and form of the messages, well-formed SSML.
"""

import asyncio
import json
import re
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from xml.etree import ElementTree

import pytest
from aiohttp import WSMsgType, web

from tests.fakes import sounds

Trouble = Literal["", "hang", "cut", "hang up", "no sound", "strange"]

SSML = "{http://www.w3.org/2001/10/synthesis}"
TICKS = 10_000_000  # a second
PIECE = 720  # bytes of sound in a message


@dataclass(frozen=True)
class Order:
    """One request to speak; `voice` is the list's `Name`."""

    text: str
    voice: str
    rate: int  # per cent above the usual pace

    @property
    def seconds(self) -> float:
        return 0.07 * len(self.text) / (1 + self.rate / 100)


def entry(name: str, gender: str = "Female", **values: Any) -> dict[str, Any]:
    """A voice as the list has it; `name` such as en-US-AriaNeural."""
    locale = "-".join(name.split("-")[:-1])
    return {
        "Name": f"Microsoft Server Speech Text to Speech Voice ({locale}, {name.rsplit('-', maxsplit=1)[-1]})",
        "ShortName": name,
        "Gender": gender,
        "Locale": locale,
        "SuggestedCodec": "audio-24khz-48kbitrate-mono-mp3",
        "FriendlyName": f"Microsoft {name} Online (Natural)",
        "Status": "GA",
        "VoiceTag": {"ContentCategories": ["General"], "VoicePersonalities": [" Friendly", "Positive "]},
    } | values


class FakeEdge:
    """Runs while the `with` block does. Everything public may be changed at any time."""

    def __init__(self) -> None:
        self.voices = [
            entry("af-ZA-AdriNeural"),
            entry("en-US-AnaNeural"),
            entry("en-US-EmmaMultilingualNeural"),
            entry("en-US-AriaNeural"),
            entry("ru-RU-DmitryNeural", "Male"),
        ]
        self.orders: list[Order] = []
        self.listings = 0
        self.status = 200  # of every answer
        self.trouble: Trouble = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def redirect(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the package call here."""
        monkeypatch.setattr("edge_tts.communicate.WSS_URL", f"ws://{self.address}/edge/v1?TrustedClientToken=T")
        monkeypatch.setattr("edge_tts.voices.VOICE_LIST", f"http://{self.address}/voices/list?trustedclienttoken=T")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/voices/list", self._list)
        app.router.add_get("/edge/v1", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def _admit(self, request: web.Request) -> None:
        signed = re.fullmatch(r"[0-9A-F]{16}-[0-9A-F]{64}", request.query.get("Sec-MS-GEC", ""))
        if not signed or "muid=" not in request.headers.get("Cookie", ""):
            raise web.HTTPForbidden
        if self.status != 200:
            raise _failure(self.status)
        if self.trouble == "hang":
            await asyncio.sleep(30)

    async def _list(self, request: web.Request) -> web.Response:
        await self._admit(request)
        self.listings += 1
        return web.Response(text=json.dumps(self.voices))

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        await self._admit(request)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        order = await self._receive(socket)
        self.orders.append(order)
        await self._speak(socket, order)
        await socket.close()
        return socket

    async def _receive(self, socket: web.WebSocketResponse) -> Order:
        config = await _text(socket)
        assert "Path:speech.config\r\n\r\n" in config
        assert '"outputFormat":"audio-24khz-48kbitrate-mono-mp3"' in config
        head, _, body = (await _text(socket)).partition("\r\n\r\n")
        assert "Content-Type:application/ssml+xml" in head
        assert head.endswith("Path:ssml")
        voice = ElementTree.fromstring(body)[0]
        prosody = voice.find(f"{SSML}prosody")
        assert prosody is not None
        return Order(prosody.text or "", voice.attrib["name"], int(prosody.attrib["rate"].removesuffix("%")))

    async def _speak(self, socket: web.WebSocketResponse, order: Order) -> None:
        """A voice is silent for what it cannot read, and the line is closed on an unknown voice."""
        if self.trouble == "hang up" or order.voice not in {voice["Name"] for voice in self.voices}:
            return
        await socket.send_str(_message("turn.start", {"context": {"serviceTag": "s"}}))
        await socket.send_str(_message("strange" if self.trouble == "strange" else "response", {"context": {}}))
        if self.trouble != "no sound" and any(character.isalnum() for character in order.text):
            sound = sounds.mp3(24_000, 48, 10, order.seconds)
            whole = self.trouble != "cut"
            await _send_sound(socket, sound if whole else sound[: len(sound) // 2])
            if not whole:
                return
            await socket.send_str(_message("audio.metadata", _boundary(order)))
            await socket.send_bytes(_sound(b"", "X-RequestId:1\r\nPath:audio\r\n"))
        await socket.send_str(_message("turn.end", {}))


def _failure(status: int) -> web.HTTPException:
    kinds = {403: web.HTTPForbidden, 429: web.HTTPTooManyRequests, 503: web.HTTPServiceUnavailable}
    return kinds[status]()


async def _text(socket: web.WebSocketResponse) -> str:
    message = await socket.receive(5)
    assert message.type is WSMsgType.TEXT
    return str(message.data)


def _message(path: str, body: dict[str, Any]) -> str:
    head = f"X-RequestId:1\r\nContent-Type:application/json; charset=utf-8\r\nPath:{path}\r\n\r\n"
    return head + json.dumps(body)


def _boundary(order: Order) -> dict[str, Any]:
    data = {
        "Offset": 0,
        "Duration": int(order.seconds * TICKS),
        "text": {"Text": order.text, "Length": len(order.text), "BoundaryType": "SentenceBoundary"},
    }
    return {"Metadata": [{"Type": "SentenceBoundary", "Data": data}]}


async def _send_sound(socket: web.WebSocketResponse, sound: bytes) -> None:
    head = "X-RequestId:1\r\nContent-Type:audio/mpeg\r\nX-StreamId:2\r\nPath:audio\r\n"
    for start in range(0, len(sound), PIECE):
        await socket.send_bytes(_sound(sound[start : start + PIECE], head))


def _sound(data: bytes, head: str) -> bytes:
    """The head's length in two bytes, the head, the sound."""
    return len(head).to_bytes(2, "big") + head.encode() + data
