"""Postiz' answers, read into JSON or into an error that says what happened and what to do."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from services.connections import calls, causes
from services.connections import postiz as connection
from services.connections.causes import Cause, Trouble
from services.connections.shapes import VendorShape
from services.errors import (
    Allowance,
    AppError,
    PublishingLimited,
    PublishingMisconfigured,
    PublishingRefused,
    PublishingUnclear,
    PublishingUnreachable,
)
from services.publishing.refusals import refusal
from services.publishing.wire import Answer, Lost

Shape = TypeVar("Shape", bound=VendorShape)
Kind = Literal["read", "tool", "change"]  # a change that got no clear answer may have been made

API = "/api"
CLOUD = "api.postiz.com"
SHORTEST_KEY = 8  # characters; a shorter text may stand in an answer by chance
LONGEST_WAIT = 86_400.0  # seconds
BLOCK_SECONDS = 3600.0  # how long Postiz blocks, where it does not say
SLOW_SECONDS = 60.0  # before anything else is tried again

# What the web app in front of the API shows, or a login page before it.
FRONT = re.compile(rb"_next/|postiz|sign[ -]?in|log[ -]?in|password", re.IGNORECASE)
NO_JSON = object()
KEY_REFUSALS = frozenset({"No API Key found", "Invalid API key", "Invalid OAuth token"})

# Troubles that somebody has to mend; all others may be over by themselves.
LASTING = frozenset(
    {
        Cause.PLACE_FORBIDDEN, Cause.CERTIFICATE_EXPIRED, Cause.CERTIFICATE_NAME, Cause.CERTIFICATE_UNKNOWN,
        Cause.NO_TLS, Cause.TOO_LARGE, Cause.LOGIN_PAGE, Cause.MOVED, Cause.WEB_PAGE, Cause.NOT_JSON, Cause.SHAPE,
        Cause.NO_SUCH_PATH, Cause.WRONG_KEY, Cause.NO_PLAN,
    }
)  # fmt: skip
ELSEWHERE = frozenset({Cause.LOGIN_PAGE, Cause.WEB_PAGE, Cause.NO_SUCH_PATH})
SENTENCES: Mapping[Cause, str] = {
    **causes.SENTENCES,
    **connection.SENTENCES,
    Cause.NO_SUCH_PATH: "{host} answers, but has no such part of the Postiz API at {address}. Check the address; "
    "Postiz has everything that Clipdesk asks for from version 2.20 on.",
}
UNREADABLE = "{host} answered in a way that cannot be read."
UNCLEAR: Mapping[Cause, str] = {
    Cause.FAULT: "Postiz met a fault of its own (status {status}).",
    Cause.ANSWER_SLOW: "{host} took the request but had not answered in full after {seconds:g} seconds.",
    Cause.BROKEN_OFF: "{host} broke the connection off before its answer was complete.",
}
LIST_SHOWS = "Whether it was done shows in Postiz' list; nothing is sent again before."


@dataclass(frozen=True)
class Reader:
    """Reads what one address says to one key; the key is in no error, whatever the other side repeats."""

    address: str
    key: SecretStr = field(repr=False)

    def read(self, shape: type[Shape], answer: Answer, *, kind: Kind, listed_as: str | None = None) -> Shape:
        """The answer in its shape; `listed_as`: the field for an answer that is a bare list.

        Raises as `json` does.
        """
        body = self.json(answer, kind=kind)
        try:
            return shape.read({listed_as: body} if listed_as else body)
        except Trouble:
            error = self._unreadable(answer, Cause.SHAPE, kind)
        raise error

    def json(self, answer: Answer, *, kind: Kind) -> Any:
        """The JSON of a success.

        Raises the errors of `services.publishing.vendor.Vendor`.
        """
        clean = Answer(answer.status, answer.headers, self._without_key(answer.body))
        return self._read(clean, kind)

    def lost(self, lost: Lost, *, kind: Kind) -> AppError:
        """What it means that there was no answer."""
        if kind == "change" and lost.sent:
            return self._unclear(lost.cause, None, **lost.values)
        return self._of_cause(lost.cause, **lost.values)

    def _read(self, answer: Answer, kind: Kind) -> Any:
        if 300 <= answer.status < 400:
            raise self._redirected(answer)
        if answer.status == 429:
            seconds = _pause(answer, kind)
            raise PublishingLimited(_pause_sentence(seconds), seconds=seconds)
        if answer.status == 408 or answer.status >= 500:
            raise self._fault(answer, kind)  # a proxy says 408 of a request that Postiz may have taken, too
        if answer.status == 401 and not answer.body.strip():
            raise PublishingUnreachable(EMPTY_401)
        if answer.status == 401:
            raise self._unauthorised(answer, kind)
        if answer.status == 413:
            raise PublishingRefused(TOO_LARGE)
        return self._parsed(answer, kind)

    def _parsed(self, answer: Answer, kind: Kind) -> Any:
        if _is_page(answer):
            # A 201 is Postiz' own; of other pages, those of its web app and those that ask to sign in took nothing.
            nothing = answer.status >= 400 or (answer.status != 201 and FRONT.search(answer.body))
            raise self._unreadable(answer, Cause.WEB_PAGE, "read" if nothing else kind)
        body = _parse(answer)
        if answer.status >= 400 and answer.body.strip() and body is NO_JSON:
            raise self._of_cause(Cause.NOT_JSON)
        if answer.status >= 400:
            raise self._refused(answer, body if isinstance(body, dict) else {})
        if body is NO_JSON:
            raise self._unreadable(answer, Cause.NOT_JSON, kind)
        return body

    def _refused(self, answer: Answer, body: dict[str, Any]) -> AppError:
        if answer.status in (404, 405) and str(body.get("message", "")).startswith("Cannot "):
            return self._of_cause(Cause.NO_SUCH_PATH)
        return refusal(answer.status, body, allowance(answer.headers))

    def _unauthorised(self, answer: Answer, kind: Kind) -> AppError:
        """To a channel's tool it may be the network's refusal instead of Postiz' own."""
        body = _parse(answer)
        said = body.get("msg") or body.get("message") if isinstance(body, dict) else None
        if said == "No subscription found":
            return self._of_cause(Cause.NO_PLAN)
        if kind == "tool" and isinstance(said, str) and said not in KEY_REFUSALS:
            return PublishingRefused(DEAD_CHANNEL)
        return self._of_cause(Cause.WEB_PAGE if _is_page(answer) else Cause.WRONG_KEY)

    def _fault(self, answer: Answer, kind: Kind) -> AppError:
        if kind == "change":
            return self._unclear(Cause.FAULT, answer, status=answer.status)
        return self._of_cause(Cause.FAULT, status=answer.status)

    def _redirected(self, answer: Answer) -> AppError:
        try:
            calls.read(calls.Answer(self.address, answer.status, answer.headers, b""), lambda status, body: None)
        except Trouble as found:
            trouble = found
        return self._of_cause(trouble.cause, **trouble.values)

    def _unreadable(self, answer: Answer, cause: Cause, kind: Kind) -> AppError:
        """What came in place of a success. Postiz' own answer, spoilt on its way, may be whole the next time."""
        if kind == "change":
            return self._unclear(cause, answer)
        spoilt = answer.status == 201 or (cause is Cause.NOT_JSON and "json" in answer.headers.get("content-type", ""))
        return PublishingUnreachable(self._sentence(UNREADABLE)) if spoilt else self._of_cause(cause)

    def _unclear(self, cause: Cause, answer: Answer | None, **values: object) -> AppError:
        sentence = self._sentence(UNCLEAR.get(cause, UNREADABLE), **values)
        left = allowance(answer.headers) if answer else None
        return PublishingUnclear(f"{sentence} {LIST_SHOWS}", allowance=left)

    def _of_cause(self, cause: Cause, **values: object) -> AppError:
        sentence = self._sentence(SENTENCES[cause], **values)
        if cause not in LASTING:
            return PublishingUnreachable(sentence)
        return PublishingMisconfigured(f"{sentence}{self._hint(cause)}")

    def _sentence(self, template: str, **values: object) -> str:
        where = urlsplit(self.address)
        port = where.port or (443 if where.scheme == "https" else 80)
        sentence = template.format(label="Postiz", address=self.address, host=where.hostname, port=port, **values)
        return self._without_key(sentence.encode()).decode()

    def _hint(self, cause: Cause) -> str:
        """The official image has the API behind /api, and its web app everywhere else."""
        where = urlsplit(self.address)
        if cause not in ELSEWHERE or where.hostname == CLOUD or where.path:
            return ""
        return f" The API is probably at {self.address}{API}."

    def _without_key(self, text: bytes) -> bytes:
        key = self.key.get_secret_value()
        if len(key) < SHORTEST_KEY:
            return text
        return text.replace(json.dumps(key)[1:-1].encode(), "…".encode()).replace(key.encode(), "…".encode())


DEAD_CHANNEL = "The network does not accept Postiz any more for this channel. Reconnect it, then try again."
TOO_LARGE = "This is larger than Postiz, or a proxy before it, takes. Use a smaller file or a shorter text."
EMPTY_401 = (
    "Postiz cannot check the key right now, because of a fault of its own. Nothing was taken; it is tried again."
)


def allowance(headers: httpx.Headers) -> Allowance | None:
    """What a counted answer says of the requests left; None where it does not."""
    limit, left, seconds = (number(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset"))
    if limit is None or left is None or seconds is None:
        return None
    return Allowance(int(limit), int(left), min(seconds, LONGEST_WAIT))


def number(text: str | None) -> float | None:
    """What a header says, unless it is no number from 0 to a million."""
    usable = text is not None and re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,6})?", text.strip())
    return float(text) if text is not None and usable else None


def _pause(answer: Answer, kind: Kind) -> float:
    """Seconds."""
    told = number(answer.headers.get("retry-after"))
    otherwise = BLOCK_SECONDS if kind == "change" else SLOW_SECONDS
    return otherwise if told is None else min(max(math.ceil(told), 1), LONGEST_WAIT)


def _pause_sentence(seconds: float) -> str:
    return (
        f"Postiz got too many requests with this key and takes the next one in {calls.wait(seconds)}. "
        "Whoever runs that Postiz can raise its limit (API_LIMIT)."
    )


def _is_page(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "").lower()
    return bool(answer.body.strip()) and ("html" in kind or answer.body.lstrip()[:1] == b"<")


def _parse(answer: Answer) -> Any:
    """`NO_JSON` where it is none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return NO_JSON
