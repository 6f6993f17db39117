"""What a test of a connection found."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Provider = Literal["elevenlabs", "gemini", "postiz"]
LABELS: Mapping[Provider, str] = {"elevenlabs": "ElevenLabs", "gemini": "Gemini", "postiz": "Postiz"}


class Found(BaseModel):
    """One sentence for the operator, and plain JSON without secrets for pages and later steps.

    Facts, as far as the vendor told them: `tier`, `credits_used`, `credits_limit`, `resets_at` (ISO 8601, UTC),
    `models` [{id, name}], `missing` (permissions the key lacks), `address` (Postiz: the one that works),
    `channels` [{id, name, identifier, picture, disabled, profile}].
    """

    model_config = ConfigDict(frozen=True)

    ok: bool
    message: str
    passing: bool = False  # not ok, of a trouble that may be over by itself and says nothing about the key
    facts: dict[str, Any] = {}
