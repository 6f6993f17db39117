"""The price book as a company has it now."""

import re
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
    return {(row.provider, row.model, row.unit_kind): row for row in rows}


def set_price(database: Database, account_id: UUID, provider: str, model: str, amount: str, reason: str) -> Decimal:
    """Price a voice model from now on, in US dollars per 1,000 characters as its vendor bills them; 0 = free.

    Returns the amount. Raises `InvalidInput` (field `price`, `model` or `reason`), `NotAllowed`, `NotFound`.
    """
    typed = amount.strip().removeprefix("$").strip()
    if not _USD.fullmatch(typed):
        raise InvalidInput("Type an amount in US dollars, such as 0.10.", "price")
    usd = Decimal(typed)
    database.call(
        "set_price",
        p_account_id=account_id,
        p_provider=provider,
        p_model=model,
        p_unit_kind="characters",
        p_usd=usd,
        p_per_units=PER_UNITS,
        p_reason=reason,
    )
    return usd
