"""Edge: free, over the network, through an unofficial client of a browser's feature; an optional package."""

import asyncio
import importlib
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, TypeVar

from services.errors import AppError, ProviderFailed, ProviderUnavailable, VendorBusy
from services.speech.checks import (
    is_installed,
    require_ready,
    validate_letters,
    validate_line,
    without_controls,
)
from services.speech.provider import Line, Model, Readiness, Speech, State, Voice

Answer = TypeVar("Answer")

REQUIREMENT = "edge-tts~=7.3.1"
MODEL = Model(id="edge", name="Edge", max_characters=3_000)
DEFAULT = "en-US-AriaNeural"
LISTING = 15.0  # seconds for the list of voices
LIST_LIFE = 3_600.0  # seconds
CONNECTING = 10  # seconds
REFUSED = (
    "Microsoft refuses this client of the Edge voices ({}). That happens when the service changes; "
    f'update the package: pip install --upgrade "{REQUIREMENT}"'
)


class Edge:
    name = "edge"
    label = "Edge (free, needs the network; unofficial: for personal use and testing)"
    paid_outside = False
    local = False
    speeds = (0.5, 2.0)
    takes_stability = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: tuple[float, tuple[Voice, ...]] | None = None  # when, on the monotonic clock, and what

    def state(self) -> State:
        if not is_installed("edge_tts"):
            return State(Readiness.NOT_INSTALLED, f'Edge is not installed: pip install "{REQUIREMENT}"')
        try:
            _package()
        except ProviderUnavailable as error:
            return State(Readiness.BROKEN, str(error))
        return State(Readiness.READY, "Installed. Unofficial: it may stop working without notice.")

    def models(self) -> Sequence[Model]:
        return (MODEL,)

    def voices(self) -> Sequence[Voice]:
        try:
            return self._voices(LISTING)
        except (VendorBusy, ProviderFailed) as error:
            raise ProviderUnavailable(str(error)) from error

    def test(self) -> str:
        with self._lock:
            self._listed = None
        return f"Ready: Edge answers and offers {len(self.voices())} voices. It is unofficial and may stop at any time."

    def check(self, text: str) -> None:
        validate_letters(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        self.check(line.text)
        deadline = time.monotonic() + seconds
        validate_line(line, self._voices(min(seconds, LISTING)), self.models())
        data = _ask(_speak(line), max(deadline - time.monotonic(), 0.0))
        return Speech(data=data, units=Decimal(len(line.text)))

    def _voices(self, seconds: float) -> tuple[Voice, ...]:
        """The list, at most `LIST_LIFE` old. Raises as `_ask` does."""
        require_ready(self.state())
        with self._lock:
            if self._listed is None or time.monotonic() - self._listed[0] > LIST_LIFE:
                self._listed = time.monotonic(), _ask(_list(), seconds)
            return self._listed[1]


async def _list() -> tuple[Voice, ...]:
    voices = [_voice(entry) for entry in await _package().list_voices()]
    if not voices:
        raise ProviderUnavailable("Edge offers no voice at the moment.")
    return tuple(sorted(voices, key=lambda voice: (voice.id != DEFAULT, not voice.id.startswith("en-US"), voice.id)))


def _voice(entry: dict[str, Any]) -> Voice:
    """A multilingual voice follows the text, so it has no language."""
    short, locale = entry["ShortName"], entry["Locale"]
    multilingual = "Multilingual" in short
    own = short.removeprefix(f"{locale}-").removesuffix("Neural").removesuffix("Multilingual")
    traits = [entry.get("Gender", ""), *entry.get("VoiceTag", {}).get("VoicePersonalities", [])]
    return Voice(
        id=short,
        name=f"{own}, multilingual" if multilingual else own,
        language="" if multilingual else locale,
        description=", ".join(trait.strip() for trait in traits if trait),
    )


async def _speak(line: Line) -> bytes:
    """An MP3. Without a final word from the service the sound was cut off, which the package keeps to itself."""
    client = _package().Communicate(
        without_controls(line.text),
        line.voice,
        rate=f"{round((line.settings.speed - 1) * 100):+d}%",
        connect_timeout=CONNECTING,
    )
    data = b"".join([message["data"] async for message in client.stream() if message["type"] == "audio"])
    if client.state["cumulative_audio_bytes"] != len(data):
        raise VendorBusy("The answer of the Edge voices was cut off.")
    return data


def _ask(work: Coroutine[Any, Any, Answer], seconds: float) -> Answer:
    """Raises `VendorBusy`, `ProviderFailed` or `ProviderUnavailable`. In a thread of its own: the caller's may run a
    loop already."""
    with ThreadPoolExecutor(1, "edge") as own:
        return own.submit(_run, work, seconds).result()


def _run(work: Coroutine[Any, Any, Answer], seconds: float) -> Answer:
    """The loop is closed by hand: `asyncio.run` would wait for a name look-up that hangs."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(work, seconds))
    except AppError:
        raise
    except TimeoutError as error:
        raise VendorBusy(f"The Edge voices did not answer within {round(seconds, 1):g} seconds.") from error
    except Exception as error:
        raise _explained(error) from error
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _explained(error: Exception) -> AppError:
    """What a failure of the package means to us."""
    aiohttp, exceptions = importlib.import_module("aiohttp"), _package().exceptions
    match error:
        case exceptions.NoAudioReceived():
            return ProviderFailed("Edge gave no sound for this text. Choose a voice of the text's language.")
        case aiohttp.ClientResponseError(status=status) if status == 429 or status >= 500:
            return VendorBusy(f"The Edge voices are busy ({status}).")
        case aiohttp.ClientResponseError(status=status):
            return ProviderUnavailable(REFUSED.format(status))
        case exceptions.WebSocketError() | aiohttp.ClientError() | OSError():
            return VendorBusy("The Edge voices cannot be reached: is there a network?")
        case exceptions.EdgeTTSException():
            return ProviderUnavailable(REFUSED.format(type(error).__name__))
    return ProviderFailed(f"Edge could not speak this text ({type(error).__name__}).")


def _package() -> Any:
    """The optional package. Raises `ProviderUnavailable` for whatever its import raises."""
    try:
        return importlib.import_module("edge_tts")
    except Exception as error:
        raise ProviderUnavailable(
            f"Edge is installed but cannot be imported ({type(error).__name__}). Install it again: "
            f'pip install --force-reinstall "{REQUIREMENT}"'
        ) from error
