"""What several voice services check alike."""

import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec

from services.errors import InvalidInput, ProviderUnavailable
from services.speech.provider import Line, Model, State, Voice, validate_choice, validate_text


def is_installed(module: str) -> bool:
    """Whether a top-level module could be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # what a half-installed package or a blocked module raises
        return False


def require_ready(state: State) -> None:
    """Raise `ProviderUnavailable`, saying what to do, unless the service could speak."""
    if not state.ready:
        raise ProviderUnavailable(state.sentence)


def validate_line(line: Line, voices: Sequence[Voice], models: Sequence[Model]) -> None:
    """Raise `InvalidInput` unless the voice and the model are among those, and the text fits the model."""
    validate_choice("voice", line.voice, [voice.id for voice in voices])
    validate_choice("model", line.model, [model.id for model in models])
    validate_text(line.text, next(model.max_characters for model in models if model.id == line.model))


def validate_letters(text: str) -> None:
    """Raise `InvalidInput` (field `text`) unless a voice of some language finds a letter or digit in it."""
    validate_text(text)
    if not any(character.isalnum() for character in text):
        raise InvalidInput("This text has no letter and no digit, so there is nothing to speak.", field="text")


def without_controls(text: str) -> str:
    """The text with spaces for what no voice reads: control characters but line ends, and what is no character."""
    return "".join(
        " " if unicodedata.category(character) in {"Cc", "Cn", "Co", "Cs"} and character != "\n" else character
        for character in text
    )
