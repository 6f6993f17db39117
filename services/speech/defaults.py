"""The voice a store speaks with unless somebody chooses another, and whether free voices go on over its quota."""

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.audio import Format
from services.database.door import Database, Row
from services.errors import NotFound


class VoiceDefaults(BaseModel):
    """What is not set is the service's own default. `speed` 1 is ordinary; `stability` 0 lively to 1 even."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    provider: str | None = None
    model: str | None = None
    voice: str | None = None
    format: Format | None = None
    speed: Decimal | None = None
    stability: Decimal | None = None


class StoreVoice(Row):
    """A store's voice section; `voice_version` is what a change of it has to name."""

    table: ClassVar[str] = "profiles"

    id: UUID
    tts_settings: dict[str, Any]
    voice_version: int
    allow_free_voices_over_quota: bool

    @property
    def defaults(self) -> VoiceDefaults:
        return VoiceDefaults.model_validate(self.tts_settings)


def of_store(database: Database, profile_id: UUID) -> StoreVoice:
    """Raises `NotFound`."""
    found = database.select(StoreVoice, [("id", "eq", profile_id)])
    if not found:
        raise NotFound("Store not found.")
    return found[0]


def save(database: Database, profile_id: UUID, defaults: VoiceDefaults, version: int) -> None:
    """Raises `Conflict` when somebody saved the section since `version`, `InvalidInput`, `NotAllowed`, `NotFound`."""
    settings = defaults.model_dump(mode="json", exclude_none=True)
    database.call("save_voice_defaults", p_profile_id=profile_id, p_settings=settings, p_version=version)


def allow_free_over_quota(database: Database, profile_id: UUID, allowed: bool, reason: str, version: int) -> None:
    """Let a store go on with free voices once its month is used up. An admin's decision, with a reason."""
    database.call(
        "allow_free_over_quota", p_profile_id=profile_id, p_allowed=allowed, p_reason=reason, p_version=version
    )
