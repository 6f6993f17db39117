"""Why an order was refused: what was said then, how it stands now, who can change it, and asking them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.database.door import Database
from services.errors import AppError, ModelPaused, PriceMissing, QuotaExceeded, Refusal, StoreSuspended
from services.profiles import Quota

Scope = Literal["store", "company"]
CENT = Decimal("0.01")
OTHERS: Mapping[str, type[AppError]] = {
    "price_missing": PriceMissing,
    "model_paused": ModelPaused,
    "store_suspended": StoreSuspended,
}  # refusals that no money mends, by their names in a job


def facts(error: Exception) -> dict[str, Any] | None:
    """What a job keeps of a refusal, as plain JSON; None for other errors."""
    if isinstance(error, QuotaExceeded) and error.refusal:
        return error.refusal.model_dump(mode="json", exclude={"at"})
    name = next((name for name, kind in OTHERS.items() if isinstance(error, kind)), None)
    return {"error": name, "message": str(error)} if name else None


def told(refusal: Mapping[str, Any]) -> AppError:
    """The error that a job's kept refusal was."""
    if refusal["error"] in OTHERS:
        return OTHERS[refusal["error"]](refusal["message"])
    return QuotaExceeded(refusal["message"], Refusal.model_validate(refusal))


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Hold(_Answer):
    """Money set aside; `sent`: its call is under way, so that only its end frees it."""

    job_id: UUID | None
    kind: str | None  # of the job
    service: str
    usd: Decimal
    since: datetime
    sent: bool
    store: str
    store_code: str
    person: str | None


class Holds(_Answer):
    """Open holds in stores that the person sees; `dearest` are at most ten of `count`."""

    count: int
    usd: Decimal
    dearest: list[Hold]


class Raise(_Answer):
    """What a limit is raised by for a while."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    usd: Decimal
    begins: datetime = Field(alias="from")
    until: datetime


class Limit(Quota):
    """A limit as it is now, `grants` included; `since` None: never changed, or not the person's to know."""

    holds: Holds
    since: datetime | None
    grants: list[Raise]

    def missing(self, usd: Decimal) -> Decimal:
        """By how much the limit must rise for a request of `usd`; 0: it is covered."""
        if self.limit is None:
            return Decimal(0)
        short = max(self.settled + self.held + usd - self.limit, Decimal(0))
        return max(short, self.settled - self.limit + CENT) if self.exceeded else short

    @property
    def held_elsewhere(self) -> Decimal:
        """Of what is held: in stores that the person does not see."""
        return self.held - self.holds.usd


class Outlook(_Answer):
    """What a retry of a job would have to hold, in US dollars; or the sentence of what else stands in its way."""

    need: Decimal | None
    obstacle: str | None


class Admin(_Answer):
    name: str
    email: str


class Request(_Answer):
    """An unanswered request to raise a limit, this month."""

    scope: Scope
    missing_usd: Decimal
    at: datetime


class Picture(_Answer):
    """How it stands now. `job` None: no job was asked about."""

    as_of: datetime
    store: Limit
    company: Limit
    job: Outlook | None
    admins: list[Admin]
    requests: list[Request]

    def limit(self, scope: str) -> Limit:
        return self.company if scope == "company" else self.store

    def covers(self, usd: Decimal, *, exempt: bool = False) -> bool:
        """Whether a request of `usd` would be granted now; `exempt`: free voices may go over the quota here."""
        return (exempt and usd == 0) or not (self.store.missing(usd) or self.company.missing(usd))

    def asked(self, scope: str, missing: Decimal) -> Request | None:
        """The request for this much or more that no admin has answered."""
        found = (one for one in self.requests if one.scope == scope and one.missing_usd >= missing)
        return next(found, None)


class RefusedJob(_Answer):
    """A job whose last order was refused; `characters` of its text, if it has one."""

    id: UUID
    profile_id: UUID
    kind: str
    status: str
    refusal: dict[str, Any]
    characters: int | None
    person: str | None

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.refusal["at"])


def explain(database: Database, profile_id: UUID, job_id: UUID | None = None) -> Picture:
    """A store's limits and its company's now; with one of its jobs also what a retry would need. Raises `NotFound`."""
    return Picture.model_validate(database.call("explain_refusal", p_profile_id=profile_id, p_job_id=job_id))


def recent(database: Database, account_id: UUID, profile_id: UUID | None) -> list[RefusedJob]:
    """The ten latest of a store, or (None) of all that the person sees."""
    found = database.call("refused_jobs", p_account_id=account_id, p_profile_id=profile_id)
    return [RefusedJob.model_validate(row) for row in found]


def ask_admins(database: Database, profile_id: UUID, scope: str, missing: Decimal) -> bool:
    """Ask the admins to raise a limit by so many US dollars (rounded up to cents).

    Told once for each store, month, limit and amount until the limit is raised; False: they were told before. Raises
    `NotAllowed`, `NotFound`, `InvalidInput`, and `Conflict` where there is no limit any more.
    """
    now: bool = database.call("ask_for_quota", p_profile_id=profile_id, p_scope=scope, p_missing_usd=missing)
    return now
