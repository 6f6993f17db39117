"""The connection to ElevenLabs: the vendor's SDK over an HTTP client whose time-outs hold for the whole call."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import httpx

if TYPE_CHECKING:
    from elevenlabs.client import ElevenLabs as Client
    from elevenlabs.core.request_options import RequestOptions

CONNECT_SECONDS = 10.0


class Connection:
    """The one client of an account for several threads, made when it is first used.

    Dropped, it is closed as soon as nobody uses it: a call under way may have been paid for.
    """

    def __init__(self, make: "Callable[[], tuple[Client, httpx.Client]]") -> None:
        self._make = make
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._client: Client | None = None
        self._users = 0
        self._dropped = False

    @contextmanager
    def use(self) -> "Iterator[Client]":
        """The client, which stays open while the block runs."""
        with self._lock:
            if self._client is None:
                self._client, self._http = self._make()
            self._users += 1
            client = self._client
        try:
            yield client
        finally:
            with self._lock:
                self._users -= 1
                self._tidy()

    def drop(self) -> None:
        """Nobody needs it any more, apart from whoever uses it now."""
        with self._lock:
            self._dropped = True
            self._tidy()

    def _tidy(self) -> None:
        if self._dropped and self._users == 0 and self._http is not None:
            self._http.close()
            self._http = self._client = None


def connect(key: str, base_url: str | None, seconds: float, http: httpx.Client) -> "Client":
    """A client of one key; a call that names no time-out of its own gets `seconds`. Opens no connection yet."""
    from elevenlabs.client import ElevenLabs as Client  # noqa: PLC0415 - takes a second; pages need it seldom

    return Client(api_key=key, base_url=base_url, timeout=seconds, httpx_client=http)


def open_http(seconds: float) -> httpx.Client:
    """One whose calls end in time; `seconds` is what a call gets that names no time-out."""
    return httpx.Client(
        timeout=seconds,
        follow_redirects=False,  # the key would go along to wherever a redirect leads
        # A kept connection may have been closed by the vendor meanwhile: a paid call on it would count as lost.
        limits=httpx.Limits(max_keepalive_connections=0),
        event_hooks={"request": [_start], "response": [_shorten]},
    )


def options(seconds: float) -> "RequestOptions":
    """No retries behind our back; an answer within `seconds`. Its type says int, httpx takes fractions too."""
    return cast("RequestOptions", {"max_retries": 0, "timeout_in_seconds": max(seconds, 0.001)})


def _start(request: httpx.Request) -> None:
    """Split the time-out between connecting and answering; httpx itself grants the whole to each step."""
    limits = request.extensions["timeout"]
    seconds = limits["read"]
    request.extensions["ends_at"] = time.monotonic() + seconds
    limits["connect"] = min(CONNECT_SECONDS, seconds / 4)
    limits["read"] = seconds - limits["connect"]


def _shorten(response: httpx.Response) -> None:
    """Leave the body what the headers left."""
    ends_at = response.request.extensions["ends_at"]
    response.request.extensions["timeout"]["read"] = max(ends_at - time.monotonic(), 0.001)
    response.stream = _Ending(cast(httpx.SyncByteStream, response.stream), ends_at)


class _Ending(httpx.SyncByteStream):
    """A body that ends in `ReadTimeout` at an instant, however steadily it drips."""

    def __init__(self, body: httpx.SyncByteStream, ends_at: float) -> None:
        self._body = body
        self._ends_at = ends_at

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._body:
            if time.monotonic() > self._ends_at:
                raise httpx.ReadTimeout("The body took too long.")
            yield chunk

    def close(self) -> None:
        self._body.close()
