"""The voice services of this installation, by name."""

from collections.abc import Sequence

from services.errors import InvalidInput
from services.speech.hibari import Hibari
from services.speech.practice import Practice
from services.speech.provider import Provider

_PROVIDERS: tuple[Provider, ...] = (Hibari(), Practice())
_BY_NAME = {provider.name: provider for provider in _PROVIDERS}


def providers() -> Sequence[Provider]:
    """All of them, the free embedded voice first."""
    return _PROVIDERS


def provider(name: str) -> Provider:
    """The service of that name. Raises `InvalidInput` (field `provider`)."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise InvalidInput(f"There is no voice service called “{name}”.", field="provider") from None
