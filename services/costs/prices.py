"""The price book: what is in force, what comes, and what a month would have cost under other prices."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

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


def read_amount(typed: str) -> Decimal:
    """US dollars with up to nine decimals. Raises `InvalidInput` (field `price`)."""
    amount = typed.strip().removeprefix("$").strip()
    if not _USD.fullmatch(amount):
        raise InvalidInput("Type an amount in US dollars, such as 0.10.", "price")
    return Decimal(amount)


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
    usd = read_amount(amount)
    values = {"p_account_id": account_id, "p_provider": provider, "p_model": model, "p_unit_kind": "characters",
              "p_usd": usd, "p_per_units": PER_UNITS, "p_reason": reason}  # fmt: skip
    if valid_from is None:
        database.call("set_price", **values)
    else:
        database.call("set_price_from", **values, p_valid_from=valid_from)
    return usd


class BookedPrice(Price):
    """A line of the price book; it is never edited."""

    id: UUID
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


# Coming prices ----------------------------------------------------------------------------------------------------


class WithdrawnPrice(BookedPrice):
    """A price that was taken out of the book before it began."""

    table: ClassVar[str] = "withdrawn_prices"

    withdrawn_at: datetime
    withdrawn_by: UUID
    withdrawn_reason: str


def withdraw(database: Database, price_id: UUID, reason: str) -> None:
    """Take a coming price out of the book.

    Raises `InvalidInput` (field `reason`), `NotAllowed`, `NotFound`, and `Conflict` once it counts or within its last
    minute before.
    """
    database.call("withdraw_price", p_price_id=price_id, p_reason=reason)


def withdrawn(database: Database, account_id: UUID, limit: int = 100) -> list[WithdrawnPrice]:
    """The latest days first."""
    return database.select(
        WithdrawnPrice, [("account_id", "eq", account_id)], order=[("valid_from", "desc")], limit=limit
    )


# A month under other prices ---------------------------------------------------------------------------------------


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class OtherPrice(_Answer):
    """A price in the place of the book's own; `usd` buys `per_units`."""

    provider: str
    model: str
    usd: Decimal
    unit_kind: str = "characters"
    per_units: int = PER_UNITS

    def as_parameter(self) -> dict[str, str | int]:
        return {**self.model_dump(exclude={"usd"}), "usd": f"{self.usd:f}"}


class PreviewLine(_Answer):
    """A store's entries of a model: booked at `old_usd`, `new_usd` under the prices asked for.

    `unpriced` entries have units in `missing` that the book does not price; they cost `unpriced_usd`, in neither sum.
    """

    profile_id: UUID
    store: str | None
    store_code: str | None
    service: str
    model: str
    entries: int
    old_usd: Decimal
    new_usd: Decimal
    unpriced: int
    unpriced_usd: Decimal
    missing: list[str]

    @property
    def difference(self) -> Decimal:
        return self.new_usd - self.old_usd


class Preview(_Answer):
    """A month (UTC) as booked and under other prices. `corrections_usd`: what its corrections come to; in neither."""

    month: date
    as_of: datetime
    corrections_usd: Decimal
    lines: list[PreviewLine]

    def of_model(self, provider: str, model: str) -> "Preview":
        lines = [line for line in self.lines if (line.service, line.model) == (provider, model)]
        return self.model_copy(update={"lines": lines})

    @property
    def old_usd(self) -> Decimal:
        return sum((line.old_usd for line in self.lines), Decimal(0))

    @property
    def new_usd(self) -> Decimal:
        return sum((line.new_usd for line in self.lines), Decimal(0))

    @property
    def entries(self) -> int:
        return sum(line.entries for line in self.lines)


def preview(
    database: Database, account_id: UUID, month: date, at: datetime | None = None, other: OtherPrice | None = None
) -> Preview:
    """A month's entries re-rated, each rounded once, under the price book of `at` (None: now) with the `other` price.

    Raises `InvalidInput` (field `price`, `model` or `month`), `NotAllowed`, `NotFound`.
    """
    asked = other.as_parameter() if other else None
    answer = database.call("price_preview", p_account_id=account_id, p_month=month, p_at=at, p_price=asked)
    return Preview.model_validate(answer)
