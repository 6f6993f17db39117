"""ElevenLabs: the paid voices, through the vendor's SDK."""

import random
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from pydantic import SecretStr

from services.errors import (
    AnswerLost,
    AppError,
    Crowded,
    InvalidInput,
    Overloaded,
    PermissionMissing,
    ProviderUnavailable,
    VendorBusy,
)
from services.speech import elevenlabs_shapes as shapes
from services.speech.checks import validate_letters
from services.speech.elevenlabs_errors import free_error, paid_error
from services.speech.elevenlabs_http import Connection, connect, open_http, options
from services.speech.provider import Line, Model, Readiness, Speech, State, Voice, VoiceSettings
from services.speech.slots import Slots, slots_of

if TYPE_CHECKING:
    from elevenlabs import SpeechHistoryItemResponse as HistoryItem
    from elevenlabs.client import ElevenLabs as Client
    from elevenlabs.types import VoiceSettings as VendorSettings

FORMAT = "mp3_44100_128"  # every plan has it
LONGEST_CONTEXT = 1_000  # characters before, and as many after
FREE = options(20.0)  # of each free call: a page may be waiting
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0  # seconds after a 429; doubled each time
HISTORY_ID = re.compile(r"[A-Za-z0-9_-]+")  # it becomes part of an address, unescaped
CLOCK_SKEW = 120  # seconds by which the vendor's clock may be behind ours

T = TypeVar("T")


@dataclass(frozen=True)
class _Moments:
    """Instants on the monotonic clock. What began after `latest` would have too little time for its answer."""

    latest: float  # a call may start
    end: float  # its answer must be here


class ElevenLabs:
    """The voices of one ElevenLabs account. `seconds` is what a call may take where its caller does not say."""

    name = "elevenlabs"
    label = "ElevenLabs"
    paid_outside = True
    local = False
    speeds = (0.7, 1.2)
    takes_stability = True

    def __init__(self, api_key: str | None, base_url: str | None, seconds: float) -> None:
        self._key = SecretStr((api_key or "").strip())
        self._base_url = base_url
        self._seconds = seconds
        self._connection = Connection(self._connect)
        self._confirm: Callable[[], None] = lambda: None

    def confirmed(self, confirm: Callable[[], None]) -> Self:
        """The same account; its paid calls ask `confirm` just before they start and end unbought if it raises."""
        other = copy(self)
        other._confirm = confirm
        return other

    def drop(self) -> None:
        """Close the client once the calls under way have ended. Who uses it again opens another, for that call."""
        self._connection.drop()

    def state(self) -> State:
        key = self._key.get_secret_value()
        if not key:
            return State(readiness=Readiness.NO_KEY, sentence="Set ELEVENLABS_API_KEY to use the ElevenLabs voices.")
        if not (key.isascii() and key.isprintable()):
            return State(
                readiness=Readiness.NO_KEY, sentence="ELEVENLABS_API_KEY has characters that no key has; copy it again."
            )
        if find_spec("elevenlabs") is None:
            return State(
                readiness=Readiness.NOT_INSTALLED, sentence="Run `pip install -r requirements.txt` to get elevenlabs."
            )
        return State(
            readiness=Readiness.READY, sentence="ElevenLabs is set up. Test the connection to see its account."
        )

    def models(self) -> Sequence[Model]:
        return _or_unavailable(lambda: self._ask(_list_models))

    def voices(self) -> Sequence[Voice]:
        return _or_unavailable(lambda: self._ask(lambda client: list(_list_voices(client))))

    def account(self) -> shapes.Account:
        """Plan and credits. Free. Raises `ProviderUnavailable`."""
        return _or_unavailable(lambda: self._ask(_read_account))

    def test(self) -> str:
        try:
            return _describe(self.account())
        except PermissionMissing:
            return (
                f"Connected, limited: this key lists {len(self.models())} models but may not read the account. "
                "Allow it User (read) in ElevenLabs to see the credits here."
            )

    def check(self, text: str) -> None:
        validate_letters(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        """As the protocol says. Waits at most half of `seconds` for its turn, so that a call has the other half."""
        self._validate(line)
        with self._connected() as client:
            return self._admitted(client, line, _Moments(time.monotonic() + seconds / 2, time.monotonic() + seconds))

    def _admitted(self, client: "Client", line: Line, moments: _Moments) -> Speech:
        slots = slots_of(self._key.get_secret_value())
        attempt = 0
        while True:
            try:
                with slots.admit(moments.latest):
                    self._confirm()
                    _require_time(moments)
                    return _buy(client, line, moments.end, slots)
            except Crowded as refusal:
                slots.wait(_pause(attempt, moments.latest, refusal))
            except Overloaded as refusal:
                time.sleep(_pause(attempt, moments.latest, refusal))
            attempt += 1

    def recover(self, line: Line, *, sent_at: datetime, claimed: Collection[str]) -> Speech | None:
        def look(client: "Client") -> Speech | None:
            item = _oldest(_history(client, line.voice, sent_at), line, claimed)
            return _kept(client, item) if item else None

        return self._ask(look)

    def _validate(self, line: Line) -> None:
        validate_letters(line.text)
        if not shapes.VOICE_ID.fullmatch(line.voice):
            raise InvalidInput("This is no ElevenLabs voice. Choose one from the list.", field="voice")
        slowest, fastest = self.speeds
        if not slowest <= line.settings.speed <= fastest:
            raise InvalidInput(f"ElevenLabs speaks at {slowest} to {fastest} times the normal speed.", field="speed")

    @contextmanager
    def _connected(self) -> "Iterator[Client]":
        """The one client of this account. Raises `ProviderUnavailable`."""
        state = self.state()
        if not state.ready:
            raise ProviderUnavailable(state.sentence)
        with self._connection.use() as client:
            yield client

    def _connect(self) -> "tuple[Client, httpx.Client]":
        try:
            http = open_http(self._seconds)
            return connect(self._key.get_secret_value(), self._base_url, self._seconds, http), http
        except Exception as error:  # a broken installation or proxy setting: nothing was sent, so nothing is lost
            cause = type(error).__name__
        raise ProviderUnavailable(
            f"The ElevenLabs client cannot start on this machine ({cause}). "
            "Run `pip install -r requirements.txt` and check the server's proxy settings."
        )

    def _ask(self, question: Callable[["Client"], T]) -> T:
        """A free question. Raises `VendorBusy` where asking again can help, else `ProviderUnavailable`."""
        with self._connected() as client:
            try:
                return question(client)
            except AppError:
                raise
            except Exception as error:  # the SDK does not validate: an odd answer may fail anywhere
                problem = free_error(error)
        raise problem  # out here it has no context: what the vendor sent stays out of tracebacks


def _list_models(client: "Client") -> list[Model]:
    listed = [model for model in client.models.list(request_options=FREE) if model.can_do_text_to_speech]
    return sorted(map(shapes.model_of, listed), key=lambda model: model.id != shapes.DEFAULT_MODEL)


def _list_voices(client: "Client") -> Iterator[Voice]:
    token: str | None = None
    seen: set[str | None] = set()
    while token not in seen:
        seen.add(token)
        page = client.voices.search(page_size=100, next_page_token=token, request_options=FREE)
        yield from (shapes.voice_of(voice) for voice in page.voices if shapes.VOICE_ID.fullmatch(voice.voice_id))
        token = page.next_page_token if page.has_more else None


def _read_account(client: "Client") -> shapes.Account:
    return shapes.account_of(client.user.subscription.get(request_options=FREE))


def _describe(account: shapes.Account) -> str:
    reset = f", new credits on {account.resets_at:%d %b %Y %H:%M} UTC" if account.resets_at else ""
    return f"Connected: plan {account.tier}, {account.used:,} of {account.limit:,} credits used{reset}."


def _or_unavailable(ask: Callable[[], T]) -> T:
    try:
        return ask()
    except VendorBusy as error:
        sentence = str(error)
    raise ProviderUnavailable(sentence)


def _buy(client: "Client", line: Line, end: float, slots: Slots) -> Speech:
    """One paid call; what the vendor sent stays out of its errors and their tracebacks."""
    try:
        return _convert(client, line, end, slots)
    except AppError:
        raise
    except Exception as error:  # whatever is not certain to have cost nothing must count as lost
        _learn(slots, getattr(error, "headers", None))
        problem = paid_error(error)
    raise problem  # out here it has no context


def _convert(client: "Client", line: Line, end: float, slots: Slots) -> Speech:
    with client.text_to_speech.with_raw_response.convert(
        voice_id=line.voice,
        text=line.text,
        model_id=line.model,
        output_format=FORMAT,
        voice_settings=_settings(line.settings),
        request_options=options(end - time.monotonic()),
        **_context(line),
    ) as answer:
        _learn(slots, answer.headers)
        return _speech(answer.headers, b"".join(answer.data))


def _context(line: Line) -> dict[str, Any]:
    if not shapes.takes_context(line.model):
        return {}
    sides = {"previous_text": line.before[-LONGEST_CONTEXT:], "next_text": line.after[:LONGEST_CONTEXT]}
    return {name: text for name, text in sides.items() if text}


def _settings(settings: VoiceSettings) -> "VendorSettings":
    from elevenlabs.types import VoiceSettings as VendorSettings  # noqa: PLC0415 - as slow as the SDK

    return VendorSettings.model_validate(settings.model_dump(exclude_none=True))


def _speech(headers: Mapping[str, str], data: bytes) -> Speech:
    """The answer to a paid call, if it is one: a proxy's page or an answer without its price is not."""
    kind = headers.get("content-type", "")
    if not data or not kind.startswith(("audio/", "application/octet-stream")):
        raise AnswerLost("ElevenLabs' answer holds no audio; it may have been billed.")
    return Speech(data=data, units=_units(headers), vendor_id=headers.get("request-id"))


def _units(headers: Mapping[str, str]) -> Decimal:
    announced = headers.get("character-cost") or headers.get("x-character-count") or ""
    try:
        units = Decimal(announced)
    except InvalidOperation:
        units = Decimal("NaN")
    if not units.is_finite() or units < 0:
        raise AnswerLost("ElevenLabs' answer does not say what it cost; it was billed all the same.")
    return units


def _require_time(moments: _Moments) -> None:
    if time.monotonic() > moments.latest:
        raise VendorBusy("There was no time left for the call. Nothing was bought; it is tried again.")


def _learn(slots: Slots, headers: Mapping[str, str] | None) -> None:
    limit = (headers or {}).get("maximum-concurrent-requests", "")
    if limit.isascii() and limit.isdigit():
        slots.learn(int(limit))


def _pause(attempt: int, latest: float, refusal: VendorBusy) -> float:
    """Seconds until the next try; raises `refusal` if that would be too late."""
    seconds = min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    if time.monotonic() + seconds > latest:
        raise refusal
    return seconds


def _history(client: "Client", voice: str, sent_at: datetime) -> Iterator["HistoryItem"]:
    """What the vendor made in that voice since then, the newest first.

    Its filter by model is a search of unknown strictness, so models are compared here.
    """
    since = int(sent_at.timestamp()) - CLOCK_SKEW
    after: str | None = None
    seen: set[str | None] = set()
    while after not in seen:
        seen.add(after)
        page = client.history.list(
            page_size=100,
            voice_id=voice,
            date_after_unix=since,
            start_after_history_item_id=after,
            request_options=FREE,
        )
        yield from (item for item in page.history if item.date_unix >= since)
        after = page.last_history_item_id if page.has_more else None


def _oldest(items: Iterator["HistoryItem"], line: Line, claimed: Collection[str]) -> "HistoryItem | None":
    matching = [
        item for item in items if _matches(item, line) and not {item.request_id, item.history_item_id} & set(claimed)
    ]
    return min(matching, key=lambda item: item.date_unix, default=None)


def _matches(item: "HistoryItem", line: Line) -> bool:
    """Whether `item` says `line`."""
    return (
        item.voice_id == line.voice
        and item.model_id in (line.model, None)
        and (item.text or "").strip() == line.text.strip()
        and HISTORY_ID.fullmatch(item.history_item_id) is not None
    )


def _kept(client: "Client", item: "HistoryItem") -> Speech:
    if item.character_count_change_to < item.character_count_change_from:
        raise ProviderUnavailable(
            "ElevenLabs has made this speech, but its credits were reset meanwhile: its price is not told."
        )
    with client.history.with_raw_response.get_audio(item.history_item_id, request_options=FREE) as answer:
        data = b"".join(answer.data)
    if not data:
        raise VendorBusy("ElevenLabs has this speech in its history but gave no audio. It is asked again.")
    return Speech(
        data=data,
        units=Decimal(str(item.character_count_change_to)) - Decimal(str(item.character_count_change_from)),
        vendor_id=item.request_id or item.history_item_id,
    )
