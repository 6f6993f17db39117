"""What models that write or draw cost: the company's own prices, and the vendor's list as a suggestion."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from services.costs import prices
from services.costs.prices import PriceBook
from services.database.door import Database
from services.errors import InvalidInput

PROVIDER = "gemini"
PER_TOKENS = 1_000_000
KINDS: Mapping[str, str] = {
    "input_tokens": "Input",
    "cached_tokens": "Cached input",
    "output_tokens": "Output, thinking included",
}
LISTED_ON = date(2026, 10, 7)
PICTURES_LISTED_ON = date(2026, 2, 26)  # of those that draw


class ListPrice(NamedTuple):
    """US dollars per 1,000,000 tokens as the vendor's list had it on `listed_on`; `note`: what changes it."""

    input_tokens: str
    cached_tokens: str
    output_tokens: str
    note: str = ""
    listed_on: date = LISTED_ON


PROMOTION = "A promotion; the regular price is 1.50, 0.15 and 7.50."
DRAWS = (
    "A picture has some 1,120 tokens; the vendor caches nothing. What the model thinks before it draws is counted at "
    "the price of a picture, although the vendor asks less for it."
)
LIST: Mapping[str, ListPrice] = {
    "gemini-3.8-flash": ListPrice(
        "0.75", "0.075", "3.75", "A promotion; from 1 January 2027 on 1.50, 0.15 and 7.50."
    ),
    "gemini-3.7-flash": ListPrice("0.75", "0.075", "3.75", PROMOTION),
    "gemini-3.6-flash": ListPrice("0.75", "0.075", "3.75", PROMOTION),
    "gemini-3.5-flash": ListPrice("1.50", "0.15", "9.00"),
    "gemini-3.5-flash-lite": ListPrice("0.30", "0.03", "2.50"),
    "gemini-3.1-flash-lite": ListPrice("0.25", "0.025", "1.50"),
    "gemini-3.1-pro-preview": ListPrice(
        "2.00", "0.20", "12.00", "Twice for reading and half more for writing where it reads over 200,000 tokens."
    ),
    "gemini-2.5-flash-lite": ListPrice("0.10", "0.01", "0.40"),
    "gemini-2.5-flash": ListPrice("0.30", "0.03", "2.50"),
    "gemini-2.5-pro": ListPrice("1.25", "0.125", "10.00"),
    "gemini-3.1-flash-image": ListPrice("0.50", "0.50", "60.00", DRAWS, PICTURES_LISTED_ON),
    "gemini-3-pro-image": ListPrice("2.00", "2.00", "120.00", DRAWS, PICTURES_LISTED_ON),
}  # fmt: skip


def of_model(book: PriceBook, model: str) -> dict[str, Decimal] | None:
    """US dollars per 1,000,000 tokens by kind; None where one of the three is missing, so that it cannot be used."""
    found = {kind: book.get((PROVIDER, model, kind)) for kind in KINDS}
    known = {kind: price.usd * PER_TOKENS / price.per_units for kind, price in found.items() if price}
    return known if len(known) == len(KINDS) else None


def set_prices(
    database: Database,
    account_id: UUID,
    model: str,
    amounts: Mapping[str, str],
    reason: str,
    *,
    free: bool = False,
    valid_from: datetime | None = None,
) -> None:
    """Price a model in US dollars per 1,000,000 tokens of each of `KINDS`: all three or none.

    From now on, or from `valid_from` (aware, to come) on. 0 only where it is `free`. Raises `InvalidInput` (field: the
    kind, `model`, `valid_from` or `reason`), `NotAllowed`, `NotFound`.
    """
    typed = {kind: _amount(kind, amounts.get(kind, ""), free=free) for kind in KINDS}
    database.call(
        "set_writer_prices", p_account_id=account_id, p_model=model, p_prices=typed, p_reason=reason,
        p_valid_from=valid_from,
    )  # fmt: skip


def _amount(kind: str, typed: str, *, free: bool) -> str:
    try:
        usd = prices.read_amount(typed)
    except InvalidInput as exc:
        raise InvalidInput(str(exc), kind) from exc
    if usd == 0 and not free:
        raise InvalidInput("0 means free: nothing is held and nothing is booked. Tick the box if it is.", kind)
    return str(usd)
