"""The ledger, entry by entry, as people and other programs read it."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from services.database.door import ROW_CAP, Database, Row


class CostEntry(Row):
    """One operation that was paid for. `cost_usd` has six places; `units` are what its vendor counted."""

    table: ClassVar[str] = "cost_entries"

    id: UUID
    seq: int
    profile_id: UUID
    job_id: UUID | None
    service: str
    operation: str
    model: str
    units: dict[str, Any]
    unit_prices: dict[str, dict[str, Any]]
    cost_usd: Decimal
    overrun_usd: Decimal
    occurred_at: datetime

    @property
    def input_units(self) -> Decimal:
        """All units together: characters for speech."""
        return sum((Decimal(str(count)) for count in self.units.values()), Decimal(0))

    @property
    def rate(self) -> str:
        """What a thousand characters cost, such as "$0.10/1000 chars"; empty where no characters were counted."""
        price = self.unit_prices.get("characters")
        if price is None:
            return ""
        return f"${Decimal(price['usd']) * 1000 / int(price['per_units']):.2f}/1000 chars"


class _Details(Row):
    table: ClassVar[str] = "cost_entry_details"

    entry_id: UUID
    details: dict[str, Any]


def of_job(
    database: Database, job_id: UUID, *, limit: int = ROW_CAP, after: tuple[int] | None = None
) -> list[CostEntry]:
    """What a job bought, in the order of booking; `after` holds the last seen entry's `seq`.

    Empty for a job of somebody else's store.
    """
    return database.select(CostEntry, [("job_id", "eq", job_id)], order=[("seq", "asc")], limit=limit, after=after)


def previews(database: Database, entries: list[CostEntry]) -> dict[UUID, str]:
    """The first 100 characters of what each entry bought, then three dots if there were more; of a correction why."""
    rows = database.select(_Details, [("entry_id", "in", [entry.id for entry in entries])])
    return {row.entry_id: row.details.get("preview") or row.details.get("reason", "") for row in rows}
