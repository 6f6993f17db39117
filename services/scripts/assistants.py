"""Assistants of a store: who writes, how, with which models, and how good it must be."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from services.database.door import Database, Row
from services.errors import InvalidInput, NotFound
from services.scripts import models, practice
from services.scripts.phases import PHASES, Assistant, PhaseModels
from services.scripts.writer import Thinking

WRONG = {
    "name": "A name has 1 to 200 characters.",
    "instructions": "Instructions have at most 20,000 characters.",
    "tone": "A tone has at most 500 characters.",
    "language": "The language must be a code such as en or pt-BR.",
    "banned_words": "At most 500 words can be banned.",
    "target_score": "The target score must be between 0 and 100.",
    "max_rounds": "The rounds of improvement must be between 0 and 10.",
    "max_characters": "A script has 100 to 40,000 characters.",
    "thinking": "A model thinks minimally, little, some or much.",
}


class SavedAssistant(Row):
    """An assistant as it is kept. `version` counts its changes; `template` makes the injection file of a version."""

    table: ClassVar[str] = "assistants"

    id: UUID
    account_id: UUID
    profile_id: UUID
    external_id: str | None
    name: str
    instructions: str
    tone: str
    language: str
    banned_words: list[str]
    models: dict[str, str]
    thinking: Thinking | None
    target_score: Decimal
    max_rounds: int
    max_characters: int
    template: str
    version: int
    archived_at: datetime | None

    @property
    def practises(self) -> bool:
        """Whether it is written by rules, not by AI: every phase of it."""
        return set(self.models.values()) == {practice.MODEL}


class Values(BaseModel):
    """What a person says of an assistant."""

    model_config = ConfigDict(frozen=True)

    assistant: Assistant
    external_id: str | None = None
    template: str = ""

    def as_json(self) -> dict[str, Any]:
        told = self.assistant.model_dump(mode="json")
        return {**told, "external_id": self.external_id, "template": self.template}


def of_store(database: Database, profile_id: UUID, *, archived: bool = False) -> list[SavedAssistant]:
    """By name; `archived`: those put away instead."""
    return [one for one in every(database, profile_id) if (one.archived_at is not None) == archived]


def every(database: Database, profile_id: UUID) -> list[SavedAssistant]:
    """By name, those put away last."""
    found = database.select(SavedAssistant, [("profile_id", "eq", profile_id)], order=[("name", "asc")])
    return sorted(found, key=lambda one: one.archived_at is not None)


def get(database: Database, assistant_id: UUID) -> SavedAssistant:
    """Raises `NotFound`, also for one of somebody else's store."""
    found = database.select(SavedAssistant, [("id", "eq", assistant_id)])
    if not found:
        raise NotFound("Assistant not found.")
    return found[0]


def checked(values: Mapping[str, Any]) -> Assistant:
    """What was typed, as an assistant. Raises `InvalidInput` with the field that is wrong."""
    try:
        assistant = Assistant.model_validate(dict(values))
    except ValidationError as exc:
        wrong = exc.errors()[0]
        field = str(wrong["loc"][0])
        raise InvalidInput(WRONG.get(field, f"{wrong['msg']}."), field) from exc
    for model in {assistant.models.of(phase) for phase in PHASES} - {practice.MODEL}:
        models.require(model, models.today())
    return assistant


def save(database: Database, assistant_id: UUID, profile_id: UUID, values: Values, version: int | None = None) -> int:
    """Make (`version` None) or change an assistant; returns its new version.

    Raises `InvalidInput` (with its field), `Conflict` when somebody changed it meanwhile, `NotAllowed`, `NotFound`.
    """
    answer = database.call(
        "save_assistant", p_id=assistant_id, p_profile_id=profile_id, p_values=values.as_json(), p_version=version
    )
    return int(answer)


def archive(database: Database, assistant_id: UUID, *, archive: bool = True) -> None:
    """Put an assistant away, or bring it back; its runs and versions stay. Raises `NotFound`, `NotAllowed`."""
    database.call("archive_assistant", p_assistant_id=assistant_id, p_archive=archive)


def _all(model: str) -> PhaseModels:
    return PhaseModels(prompt_generation=model, prompt_analysis=model, prompt_improvement=model)


def templates(model: str = models.DEFAULT) -> dict[str, Assistant]:
    """Assistants to begin with, by what they are for."""
    phase_models = _all(model)
    return {
        "Offer of the week": Assistant(
            name="Offer of the week", tone="warm and short, like a neighbour", models=phase_models, max_characters=600,
            instructions="Name the offer in the first sentence, its price in the second, and until when it lasts. "
            "End with where the store is.",
        ),
        "New in the shop": Assistant(
            name="New in the shop", tone="curious and concrete", models=phase_models, max_characters=900,
            instructions="Say what is new, who made it and what it is like to use it. One picture in words, no lists.",
        ),
        "Behind the counter": Assistant(
            name="Behind the counter", tone="honest and personal", models=phase_models, max_characters=1_500,
            instructions="Tell one small story of the people who work here, in the first person plural. No selling "
            "before the last sentence.",
        ),
    }  # fmt: skip
