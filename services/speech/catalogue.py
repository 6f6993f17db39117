"""Which voices a company can use: what its services offer, as the worker last found it.

The embedded voices are known at once. Everything else is listed by the worker, which has the keys and the optional
engines, hourly and when somebody asks: pages read what it found.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import TypeAdapter

from services.database.door import Database, Filter, Row
from services.errors import AppError, InvalidInput
from services.jobs import queue
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.speech import registry
from services.speech.provider import Model, Provider, Readiness, State, Voice

log = logging.getLogger(__name__)

EMBEDDED = ("hibari", "practice")  # in every installation, the same everywhere
_MODELS = TypeAdapter(dict[str, Model])


class Service(Row):
    """A voice service as the worker last found it. `account_id` None: the installation's."""

    table: ClassVar[str] = "voice_services"

    account_id: UUID | None
    provider: str
    readiness: Readiness
    message: str
    models: dict[str, Any]
    checked_at: datetime


class ListedVoice(Row):
    """A voice of a service; `multiplier` None = the vendor does not say what it costs beside others."""

    table: ClassVar[str] = "voices"

    account_id: UUID | None
    provider: str
    voice: str
    place: int
    name: str
    language: str
    description: str
    preview_url: str | None
    multiplier: Decimal | None

    def as_voice(self) -> Voice:
        return Voice(
            id=self.voice,
            name=self.name,
            language=self.language,
            description=self.description,
            preview_url=self.preview_url,
            multiplier=self.multiplier,
        )


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One service as a page shows it; `checked_at` None: it needs no checking."""

    provider: Provider
    state: State
    models: tuple[Model, ...]
    checked_at: datetime | None

    @property
    def name(self) -> str:
        return self.provider.name


def offers(database: Database, account_id: UUID) -> list[Offer]:
    """All services in the order they are offered, ready or not; those nobody has looked for are left out."""
    found = {row.provider: row for row in database.select(Service) if row.account_id in (None, account_id)}
    return [offer for provider in registry.providers() if (offer := _offer(provider, found.get(provider.name)))]


def _offer(provider: Provider, row: Service | None) -> Offer | None:
    if provider.name in EMBEDDED:
        return Offer(provider=provider, state=provider.state(), models=tuple(provider.models()), checked_at=None)
    if row is None:
        return None
    models = tuple(_MODELS.validate_python(row.models).values())
    return Offer(
        provider=provider,
        state=State(readiness=row.readiness, sentence=row.message),
        models=models,
        checked_at=row.checked_at,
    )


def voices(
    database: Database, provider: str, *, search: str = "", language: str = "", limit: int = 200
) -> Sequence[Voice]:
    """A service's voices in its order; `search` in name and description, `language` by its first letters."""
    if provider in EMBEDDED:
        return registry.provider(provider).voices()
    filters: list[Filter] = [("provider", "eq", provider)]
    if language:
        filters.append(("language", "ilike", f"{_literal(language)}%"))
    words = search.lower().split()
    rows = database.select(ListedVoice, filters, order=[("place", "asc"), ("voice", "asc")])
    found = (row.as_voice() for row in rows)
    return [v for v in found if all(word in f"{v.name} {v.description} {v.language}".lower() for word in words)][:limit]


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def model(database: Database, provider: str, model_id: str) -> Model:
    """A model by its id. Raises `InvalidInput` (field `model`) where the service does not offer it."""
    if provider in EMBEDDED:
        known = {m.id: m for m in registry.provider(provider).models()}
    else:
        rows = database.select(Service, [("provider", "eq", provider)])
        known = {name: m for row in rows for name, m in _MODELS.validate_python(row.models).items()}
    if model_id not in known:
        raise InvalidInput(f"The model {model_id} is not offered any more. Choose another.", field="model")
    return known[model_id]


def refresh(database: Database, account_id: UUID) -> UUID:
    """Have the voices listed anew; returns the job. Raises `NotAllowed`, `NotFound`."""
    job_id = UUID(str(database.call("refresh_voices", p_account_id=account_id)))
    queue.wake()
    return job_id


# For the worker ---------------------------------------------------------------------------------------------------


def list_voices(context: Context) -> Outcome:
    """Ask every service that is not embedded what it can do here, and write that down."""
    owner = context.database.call("key_account")
    known = 0
    for provider in registry.providers():
        if provider.name not in EMBEDDED:
            context.check()
            known += _list(context, provider, UUID(str(owner)) if owner else None)
    return {"voices": known}


def _list(context: Context, provider: Provider, owner: UUID | None) -> int:
    """List one service; returns how many voices it has. A company's own key serves that company only."""
    account_id = owner if provider.paid_outside else None
    if provider.paid_outside:
        context.database.call("drop_voices", p_provider=provider.name, p_but_account_id=owner)
        if owner is None:
            return 0
    found, listed = _look(provider)
    service = {"readiness": found.readiness, "message": found.sentence}
    if listed is None:
        context.database.call("save_voices", p_account_id=account_id, p_provider=provider.name, p_service=service)
        return 0
    models = {m.id: m.model_dump(mode="json") for m in listed[0]}
    context.database.call(
        "save_voices",
        p_account_id=account_id,
        p_provider=provider.name,
        p_service={**service, "models": models},
        p_voices=[voice.model_dump(mode="json") for voice in listed[1]],
    )
    return len(listed[1])


def _look(provider: Provider) -> tuple[State, tuple[Sequence[Model], Sequence[Voice]] | None]:
    state = provider.state()
    if not state.ready:
        return state, None
    try:
        return State(readiness=Readiness.READY, sentence=provider.test()), (provider.models(), provider.voices())
    except AppError as exc:
        log.warning("%s %s: %s", tag(None), provider.name, exc)
        return State(readiness=Readiness.BROKEN, sentence=str(exc)), None
    except Exception:  # one service that goes wrong must not hide the others
        log.exception("%s %s went wrong in an unforeseen way", tag(None), provider.name)
        sentence = f"{provider.label} went wrong in an unforeseen way; the worker's log has the details."
        return State(readiness=Readiness.BROKEN, sentence=sentence), None
