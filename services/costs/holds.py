"""Money set aside for work under way."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Filter, Row


class Hold(Row):
    """`held_usd` is what is still set aside, in US dollars."""

    table: ClassVar[str] = "cost_holds"

    request_id: UUID
    job_id: UUID | None
    service: str
    held_usd: Decimal
    occurred_at: datetime


def open_holds(database: Database, profile_id: UUID) -> list[Hold]:
    """A store's open holds, the oldest first; those of exactly 0 are left out."""
    filters: list[Filter] = [
        ("profile_id", "eq", profile_id),
        ("state", "in", ["reserved", "committed"]),
        ("held_usd", "gt", 0),
    ]
    return database.select(Hold, filters, order=[("occurred_at", "asc")])
