"""The price book as a company has it now."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Row


class Price(Row):
    """`usd` buys `per_units` units; exactly 0 = free. A voice without a price cannot be used."""

    table: ClassVar[str] = "prices"

    provider: str
    model: str
    unit_kind: str
    usd: Decimal
    per_units: int
    valid_from: datetime


PriceBook = dict[tuple[str, str, str], Price]  # by provider, model and kind of unit


def current(database: Database, account_id: UUID) -> PriceBook:
    """The prices in force now."""
    rows = database.select(
        Price,
        [("account_id", "eq", account_id), ("valid_from", "lte", datetime.now(UTC))],
        order=[("valid_from", "asc")],
    )
    return {(row.provider, row.model, row.unit_kind): row for row in rows}
