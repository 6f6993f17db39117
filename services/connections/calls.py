"""Calls to one vendor for one test: guarded, bounded in time and size, never redirected, every failure a `Trouble`."""

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from pydantic import SecretStr

from services.connections import transport
from services.connections.causes import Cause, Trouble, cause_of
from services.connections.shapes import counted
from services.connections.transport import GuardedTransport

WHOLE_SECONDS = 15.0  # of a test with all its calls
LARGEST = 1024 * 1024  # bytes of an answer
LOGIN_WORDS = ("login", "signin", "sign-in", "auth", "sso")
LONGEST_TARGET = 200  # characters of a redirect's server that are worth telling


@dataclass(frozen=True)
class Answer:
    """`body` may hold whatever the other side sent: it is neither shown nor logged."""

    url: str
    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)


Refusals = Callable[[int, Any], Trouble | None]  # what a vendor's own refusal means, from its status and JSON


class Caller:
    """Calls with one key in one header, to no address that `private` does not allow; ends after `WHOLE_SECONDS`."""

    def __init__(self, header: str, key: SecretStr, *, private: bool) -> None:
        ends_at = time.monotonic() + WHOLE_SECONDS
        # No client around it: that one would parse redirects and fail on odd ones, and keep cookies.
        self._transport = GuardedTransport(private=private, ends_at=ends_at)
        self._headers = {header: key.get_secret_value(), "accept": "application/json", "accept-encoding": "identity"}
        self._timeout = httpx.Timeout(WHOLE_SECONDS, connect=transport.CONNECT_SECONDS).as_dict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def get(self, url: str, refusals: Refusals, **query: str | int) -> Any:
        """The JSON of the answer. Raises `Trouble`."""
        return read(self._ask("GET", url, params=query or None), refusals)

    def post(self, url: str, refusals: Refusals, body: dict[str, Any]) -> Any:
        """As `get`."""
        return read(self._ask("POST", url, json=body), refusals)

    def _ask(self, method: str, url: str, **content: Any) -> Answer:
        timeout = {"timeout": self._timeout}
        request = httpx.Request(method, url, headers=self._headers, extensions=timeout, **content)
        try:
            with closing(self._transport.handle_request(request)) as response:
                return Answer(url, response.status_code, response.headers, _bounded(response))
        except httpx.TransportError as error:
            trouble = _lost(cause_of(error))
        raise trouble  # out here it has no context: the request stays out of tracebacks


def read(answer: Answer, refusals: Refusals) -> Any:
    """The JSON of an answer that is the API's and no refusal. Raises `Trouble`."""
    if 300 <= answer.status < 400:
        raise _redirected(answer)
    if answer.status == 429 or answer.status >= 500:
        raise _told(answer, refusals) or _busy(answer)
    body = _parse(answer)
    if answer.status >= 400:
        raise refusals(answer.status, body) or _refused(answer.status)
    return body


def wait(seconds: float | None) -> str:
    """A pause in words."""
    if seconds is None or not 0 < seconds < 86_400:
        return "a few minutes"
    if seconds <= 120:
        return counted(math.ceil(seconds), "second")
    return counted(math.ceil(seconds / 60), "minute")


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_raw():  # undecoded: a small compressed body could become a large one
        body += piece
        if len(body) > LARGEST:
            raise Trouble(Cause.TOO_LARGE, megabytes=LARGEST // 1024 // 1024)
    return bytes(body)


def _lost(cause: Cause) -> Trouble:
    seconds = transport.CONNECT_SECONDS if cause is Cause.CONNECT_SLOW else WHOLE_SECONDS
    return Trouble(cause, seconds=seconds)


def _redirected(answer: Answer) -> Trouble:
    """To a login page, or to another server. Only that server is told: the rest of the target may hold secrets."""
    try:
        target = httpx.URL(answer.url).join(answer.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        return Trouble(Cause.LOGIN_PAGE)
    origin = _origin(target)
    login = any(word in f"{target.host}{target.path}".lower() for word in LOGIN_WORDS)
    if login or origin == _origin(httpx.URL(answer.url)) or not _tellable(target, origin):
        return Trouble(Cause.LOGIN_PAGE)
    return Trouble(Cause.MOVED, target=origin)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _tellable(target: httpx.URL, origin: str) -> bool:
    return target.scheme in ("http", "https") and bool(target.host) and len(origin) <= LONGEST_TARGET


def _told(answer: Answer, refusals: Refusals) -> Trouble | None:
    try:
        return refusals(answer.status, json.loads(answer.body))
    except (ValueError, RecursionError):
        return None


def _busy(answer: Answer) -> Trouble:
    if answer.status != 429:
        return Trouble(Cause.FAULT, status=answer.status)
    seconds = answer.headers.get("retry-after", "")
    return Trouble(Cause.RATE_LIMIT, wait=wait(float(seconds) if seconds.isascii() and seconds.isdigit() else None))


def _parse(answer: Answer) -> Any:
    if "html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == b"<":
        raise Trouble(Cause.WEB_PAGE)
    if not answer.body and answer.status >= 400:
        return {}
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        trouble = Trouble(Cause.NOT_JSON)
    raise trouble


def _refused(status: int) -> Trouble:
    return Trouble(STATUSES.get(status, Cause.STATUS), status=status)


STATUSES: Mapping[int, Cause] = {
    401: Cause.WRONG_KEY,
    402: Cause.NO_PLAN,
    403: Cause.LIMITED_KEY,
    404: Cause.NO_SUCH_PATH,
    405: Cause.NO_SUCH_PATH,
}
