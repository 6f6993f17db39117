"""The price book as a company has it now."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Row
from services.errors import InvalidInput

_USD = re.compile(r"\d{1,6}(\.\d{1,9})?", re.ASCII)
PER_UNITS = 1_000  # what pages ask prices for


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
    return as_book(rows)


def as_book(rows: Sequence[Price]) -> PriceBook:
    """The last of each in the order of their validity."""
    return {(row.provider, row.model, row.unit_kind): row for row in rows}


def set_price(
    database: Database,
    account_id: UUID,
    provider: str,
    model: str,
    amount: str,
    reason: str,
    valid_from: datetime | None = None,
) -> Decimal:
    """Price a voice model in US dollars per 1,000 characters as its vendor bills them; 0 = free.

    From now on, or from `valid_from` (aware, to come) on. Returns the amount. Raises `InvalidInput` (field
    `price`, `model`, `valid_from` or `reason`), `NotAllowed`, `NotFound`.
    """
    typed = amount.strip().removeprefix("$").strip()
    if not _USD.fullmatch(typed):
        raise InvalidInput("Type an amount in US dollars, such as 0.10.", "price")
    usd = Decimal(typed)
    values = {"p_account_id": account_id, "p_provider": provider, "p_model": model, "p_unit_kind": "characters",
              "p_usd": usd, "p_per_units": PER_UNITS, "p_reason": reason}  # fmt: skip
    if valid_from is None:
        database.call("set_price", **values)
    else:
        database.call("set_price_from", **values, p_valid_from=valid_from)
    return usd


class BookedPrice(Price):
    """A line of the price book; it is never edited."""

    reason: str | None
    created_by: UUID | None


def history(database: Database, account_id: UUID, limit: int = 500) -> list[BookedPrice]:
    """Past, present and coming prices, the latest first."""
    return database.select(BookedPrice, [("account_id", "eq", account_id)], order=[("valid_from", "desc")], limit=limit)


def in_force(lines: Sequence[BookedPrice], now: datetime) -> set[int]:
    """The places in `lines` (latest first) of those that count at `now`: one a model and kind of unit."""
    seen: dict[tuple[str, str, str], int] = {}
    for place, line in enumerate(lines):
        if line.valid_from <= now:
            seen.setdefault((line.provider, line.model, line.unit_kind), place)
    return set(seen.values())
