"""Which voices a company can use: what its services offer, as the worker last found it.

The embedded voices are known at once. Everything else is listed by the worker, which has the keys and the optional
engines, hourly and when somebody asks: pages read what it found.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import TypeAdapter

from services import credentials
from services.connections import Provider as Vendor
from services.credentials import Uses
from services.database.door import Database, Filter, Row
from services.errors import AppError, InvalidInput, ProviderUnavailable
from services.jobs import queue
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.speech import registry
from services.speech.provider import Model, Provider, Readiness, State, Voice
from services.vault import Place

log = logging.getLogger(__name__)

EMBEDDED = ("hibari", "practice")  # in every installation, the same everywhere
_MODELS = TypeAdapter(dict[str, Model])
Looked = tuple[State, tuple[Sequence[Model], Sequence[Voice]] | None]


class Service(Row):
    """A voice service as the worker last found it.

    `account_id` None: the installation's; `profile_id` None: the company's, else of the store's own account.
    """

    table: ClassVar[str] = "voice_services"

    account_id: UUID | None
    profile_id: UUID | None
    provider: str
    readiness: Readiness
    message: str
    models: dict[str, Any]
    checked_at: datetime


class ListedVoice(Row):
    """A voice of a service; `multiplier` None = the vendor does not say what it costs beside others."""

    table: ClassVar[str] = "voices"

    account_id: UUID | None
    profile_id: UUID | None
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
    list_of: UUID | None = None  # the store whose own account it is; None: the company's, or nobody's

    @property
    def name(self) -> str:
        return self.provider.name


def offers(database: Database, account_id: UUID, profile_id: UUID | None = None) -> list[Offer]:
    """All services in the order they are offered, ready or not; those nobody has looked for are left out.

    What a store is offered depends on whose account it uses; without `profile_id` it is what the company has.
    """
    rows = {
        (row.provider, row.profile_id): row
        for row in database.select(Service)
        if row.account_id in (None, account_id) and row.profile_id in (None, profile_id)
    }
    uses = credentials.choices(database, profile_id) if profile_id else {}
    return [
        offer
        for provider in registry.providers()
        if (offer := _offer(provider, _used(rows, provider, uses, profile_id)))
    ]


def _used(
    rows: Mapping[tuple[str, UUID | None], Service],
    provider: Provider,
    uses: Mapping[Vendor, Uses],
    profile_id: UUID | None,
) -> Service | None:
    """What was found of the account that the store uses."""
    whose = uses.get(registry.vendor(provider.name), "company") if provider.paid_outside else "company"
    return None if whose == "none" else rows.get((provider.name, profile_id if whose == "own" else None))


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
        list_of=row.profile_id,
    )


def voices(
    database: Database,
    account_id: UUID,
    provider: str,
    *,
    list_of: UUID | None = None,
    search: str = "",
    language: str = "",
    limit: int = 200,
) -> Sequence[Voice]:
    """A company's voices of a service in its order; `search` in name and description, `language` by its first letters.

    `list_of` is the store through whose own account they speak, as the `Offer` says.
    """
    if provider in EMBEDDED:
        return registry.provider(provider).voices()
    filters: list[Filter] = [("provider", "eq", provider), _of(list_of)]
    if language:
        filters.append(("language", "ilike", f"{_literal(language)}%"))
    words = search.lower().split()
    rows = database.select(ListedVoice, filters, order=[("place", "asc"), ("voice", "asc")])
    found = (row.as_voice() for row in rows if row.account_id in (None, account_id))
    return [v for v in found if all(word in f"{v.name} {v.description} {v.language}".lower() for word in words)][:limit]


def _of(list_of: UUID | None) -> Filter:
    return ("profile_id", "eq", list_of) if list_of else ("profile_id", "is", None)


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def model(database: Database, provider: str, model_id: str, profile_id: UUID | None = None) -> Model:
    """A model by its id, for this store or (None) the company.

    Raises `InvalidInput` (field `model`) where the service does not offer it, `ProviderUnavailable` where the store
    uses no account of it.
    """
    known = models(database, provider, profile_id)
    if model_id not in known:
        raise InvalidInput(f"The model {model_id} is not offered any more. Choose another.", field="model")
    return known[model_id]


def models(database: Database, provider: str, profile_id: UUID | None = None) -> dict[str, Model]:
    """What a service offers this store or (None) the company, by id. Raises `ProviderUnavailable` as `model` does."""
    if provider in EMBEDDED:
        return {m.id: m for m in registry.provider(provider).models()}
    account = _of(_list_of(database, provider, profile_id))
    rows = database.select(Service, [("provider", "eq", provider), account])
    known = {name: m for row in rows for name, m in _MODELS.validate_python(row.models).items()}
    if not known:
        raise _not_connected(provider)
    return known


def _list_of(database: Database, provider: str, profile_id: UUID | None) -> UUID | None:
    """Whose list counts for the store: its own, or (None) the company's. Raises `NotFound`, `ProviderUnavailable`."""
    if profile_id is None or not registry.provider(provider).paid_outside:
        return None
    uses = credentials.choices(database, profile_id).get(registry.vendor(provider))
    if uses == "none":
        raise _not_connected(provider)
    return profile_id if uses == "own" else None


def _not_connected(provider: str) -> ProviderUnavailable:
    label = registry.provider(provider).label
    return ProviderUnavailable(f"{label} is not connected for this store. An admin can connect it.")


def refresh(database: Database, account_id: UUID) -> UUID:
    """Have the voices listed anew; returns the job. Raises `NotAllowed`, `NotFound`."""
    job_id = UUID(str(database.call("refresh_voices", p_account_id=account_id)))
    queue.wake()
    return job_id


# For the worker ---------------------------------------------------------------------------------------------------


def list_voices(context: Context) -> Outcome:
    """Ask every service that is not embedded what it can do here, and write that down.

    A company's job asks what needs no account, and that company's accounts only.
    """
    known = 0
    for provider in registry.providers():
        if provider.name not in EMBEDDED:
            known += _list_accounts(context, provider) if provider.paid_outside else _list(context, provider)
    return {"voices": known}


def _list_accounts(context: Context, provider: Provider) -> int:
    """List each account that may be used; returns how many voices there are."""
    context.database.call("drop_voices", p_provider=provider.name)
    owner = _owner_of_environment(context, provider.name)
    known = _list(context, provider, owner) if owner else 0
    rows = context.database.call("enabled_credentials", p_provider=provider.name, p_account_id=context.job.account_id)
    return known + sum(_list_account(context, UUID(str(row["id"])), Place.model_validate(row)) for row in rows)


def _owner_of_environment(context: Context, provider: str) -> UUID | None:
    """The company that the environment's key serves, if no key of its own is saved."""
    owner = context.database.call("key_account")
    if owner is None or str(context.job.account_id or owner) != str(owner):
        return None
    used = context.database.call("credential_for", p_account_id=owner, p_profile_id=None, p_provider=provider)
    return UUID(str(owner)) if used and used.get("environment") else None


def _list_account(context: Context, credential_id: UUID, place: Place) -> int:
    try:
        opened = credentials.saved(context.database, context.options, credential_id)
    except AppError as exc:
        broken = State(readiness=Readiness.BROKEN, sentence=str(exc))
        return _save(context, place.provider, (broken, None), place.account_id, place.profile_id)
    if opened is None:  # removed meanwhile
        return 0
    return _list(context, registry.transient(opened, context.options), place.account_id, place.profile_id)


def _list(context: Context, provider: Provider, account_id: UUID | None = None, profile_id: UUID | None = None) -> int:
    context.check()
    return _save(context, provider.name, _look(provider), account_id, profile_id)


def _save(context: Context, provider: str, looked: Looked, account_id: UUID | None, profile_id: UUID | None) -> int:
    """Write down what was found; returns how many voices there are."""
    found, listed = looked
    service: dict[str, Any] = {"readiness": found.readiness, "message": found.sentence}
    if listed:
        service["models"] = {m.id: m.model_dump(mode="json") for m in listed[0]}
    context.database.call(
        "save_voices",
        p_account_id=account_id,
        p_profile_id=profile_id,
        p_provider=provider,
        p_service=service,
        p_voices=[voice.model_dump(mode="json") for voice in listed[1]] if listed else None,
    )
    return len(listed[1]) if listed else 0


def _look(provider: Provider) -> Looked:
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
