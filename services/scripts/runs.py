"""Runs as people see them: what one would cost, ordering it, finding it again, and where its money went."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database, Filter, Row
from services.errors import NotFound
from services.jobs import queue
from services.profiles import Quota
from services.scripts.phases import Phase

Status = Literal["running", "completed", "failed", "cancelled"]
BECAUSE = {
    "target": "The script reached its target score.",
    "rounds": "All rounds of improvement are used; the best text was kept.",
    "limit": "Stopped at the limit: the month's money does not cover the next phase. The best text was kept.",
}


class PhaseCost(BaseModel):
    """What a phase costs once, in US dollars; `known`: how many of its last runs the typical cost is the mean of."""

    model_config = ConfigDict(frozen=True)

    phase: Phase
    model: str
    largest: Decimal
    typical: Decimal
    known: int


class Quote(BaseModel):
    """What a run would cost now, in US dollars: at most with all its rounds, and typically with one."""

    model_config = ConfigDict(frozen=True)

    phases: list[PhaseCost]
    largest: Decimal
    typical: Decimal
    store: Quota
    company: Quota


class Listed(Row):
    """A run without its briefing, which may have 600,000 characters. Tokens and cost are what the ledger has for it."""

    table: ClassVar[str] = "pipeline_runs"

    id: UUID
    account_id: UUID
    profile_id: UUID
    assistant_id: UUID
    clip_id: UUID | None
    status: Status
    ended_because: str | None
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    total_cost_usd: Decimal
    best_score: Decimal | None
    version_id: UUID | None
    created_by: UUID | None  # None: System
    started_at: datetime
    ended_at: datetime | None

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.started_at, self.id

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


class Run(Listed):
    """A briefing on its way to a version. It has its job's id."""

    assistant: dict[str, Any]  # as it was when the run was ordered
    briefing: str

    @property
    def assistant_name(self) -> str:
        return str(self.assistant["name"])


class Step(Row):
    """A phase of a run, in US dollars and tokens; `output_tokens` hold what was thought."""

    table: ClassVar[str] = "pipeline_steps"

    id: UUID
    run_id: UUID
    place: int
    phase: Phase
    round: int
    status: Literal["running", "completed", "failed"]
    provider: str
    model: str
    model_version: str | None
    output: dict[str, Any] | None
    error: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: Decimal
    started_at: datetime
    ended_at: datetime | None

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


class Breakdown(Row):
    """What a phase of a run cost over all its calls, as the ledger has it."""

    table: ClassVar[str] = "v_pipeline_cost_breakdown"

    run_id: UUID
    phase: str
    calls: int
    input_tokens: Decimal
    cached_tokens: Decimal
    output_tokens: Decimal
    cost_usd: Decimal


def quote(database: Database, assistant_id: UUID, briefing: str) -> Quote:
    """Raises `NotFound`, `PriceMissing`."""
    answer = database.call("script_quote", p_assistant_id=assistant_id, p_briefing=briefing)
    return Quote.model_validate(answer)


def start(
    database: Database,
    run_id: UUID,
    assistant_id: UUID,
    briefing: str,
    *,
    briefing_id: str | None = None,
    project_id: UUID | None = None,
    clip_id: UUID | None = None,
) -> UUID:
    """Order a run: its first phase's largest cost is held. The same `run_id` again orders nothing more.

    Raises `InvalidInput` (field `briefing`), `QuotaExceeded`, `PriceMissing`, `ModelPaused`, `StoreSuspended`,
    `Conflict`, `NotAllowed`, `NotFound`.
    """
    database.call(
        "start_script",
        p_run_id=run_id,
        p_assistant_id=assistant_id,
        p_briefing=briefing.strip(),
        p_briefing_id=briefing_id,
        p_project_id=project_id,
        p_clip_id=clip_id,
    )
    queue.wake()
    return run_id


def find(
    database: Database,
    profile_id: UUID,
    *,
    assistant_id: UUID | None = None,
    status: Status | None = None,
    limit: int = 25,
    after: tuple[datetime, UUID] | None = None,
) -> list[Listed]:
    """A store's runs, newest first; `after` is the last seen one's `key`."""
    wanted = {"profile_id": profile_id, "assistant_id": assistant_id, "status": status}
    filters: list[Filter] = [(column, "eq", value) for column, value in wanted.items() if value is not None]
    return database.select(Listed, filters, order=[("started_at", "desc"), ("id", "desc")], limit=limit, after=after)


def get(database: Database, run_id: UUID) -> Run:
    """Raises `NotFound`, also for one of somebody else's store."""
    found = database.select(Run, [("id", "eq", run_id)])
    if not found:
        raise NotFound("Run not found.")
    return found[0]


def steps(database: Database, run_id: UUID) -> list[Step]:
    """In their order; empty for a run of somebody else's store."""
    return database.select(Step, [("run_id", "eq", run_id)], order=[("place", "asc")])


def breakdown(database: Database, run_id: UUID) -> list[Breakdown]:
    """By phase."""
    return database.select(Breakdown, [("run_id", "eq", run_id)], order=[("phase", "asc")])
