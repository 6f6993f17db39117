"""What the calls of jobs came to: what was booked, what is kept, what nobody can tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal, Self
from uuid import UUID

from services.database.door import ROW_CAP, Database, Row
from services.speech.decisions import Pause


class Call(Row):
    """A passage's purchase that was or may be billed."""

    table: ClassVar[str] = "purchases"

    id: UUID
    job_id: UUID
    place: int  # which passage of the job, from 0
    provider: str
    model: str
    state: Literal["sent", "unclear", "settled", "recovered"]
    characters: int
    units_expected: Decimal
    cost_usd: Decimal
    again_at: datetime | None  # a retry buys this passage anew


@dataclass(frozen=True)
class Spent:
    """What one job's calls came to."""

    booked: Decimal = Decimal(0)  # US dollars
    kept: int = 0  # paid passages that a retry reuses
    open: tuple[Call, ...] = ()  # sent or unclear, in the order of their passages

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Self:
        return cls(
            booked=sum((call.cost_usd for call in calls), Decimal(0)),
            kept=sum(1 for call in calls if call.cost_usd > 0 and call.again_at is None),
            open=tuple(sorted((c for c in calls if c.state in ("sent", "unclear")), key=lambda call: call.place)),
        )

    @property
    def under_way(self) -> int:
        """Calls whose outcome is still being found out."""
        return sum(1 for call in self.open if call.state == "sent")

    @property
    def unclear(self) -> tuple[Call, ...]:
        return tuple(call for call in self.open if call.state == "unclear")

    @property
    def undecided(self) -> tuple[Call, ...]:
        """Unclear ones that stop a retry: nobody has bought them again."""
        return tuple(call for call in self.unclear if call.again_at is None)


def spent(database: Database, job_ids: Sequence[UUID]) -> dict[UUID, Spent]:
    """What these jobs' calls came to; jobs without a call that may cost something are left out."""
    by_job: dict[UUID, list[Call]] = {}
    for call in _calls(database, job_ids):
        by_job.setdefault(call.job_id, []).append(call)
    return {job_id: Spent.of(calls) for job_id, calls in by_job.items()}


def _calls(database: Database, job_ids: Sequence[UUID]) -> Iterator[Call]:
    """An answer's rows are capped, and one long text has up to 4,000 passages."""
    after: tuple[UUID] | None = None
    while job_ids:
        rows = database.select(
            Call,
            [("job_id", "in", list(job_ids)), ("state", "in", ["sent", "unclear", "settled", "recovered"])],
            order=[("id", "asc")],
            after=after,
        )
        yield from rows
        if len(rows) < ROW_CAP:
            return
        after = (rows[-1].id,)


class OverrunCall(Row):
    """Which job a purchase was for."""

    table: ClassVar[str] = "purchases"

    id: UUID
    job_id: UUID


def overruns(database: Database, account_id: UUID) -> dict[UUID, Decimal]:
    """Jobs of which a passage was billed above what was announced, and how many times; the latest 100 passages."""
    found = database.select(Pause, [("account_id", "eq", account_id)], order=[("paused_at", "desc")], limit=100)
    factors = {pause.id: pause.factor for pause in found}
    calls = database.select(OverrunCall, [("id", "in", list(factors))]) if factors else []
    dearest: dict[UUID, Decimal] = {}
    for call in calls:
        dearest[call.job_id] = max(dearest.get(call.job_id, Decimal(0)), factors[call.id])
    return dearest
