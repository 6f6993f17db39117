"""One call over a connection of its own: guarded, bounded in time and size, never redirected, never repeated."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import httpx

from services.connections import transport
from services.connections.causes import Cause, cause_of
from services.connections.transport import GuardedTransport


@dataclass(frozen=True)
class Answer:
    """`body` may hold whatever the other side sent."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


class Lost(Exception):
    """There is no answer. `sent`: the beginning of the body may have arrived. `values` fill the cause's sentence."""

    def __init__(self, cause: Cause, *, sent: bool, **values: float) -> None:
        super().__init__(cause)
        self.cause = cause
        self.sent = sent
        self.values = values


class Overslept(Exception):
    """The body did not begin to leave in time, so nothing was taken."""


def awake() -> float:
    """Seconds on a clock that goes on while the machine sleeps, which Linux' `time.monotonic` does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.time()


def call(request: httpx.Request, *, private: bool, seconds: float, largest: int, before: float | None = None) -> Answer:
    """The answer of at most `largest` bytes, complete after `seconds`. Raises `Lost`.

    `before`: the instant of `awake` from which on the body does not begin to leave; then `Overslept` is raised.
    No connection is kept for the next call: the other side may close it in the moment in which that one is sent, and
    nobody could tell whether it arrived.
    """
    body = _Body(request.stream, before)
    request.stream = body
    request.extensions = {"timeout": httpx.Timeout(seconds, connect=transport.CONNECT_SECONDS).as_dict()}
    guarded = GuardedTransport(private=private, ends_at=time.monotonic() + seconds)
    try:
        with closing(guarded), closing(guarded.handle_request(request)) as response:
            return Answer(response.status_code, response.headers, _bounded(response, largest))
    except httpx.TransportError as error:
        lost = _lost(cause_of(error), body.begun, seconds)
    if body.overslept:
        raise Overslept("The machine slept.")
    raise lost  # out here it has no context: the request with its key stays out of tracebacks


def _lost(cause: Cause, sent: bool, seconds: float) -> Lost:
    granted = min(transport.CONNECT_SECONDS, seconds) if cause is Cause.CONNECT_SLOW else seconds
    return Lost(cause, sent=sent, seconds=round(granted))


class _Body(httpx.SyncByteStream):
    """What is sent; `begun` is true before the first byte of it leaves, which it does not from `before` on."""

    def __init__(self, inner: httpx.SyncByteStream | httpx.AsyncByteStream, before: float | None) -> None:
        if not isinstance(inner, httpx.SyncByteStream):
            raise TypeError("Only what can be read in a thread can be sent.")
        self._inner = inner
        self._before = before
        self.begun = False
        self.overslept = False

    def __iter__(self) -> Iterator[bytes]:
        if self._before is not None and awake() >= self._before:
            self.overslept = True
            raise httpx.WriteTimeout("Too late.")
        self.begun = True
        yield from self._inner


def _bounded(response: httpx.Response, largest: int) -> bytes:
    """Of a web page its beginning is enough: it is no answer of the API."""
    page = "html" in response.headers.get("content-type", "").lower()
    body = bytearray()
    for piece in response.iter_raw():  # undecoded: a small compressed body could become a large one
        body += piece
        if len(body) > largest and page:
            break
        if len(body) > largest:
            raise Lost(Cause.TOO_LARGE, sent=True, megabytes=largest // 1024 // 1024)
    return bytes(body)
