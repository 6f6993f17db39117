"""The voice services of this installation, by name."""

import functools
from collections.abc import Sequence

from services.config import settings
from services.errors import InvalidInput
from services.speech.coqui import Coqui
from services.speech.edge import Edge
from services.speech.hibari import Hibari
from services.speech.kokoro import Kokoro
from services.speech.practice import Practice
from services.speech.provider import Provider

_HIBARI = Hibari()
_PRACTICE = Practice(_HIBARI)
_KOKORO = Kokoro()
_COQUI = Coqui()
_EDGE = Edge()


def providers() -> Sequence[Provider]:
    """All of them in the order they are offered: the free embedded voice first, the unofficial one last."""
    set_up = settings()
    elevenlabs = _elevenlabs(set_up.elevenlabs_api_key, set_up.elevenlabs_url, set_up.elevenlabs_seconds)
    return (_HIBARI, _PRACTICE, elevenlabs, _KOKORO, _COQUI, _EDGE)


def provider(name: str) -> Provider:
    """The service of that name. Raises `InvalidInput` (field `provider`)."""
    for known in providers():
        if known.name == name:
            return known
    raise InvalidInput(f"There is no voice service called “{name}”.", field="provider")


@functools.lru_cache(maxsize=1)
def _elevenlabs(api_key: str | None, url: str | None, seconds: float) -> Provider:
    """One as long as the account stays the same: it keeps count of the calls under way."""
    from services.speech.elevenlabs import ElevenLabs  # noqa: PLC0415 - only where voices are asked for

    return ElevenLabs(api_key, url, seconds)
