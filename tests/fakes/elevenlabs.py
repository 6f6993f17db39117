"""A stand-in for ElevenLabs on 127.0.0.1: the vendor's wire format, its refusals, its history, and a bill of its own.

Point a client at it with `base_url=fake.url`. A charge is put on `fake.bill` in the moment the vendor accepts to
generate, whatever becomes of the answer: what the product books is compared with that list.
"""

import contextlib
import json
import re
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, get_args
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from tests.fakes import elevenlabs_wire as wire
from tests.fakes import sounds
from tests.fakes.elevenlabs_wire import Account, Charge, Item, Model, Voice, default_models, default_voices

__all__ = ["Account", "Charge", "FakeElevenLabs", "Kind", "Model", "Request", "Route", "Voice"]

Route = Literal[
    "text-to-speech", "subscription", "models", "voices", "voice", "history", "history-item", "history-audio"
]
Kind = Literal[
    "delay_before",  # wait `seconds`, then go on and bill
    "lost_before",  # close the socket: no byte, no bill
    "html_before",  # 200 text/html, no bill
    "error_before",  # `status` (5xx), no bill
    "refuse",  # `status` and `code` of the vendor's own error body, no bill
    "too_many_concurrent_requests",  # 429, no bill
    "system_busy",  # 429, no bill
    "delay",  # all below: after the bill. Wait `seconds`
    "lost",  # close the socket without a byte
    "html",  # 200 text/html
    "error",  # `status` (5xx)
    "cut",  # close the socket after half of the body
    "garbage",  # bytes that are no sound (no JSON), announced as usual
    "empty",  # a body of no bytes
    "silence",  # a sound file without sound; the history has the same
    "wrong_format",  # WAV of 8 kHz; the history has the same
    "no_cost",  # no character-cost header
    "late_history",  # the history shows the item `late` seconds after the bill
]

ERROR_FIELDS = ("type", "code", "status", "message", "request_id")
CHUNK = 16 * 1024  # bytes of one piece of a stream
SHORTEST = 0.5  # seconds of the shortest sound
HTML = b"<!doctype html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"

_ROUTES: tuple[tuple[Route, str, str, str], ...] = (
    ("text-to-speech", "POST", r"/v1/text-to-speech/([^/]+)", "text_to_speech"),
    ("subscription", "GET", r"/v1/user/subscription", "user_read"),
    ("models", "GET", r"/v1/models", "models_read"),
    ("voices", "GET", r"/v2/voices", "voices_read"),
    ("voice", "GET", r"/v1/voices/([^/]+)", "voices_read"),
    ("history", "GET", r"/v1/history", "speech_history_read"),
    ("history-item", "GET", r"/v1/history/([^/]+)", "speech_history_read"),
    ("history-audio", "GET", r"/v1/history/([^/]+)/audio", "speech_history_read"),
)
_BUSY = {
    "too_many_concurrent_requests": "Too many concurrent requests. Your subscription does not allow more at a time.",
    "system_busy": "The system is experiencing heavy traffic, please try again later.",
}
_MODERN_CODES = {"too_many_concurrent_requests": "concurrent_limit_exceeded"}  # elsewhere code and status are one word
_TYPES = {
    400: "validation_error",
    401: "authentication_error",
    402: "payment_required",
    404: "not_found",
    429: "rate_limit_error",
}


class Request(NamedTuple):
    """A request as it arrived. `query` has the last value of each parameter."""

    method: str
    path: str
    key: str
    query: dict[str, str]
    body: dict[str, Any]


@dataclass
class _Trouble:
    kinds: frozenset[str] = frozenset()
    times: int | None = 1
    seconds: float = 0.0
    late: float = 0.0
    status: int = 500
    code: str = "internal_server_error"
    containing: str = ""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    streamed: bool = False
    cut: bool = False


@dataclass(frozen=True)
class _Call:
    route: Route
    subject: str
    request: Request
    query: dict[str, list[str]]
    account: Account
    trouble: _Trouble


@dataclass(frozen=True)
class _Order:
    voice: Voice
    model: Model
    text: str
    output_format: str


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, param: str | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param


class _Unprocessable(Exception):
    """A request that its schema refuses; the vendor answers with a list."""

    def __init__(self, kind: str, place: list[str], message: str):
        super().__init__(message)
        self.problem = {"type": kind, "loc": place, "msg": message, "input": None}


class FakeElevenLabs:
    """The service, running while the `with` block does. Everything public may be changed at any time.

    `voices` and `models` are dicts by id in listing order: delete an entry and the vendor no longer has it.
    """

    def __init__(self) -> None:
        self.bill: list[Charge] = []
        self.requests: list[Request] = []
        self.voices: dict[str, Voice] = {voice.id: voice for voice in default_voices()}
        self.models: dict[str, Model] = {model.id: model for model in default_models()}
        self.accounts: dict[str, Account] = {}
        self.bill_factor = Decimal(1)
        self.seconds_per_character = 0.06
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.on_billed: Callable[[Charge], None] = lambda charge: None
        self.quota_status = 401  # the vendor has answered 402 too
        self.error_fields: tuple[str, ...] = ERROR_FIELDS  # older answers have ("status", "message") only
        self.key = self.account().key
        self._troubles: dict[str, list[_Trouble]] = {route: [] for route in get_args(Route)}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def account(self, key: str | None = None, **values: Any) -> Account:
        """Open an account; `values` are fields of `Account`. The key is made up unless given."""
        account = Account(key or f"sk_{uuid4().hex}", **values)
        self.accounts[account.key] = account
        return account

    def misbehave(
        self,
        route: Route,
        *kinds: Kind,
        times: int | None = 1,
        seconds: float = 0.2,
        late: float = 1.0,
        status: int = 500,
        code: str = "internal_server_error",
        containing: str = "",
    ) -> None:
        """Let the next requests of `route` meet `kinds`, all of them on each; None times = until `behave`.

        Calls queue up: the first fitting one serves its `times` requests, then the next. `containing` limits it to
        texts with that part. Raises `ValueError` for an unknown route or kind.
        """
        unknown = {route} - set(get_args(Route)) | set(kinds) - set(get_args(Kind))
        if unknown or not kinds:
            raise ValueError(f"No such misbehaviour: {sorted(unknown)}")
        trouble = _Trouble(frozenset(kinds), times, seconds, late, status, code, containing)
        with self._lock:
            self._troubles[route].append(trouble)

    def behave(self) -> None:
        """Forget every misbehaviour."""
        with self._lock:
            for waiting in self._troubles.values():
                waiting.clear()

    def billed(self, key: str | None = None) -> Decimal:
        """Credits billed so far, of all keys or of one."""
        return sum((charge.credits for charge in list(self.bill) if key in (None, charge.key)), Decimal(0))

    def answer(self, request: Request, query: dict[str, list[str]]) -> _Answer | None:
        """What the service answers; None = it hangs up."""
        self.requests.append(request)
        try:
            return self._serve(self._admit(request, query))
        except _Refused as refused:
            return self._refusal(refused)
        except _Unprocessable as refused:
            return _json({"detail": [refused.problem]}, 422)

    def _admit(self, request: Request, query: dict[str, list[str]]) -> _Call:
        for route, method, pattern, permission in _ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                account = self._authorise(request.key, permission)
                trouble = self._next_trouble(route, str(request.body.get("text", "")))
                return _Call(route, (*found.groups(), "")[0], request, query, account, trouble)
        raise _Refused(404, "", "Not Found")

    def _authorise(self, key: str, permission: str) -> Account:
        if not key:
            raise _Refused(401, "needs_authorization", "Neither authorization header nor xi-api-key received.")
        account = self.accounts.get(key)
        if account is None:
            raise _Refused(401, "invalid_api_key", "Invalid API key")
        if permission not in account.permissions:
            message = f"The API key you used is missing the permission {permission} to execute this operation."
            raise _Refused(401, "missing_permissions", message)
        return account

    def _next_trouble(self, route: Route, text: str) -> _Trouble:
        with self._lock:
            for trouble in self._troubles[route]:
                if trouble.containing in text and trouble.times != 0:
                    trouble.times = trouble.times and trouble.times - 1
                    return trouble
        return _Trouble()

    def _serve(self, call: _Call) -> _Answer | None:
        with self._slot(call) as running:
            if "lost_before" in call.trouble.kinds:
                return None
            if "html_before" in call.trouble.kinds:
                return _Answer(200, HTML, "text/html")
            self._stumble(call.trouble)
            return self._spoil(call.trouble, self._work(call, running))

    @contextlib.contextmanager
    def _slot(self, call: _Call) -> Iterator[int]:
        """Hold one of the account's places while it generates; free again before the answer is written."""
        account = call.account
        if call.route != "text-to-speech":
            yield 0
            return
        with self._lock:
            if account.running >= account.concurrency:
                raise _Refused(429, "too_many_concurrent_requests", _BUSY["too_many_concurrent_requests"])
            account.running += 1
            running = account.running
        try:
            yield running
        finally:
            with self._lock:
                account.running -= 1

    def _stumble(self, trouble: _Trouble) -> None:
        """What may go wrong before anything is billed."""
        if "delay_before" in trouble.kinds:
            self._closing.wait(trouble.seconds)
        for code, message in _BUSY.items():
            if code in trouble.kinds:
                raise _Refused(429, code, message)
        if trouble.kinds & {"refuse", "error_before"}:
            raise _Refused(trouble.status, trouble.code, "The request could not be served.")

    def _spoil(self, trouble: _Trouble, answer: _Answer) -> _Answer | None:
        """What may go wrong with a finished answer."""
        kinds = trouble.kinds
        if "delay" in kinds:
            self._closing.wait(trouble.seconds)
        if "lost" in kinds:
            return None
        if "html" in kinds:
            return _Answer(200, HTML, "text/html")
        if "error" in kinds:
            return self._refusal(_Refused(trouble.status, trouble.code, "Something went wrong."))
        if "garbage" in kinds:
            answer = replace(answer, body=bytes(range(1, 120)) * 20)
        if "empty" in kinds:
            answer = replace(answer, body=b"")
        if "no_cost" in kinds:
            answer = replace(answer, headers={k: v for k, v in answer.headers.items() if k != "character-cost"})
        return replace(answer, cut="cut" in kinds)

    def _refusal(self, refused: _Refused) -> _Answer:
        if not refused.code:
            return _json({"detail": refused.message}, refused.status)
        whole = {
            "type": _TYPES.get(refused.status, "internal_error"),
            "code": _MODERN_CODES.get(refused.code, refused.code),
            "status": refused.code,
            "message": refused.message,
            "request_id": uuid4().hex,
        }
        detail = {name: value for name, value in whole.items() if name in self.error_fields}
        if refused.param and "code" in detail:
            detail["param"] = refused.param
        return _json({"detail": detail}, refused.status)

    def _work(self, call: _Call, running: int) -> _Answer:
        answers: dict[Route, Callable[[], _Answer]] = {
            "text-to-speech": lambda: self._speak(call, running),
            "subscription": lambda: _json(wire.subscription_json(call.account)),
            "models": lambda: _json([wire.model_json(model) for model in list(self.models.values())]),
            "voices": lambda: _json(self._voices(call)),
            "voice": lambda: _json(wire.voice_json(self._known_voice(call.subject))),
            "history": lambda: _json(self._history(call)),
            "history-item": lambda: _json(wire.item_json(self._kept(call))),
            "history-audio": lambda: self._sound_of(self._kept(call)),
        }
        return answers[call.route]()

    def _speak(self, call: _Call, running: int) -> _Answer:
        order = self._order(call)
        item = self._generate(call, order)
        self.on_billed(item.charge)
        headers = {
            "character-cost": wire.plain(item.charge.credits),
            "request-id": item.charge.request_id,
            "history-item-id": item.id,
            "current-concurrent-requests": str(running),
            "maximum-concurrent-requests": str(call.account.concurrency),
        }
        return _Answer(200, item.audio, item.content_type, headers, streamed=True)

    def _order(self, call: _Call) -> _Order:
        """Raises what the vendor refuses before it looks at the account."""
        body = call.request.body
        text = body.get("text")
        if not isinstance(text, str):
            raise _Unprocessable("missing", ["body", "text"], "Field required")
        if not text:
            raise _Unprocessable("string_too_short", ["body", "text"], "String should have at least 1 character")
        if call.account.unusual_activity:
            raise _Refused(401, "detected_unusual_activity", "Unusual activity detected. Free Tier usage disabled.")
        voice = self._known_voice(call.subject)
        if voice.paid_only and call.account.tier == "free":
            message = "Free users cannot use library voices via the API. Please upgrade your subscription."
            raise _Refused(402, "paid_plan_required", message)
        model = self._known_model(str(body.get("model_id") or "eleven_multilingual_v2"))
        _check_settings(body.get("voice_settings") or {})
        _check_model(model, text, body)
        output_format = call.request.query.get("output_format", "mp3_44100_128")
        if not re.fullmatch(r"mp3_(22050_32|24000_48|44100_(32|64|96|128|192))", output_format):
            raise _Refused(400, "invalid_output_format", f"{output_format} is not made here.", "output_format")
        return _Order(voice, model, text, output_format)

    def _known_voice(self, voice_id: str) -> Voice:
        voice = self.voices.get(voice_id)
        if voice is None:
            raise _Refused(404, "voice_not_found", f"A voice with voice_id '{voice_id}' was not found.", "voice_id")
        return voice

    def _known_model(self, model_id: str) -> Model:
        model = self.models.get(model_id)
        if model is None:
            message = f"A model with model ID {model_id} does not exist or is not available to you."
            raise _Refused(400, "model_not_found", message, "model_id")
        return model

    def _generate(self, call: _Call, order: _Order) -> Item:
        request_id = uuid4().hex
        audio, content_type = self._sound(call.trouble, order, request_id)
        credits = len(order.text) * order.model.multiplier * order.voice.multiplier * self.bill_factor
        account = call.account
        with self._lock:
            self._check_quota(account, credits)
            charge = Charge(account.key, request_id, order.voice.id, order.model.id, order.text, credits, self.clock())
            late = call.trouble.late if "late_history" in call.trouble.kinds else 0
            item = Item(
                id=uuid4().hex[:20],
                charge=charge,
                voice_name=order.voice.name,
                category=order.voice.category,
                used_before=account.used,
                audio=audio,
                content_type=content_type,
                output_format=order.output_format,
                visible_at=charge.at + timedelta(seconds=late),
            )
            account.used += credits
            account.history.append(item)
            self.bill.append(charge)
        return item

    def _check_quota(self, account: Account, credits: Decimal) -> None:
        left = account.credits - account.used
        if credits > left:
            message = (
                f"This request exceeds your quota of {wire.plain(account.credits)}. You have {wire.plain(left)} "
                f"credits remaining, while {wire.plain(credits)} credits are required for this request."
            )
            raise _Refused(self.quota_status, "quota_exceeded", message)

    def _sound(self, trouble: _Trouble, order: _Order, request_id: str) -> tuple[bytes, str]:
        seconds = max(SHORTEST, len(order.text) * self.seconds_per_character)
        if "wrong_format" in trouble.kinds:
            return sounds.wav(seconds), "audio/wav"
        pitch = 0 if "silence" in trouble.kinds else 6 + zlib.crc32(f"{order.voice.id} {order.text}".encode()) % 14
        _, rate, kilobits = order.output_format.split("_")
        return sounds.tag(request_id) + sounds.mp3(int(rate), int(kilobits), pitch, seconds), "audio/mpeg"

    def _voices(self, call: _Call) -> dict[str, Any]:
        query = call.request.query
        size = _whole(query, "page_size", 10, 100)
        start = int(query.get("next_page_token") or 0)
        wanted = set(call.query.get("voice_ids", ()))
        found = [
            voice
            for voice in list(self.voices.values())
            if _mentions(voice, query.get("search", "")) and (not wanted or voice.id in wanted)
        ]
        more = len(found) > start + size
        return {
            "voices": [wire.voice_json(voice) for voice in found[start : start + size]],
            "has_more": more,
            "total_count": len(found),
            "next_page_token": str(start + size) if more else None,
        }

    def _visible(self, account: Account) -> list[Item]:
        now = self.clock()
        with self._lock:
            return [item for item in account.history if item.visible_at <= now]

    def _kept(self, call: _Call) -> Item:
        for item in self._visible(call.account):
            if item.id == call.subject:
                return item
        raise _Refused(404, "history_item_not_found", f"History item '{call.subject}' was not found.")

    def _sound_of(self, item: Item) -> _Answer:
        return _Answer(200, item.audio, item.content_type, streamed=True)

    def _history(self, call: _Call) -> dict[str, Any]:
        query = call.request.query
        size = _whole(query, "page_size", 100, 1000)
        if query.get("model_id") and not query.get("source"):
            raise _Unprocessable("missing", ["query", "source"], "source is required with model_id")
        items = [item for item in self._visible(call.account) if _fits(item, query)]
        if query.get("sort_direction", "desc") == "desc":
            items.reverse()
        after = query.get("start_after_history_item_id")
        start = next((place for place, item in enumerate(items, 1) if item.id == after), 0)
        page = items[start : start + size]
        return {
            "history": [wire.item_json(item) for item in page],
            "last_history_item_id": page[-1].id if page else None,
            "has_more": len(items) > start + size,
            "scanned_until": None,
        }


def _check_settings(settings: dict[str, Any]) -> None:
    for name, low, high in (("stability", 0.0, 1.0), ("similarity_boost", 0.0, 1.0), ("speed", 0.7, 1.2)):
        value = settings.get(name)
        if value is not None and not low <= value <= high:
            message = f"Invalid setting for {name} received, expected to be between {low} and {high}, got {value}."
            raise _Refused(400, "invalid_voice_settings", message, name)


def _check_model(model: Model, text: str, body: dict[str, Any]) -> None:
    if not model.speaks:
        raise _Refused(400, "unsupported_model", f"Model {model.id} cannot do text to speech.", "model_id")
    if not model.takes_context and (body.get("previous_text") or body.get("next_text")):
        message = f"Providing previous_text or next_text is not yet supported with the '{model.id}' model."
        raise _Refused(400, "unsupported_model", message, "model_id")
    if len(text) > model.max_characters:
        message = (
            f"This request's text has {len(text)} characters and exceeds the character limit "
            f"of {model.max_characters} characters for model {model.id}."
        )
        raise _Refused(400, "max_character_limit_exceeded", message, "text")


def _whole(query: dict[str, str], name: str, default: int, most: int) -> int:
    value = query.get(name) or str(default)
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise _Unprocessable("int_range", ["query", name], f"Input should be between 1 and {most}")
    return int(value)


def _mentions(voice: Voice, search: str) -> bool:
    searched = " ".join((voice.name, voice.description, voice.category, *voice.labels.values()))
    return search.casefold() in searched.casefold()


def _fits(item: Item, query: dict[str, str]) -> bool:
    charge, date = item.charge, int(item.charge.at.timestamp())
    return (
        query.get("voice_id") in (None, charge.voice)
        and query.get("model_id") in (None, charge.model)
        and query.get("source") in (None, "TTS")
        and query.get("search", "").casefold() in charge.text.casefold()
        and int(query.get("date_after_unix", date)) <= date < int(query.get("date_before_unix", date + 1))
    )


def _json(value: Any, status: int = 200) -> _Answer:
    return _Answer(status, json.dumps(value).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: FakeElevenLabs):
        self.fake = fake
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # the parent asks for the host's name as well, which can take seconds

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # clients under test are killed, time out and hang up
            super().handle()

    def _handle(self) -> None:
        where = urlsplit(self.path)
        query = parse_qs(where.query)
        body = self._body()
        latest = {name: values[-1] for name, values in query.items()}
        key = self.headers.get("xi-api-key", "")
        answer = self.server.fake.answer(Request(self.command, where.path, key, latest, body), query)
        if answer is None:
            self._hang_up()
        else:
            self._send(answer)

    def _body(self) -> dict[str, Any]:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        with contextlib.suppress(ValueError):
            body = json.loads(raw)
            return body if isinstance(body, dict) else {}
        return {}

    def _send(self, answer: _Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"content-type": answer.content_type, **answer.headers}.items():
            self.send_header(name, value)
        if answer.streamed:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        sent = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
        self._stream(sent) if answer.streamed else self.wfile.write(sent)
        if answer.cut:
            self._hang_up()
        elif answer.streamed:
            self.wfile.write(b"0\r\n\r\n")

    def _stream(self, body: bytes) -> None:
        for start in range(0, len(body), CHUNK):
            piece = body[start : start + CHUNK]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
