"""Corrections of what was booked: entries of their own, booked today, that name what they correct."""

import re
from datetime import date
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.costs.entries import Entry
from services.costs.prices import OtherPrice
from services.database.door import Database
from services.errors import InvalidInput

_USD = re.compile(r"\d{1,8}(\.\d{1,6})?", re.ASCII)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Corrected(_Answer):
    """What an entry cost with its corrections before this one, and costs after it, in US dollars."""

    id: UUID
    before: Decimal
    after: Decimal


class ModelCorrected(_Answer):
    """How many entries were corrected, and by how much together."""

    entries: int
    usd: Decimal


def difference(entry: Entry, typed: str) -> Decimal:
    """What corrects an entry to the amount typed, in US dollars.

    Raises `InvalidInput` (field `usd`): no amount of at least 0 with at most six decimals, or the present one.
    """
    amount = typed.strip().removeprefix("$").strip()
    if not _USD.fullmatch(amount):
        raise InvalidInput("Type what it should have cost in US dollars, such as 0.25; at most six decimals.", "usd")
    usd = Decimal(amount) - entry.corrected_usd
    if usd == 0:
        raise InvalidInput("That is what it costs already.", "usd")
    return usd


def adjust(
    database: Database, correction_id: UUID, entry_id: UUID, usd: Decimal, reason: str, seen: Decimal
) -> Corrected:
    """Correct an entry by `usd` (up or down), which cost `seen`, corrections included, when the admin looked.

    `correction_id` is new and kept until it got through: the same id again books nothing. Raises `InvalidInput` (field
    `usd`, `reason` or `entry`), `Conflict`, `NotAllowed`, `NotFound`.
    """
    answer = database.call(
        "adjust_cost", p_id=correction_id, p_entry_id=entry_id, p_usd=usd, p_reason=reason, p_seen_usd=seen
    )
    return Corrected.model_validate(answer)


def adjust_model(
    database: Database,
    correction_id: UUID,
    account_id: UUID,
    profile_id: UUID | None,
    month: date,
    price: OtherPrice,
    reason: str,
) -> ModelCorrected:
    """Correct a month's entries of a model, in a store or (None) in all, to another price. All or nothing.

    `correction_id` as for `adjust`. Raises as `adjust` does, and `InvalidInput` (field `store`) above 5,000 entries.
    """
    answer = database.call(
        "adjust_model", p_id=correction_id, p_account_id=account_id, p_profile_id=profile_id, p_month=month,
        p_price=price.as_parameter(), p_reason=reason,
    )  # fmt: skip
    return ModelCorrected.model_validate(answer)
