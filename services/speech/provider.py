"""What every voice service offers, and the shapes that travel between it and its callers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from services.errors import InvalidInput

LONGEST_TEXT = 40_000  # Unicode code points of one order


class Readiness(StrEnum):
    """How far a service is from speaking."""

    READY = "ready"
    NOT_INSTALLED = "not installed"
    MODEL_MISSING = "model missing"
    NO_KEY = "no key"
    BROKEN = "broken"


@dataclass(frozen=True)
class State:
    """A service's readiness and what to do about it: the exact command, file or setting."""

    readiness: Readiness
    sentence: str

    @property
    def ready(self) -> bool:
        return self.readiness is Readiness.READY


class Voice(BaseModel):
    """One voice of a provider.

    `id` is stable and stored; `language` is a BCP 47 tag such as en-US, or empty where the voice has none.
    `multiplier` tells how many units a character costs beside an ordinary voice; None = the vendor does not say.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    language: str
    description: str = ""
    preview_url: str | None = None
    multiplier: Decimal | None = Decimal(1)


class Model(BaseModel):
    """One model of a provider.

    A text of n characters costs n × `multiplier` × the voice's multiplier units; where the voice's is unknown,
    `dearest` stands in for it. `languages` are BCP 47 tags, empty where the model does not say.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    max_characters: int  # Unicode code points of one request
    multiplier: Decimal = Decimal(1)
    dearest: Decimal = Decimal(1)
    takes_context: bool = False  # whether the text before and after may go along, unspoken
    languages: tuple[str, ...] = ()


class VoiceSettings(BaseModel):
    """How a voice speaks. `speed` is a factor of its normal pace; `stability` (0 lively, 1 even) is for some only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed: float = Field(default=1.0, ge=0.5, le=2.0)
    stability: float | None = Field(default=None, ge=0.0, le=1.0)


NORMAL = VoiceSettings()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One request: a text no longer than the model takes. `before` and `after` are context and are not spoken."""

    text: str
    voice: str
    model: str
    settings: VoiceSettings = NORMAL
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """What a provider gave: an audio file as it came, and what it billed for it.

    `units` are what the price book counts (characters times multipliers, as the vendor announces them);
    `vendor_id` is the vendor's own id of the request, if it has one.
    """

    data: bytes
    units: Decimal
    vendor_id: str | None = None


class Provider(Protocol):
    """A voice service. Its methods may be called from several threads at once."""

    name: str  # the price book's provider
    label: str  # what the operator reads
    paid_outside: bool  # a vendor bills it: a lost answer may have been paid for
    local: bool  # speaks on this machine: no text leaves it
    speeds: tuple[float, float]  # slowest and fastest
    takes_stability: bool

    def state(self) -> State:
        """Whether it could speak here, without trying: quick, local and free."""

    def models(self) -> Sequence[Model]:
        """All models, the default first. Raises `ProviderUnavailable`."""

    def voices(self) -> Sequence[Voice]:
        """All voices, the default first. Raises `ProviderUnavailable`."""

    def test(self) -> str:
        """Say in one sentence what works now. Raises `ProviderUnavailable`. Free."""

    def check(self, text: str) -> None:
        """Raise `InvalidInput` (field `text`) if `text` cannot be spoken. Quick, local and free."""

    def synthesize(self, line: Line, seconds: float) -> Speech:
        """Speak `line` once, within so many seconds.

        Raises `AnswerLost` where the vendor may have billed the call; everything else it raises proves that
        nothing was bought: `InvalidInput`, `ProviderFailed`, `ProviderUnavailable`, `VendorBusy` (try later).
        """


@runtime_checkable
class Recovers(Protocol):
    """A provider whose vendor keeps what it made."""

    def recover(self, line: Line, *, sent_at: datetime, claimed: Collection[str]) -> Speech | None:
        """The answer to a call of `sent_at` that never arrived; None if the vendor has none.

        `claimed` are vendor ids that belong to other calls. Costs nothing. Raises `VendorBusy` or
        `ProviderUnavailable` while the vendor cannot be asked.
        """


def validate_text(text: str, max_characters: int = LONGEST_TEXT) -> None:
    """Raise `InvalidInput` unless `text` has something visible in at most `max_characters` code points."""
    if not text.strip():
        raise InvalidInput("Type a text first: there is nothing to speak yet.", field="text")
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise InvalidInput("This text has only invisible characters. Type it again.", field="text")
    over = len(text) - max_characters
    if over > 0:
        raise InvalidInput(
            f"The text is {over:,} {'character' if over == 1 else 'characters'} too long: "
            f"it has {len(text):,}, and {max_characters:,} fit. Shorten it or speak it in parts.",
            field="text",
        )


def validate_choice(field: Literal["voice", "model"], chosen: str, known: Collection[str]) -> None:
    """Raise `InvalidInput` unless `chosen` is one of the `known` ids."""
    if chosen not in known:
        shown = ", ".join(list(known)[:20])
        raise InvalidInput(f"There is no {field} called “{chosen}” here. Choose from: {shown}.", field=field)
