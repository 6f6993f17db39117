"""What one call to a writer offers for a clip or a project: captions for its networks, or a cover."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database, Filter, Row
from services.errors import NotFound
from services.jobs import queue
from services.jobs.context import Context, Postponed
from services.profiles import Quota
from services.scripts import calls
from services.scripts.calls import Call, Taken
from services.scripts.writer import Order

Kind = Literal["captions", "cover"]
Status = Literal["running", "completed", "failed", "cancelled"]

WAIT_SECONDS = 2.0  # until it is looked again whether the same film's proposal is there


class Quote(BaseModel):
    """What a proposal would cost now, in US dollars; `typical`: the mean of the store's last ones, `known` of them."""

    model_config = ConfigDict(frozen=True)

    largest: Decimal
    typical: Decimal | None
    known: int
    store: Quota
    company: Quota


class Proposal(Row):
    """A proposal, ordered or there. It has its job's id. Its cost is in US dollars, as the ledger has it."""

    table: ClassVar[str] = "proposals"

    id: UUID
    account_id: UUID
    profile_id: UUID
    kind: Kind
    project_id: UUID | None
    clip_id: UUID | None
    wanted: dict[str, Any]
    file_hash: str | None
    provider: str
    model: str
    status: Status
    output: dict[str, Any] | None
    error: str | None
    cost_usd: Decimal
    created_by: UUID | None
    started_at: datetime
    ended_at: datetime | None


def quote(database: Database, profile_id: UUID, kind: Kind, model: str) -> Quote:
    """Raises `NotFound`, `PriceMissing`."""
    answer = database.call("proposal_quote", p_profile_id=profile_id, p_kind=kind, p_model=model)
    return Quote.model_validate(answer)


def order(
    database: Database,
    proposal_id: UUID,
    kind: Kind,
    profile_id: UUID,
    model: str,
    wanted: Mapping[str, Any],
    *,
    project_id: UUID | None = None,
    clip_id: UUID | None = None,
) -> UUID:
    """Order a proposal: its largest cost is held. The same `proposal_id` again orders nothing more.

    A clip's project is its own, whatever `project_id` says. Raises `InvalidInput`, `QuotaExceeded`, `PriceMissing`,
    `ModelPaused`, `StoreSuspended`, `Conflict`, `NotAllowed`, `NotFound`.
    """
    database.call(
        "start_proposal",
        p_id=proposal_id,
        p_kind=kind,
        p_profile_id=profile_id,
        p_model=model,
        p_wanted=dict(wanted),
        p_project_id=project_id,
        p_clip_id=clip_id,
    )
    queue.wake()
    return proposal_id


def get(database: Database, proposal_id: UUID) -> Proposal:
    """Raises `NotFound`, also for one of somebody else's store."""
    found = database.select(Proposal, [("id", "eq", proposal_id)])
    if not found:
        raise NotFound("Proposal not found.")
    return found[0]


def find(
    database: Database, kind: Kind, *, clip_id: UUID | None = None, project_id: UUID | None = None, limit: int = 20
) -> list[Proposal]:
    """Those of a clip, or of a project itself (not of its clips), newest first; empty for somebody else's."""
    filters: list[Filter] = [("kind", "eq", kind)]
    if clip_id is not None:
        filters.append(("clip_id", "eq", clip_id))
    else:
        filters += [("project_id", "eq", project_id), ("clip_id", "is", None)]
    return database.select(Proposal, filters, order=[("started_at", "desc")], limit=limit)


# For the worker ---------------------------------------------------------------------------------------------------


def ordered(context: Context) -> Proposal:
    """The proposal that the job is about, as it is now."""
    return Proposal.model_validate(context.write("proposal_order"))


def shared(context: Context, file_hash: str) -> bool:
    """Whether the proposal has by now what was bought for the same film, model and wishes in its store before.

    `file_hash`: the SHA-256 of the film. Raises `Postponed` while another proposal is about to buy it.
    """
    answer = context.write("share_proposal", p_file_hash=file_hash)
    if answer == "wait":
        raise Postponed(WAIT_SECONDS, "Waiting for the same film's captions, which somebody has just ordered")
    return bool(answer == "shared")


def buy(
    context: Context, proposal: Proposal, order: Order, take: Callable[[Any], Taken], details: Mapping[str, Any]
) -> Proposal:
    """Have the proposal's one call made, once; returns it with its `output`. Raises as `calls.buy`.

    `details` is what the ledger keeps beside the cost: `preview`, a line for people, and numbers.
    """
    if proposal.output is None:

        def begin(units: dict[str, int]) -> Any:
            return context.write("begin_proposal", p_units=units, p_details=dict(details))

        calls.buy(context, proposal.account_id, Call(order, begin, take))
    return ordered(context)


def finish(context: Context) -> None:
    """The proposal is there, and with it its job's end."""
    context.finish("finish_proposal")
