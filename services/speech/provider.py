"""What every voice service offers, and the shapes that travel between it and its callers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from services.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One voice of a provider. `id` is stable and stored; `language` is a BCP 47 tag such as en-US."""

    id: str
    name: str
    language: str
    description: str


class VoiceSettings(BaseModel):
    """How a voice speaks. `speed` is a factor of its normal pace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speed: float = Field(default=1.0, ge=0.5, le=2.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """Raw speech: mono float32 samples in [-1, 1] at `sample_rate` hertz, not yet levelled or encoded.

    `characters` are the Unicode code points of the text as it was typed; they are what is billed.
    """

    samples: npt.NDArray[np.float32]
    sample_rate: int
    characters: int


class Provider(Protocol):
    """A voice service. Its methods may be called from several threads at once."""

    name: str  # the price book's provider
    label: str  # what the operator reads
    models: tuple[str, ...]  # the price book's models, the default first
    max_characters: int  # Unicode code points of the longest text of one request
    paid_outside: bool  # a vendor bills it, so each step needs a purchase row

    def voices(self) -> Sequence[Voice]:
        """All voices, the default first. Raises `ProviderUnavailable`."""

    def test(self) -> str:
        """Say in one sentence that the service works now. Raises `ProviderUnavailable`."""

    def check(self, text: str) -> None:
        """Raise `InvalidInput` (field `text`) if `text` cannot be spoken. Quick, local and free."""

    def synthesize(self, text: str, *, voice: str, model: str, settings: VoiceSettings) -> Speech:
        """Speak `text` once. Raises `InvalidInput`, `ProviderFailed` or `ProviderUnavailable`."""


def validate_text(text: str, max_characters: int) -> None:
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
        raise InvalidInput(f"There is no {field} called “{chosen}” here. Choose from: {', '.join(known)}.", field=field)
