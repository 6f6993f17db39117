"""Why the numbers can be trusted: sums checked against the ledger or made anew from it, and how long texts are kept."""

import logging
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.database.door import ROW_CAP, Database, Row
from services.jobs import queue
from services.jobs.context import Context, Outcome
from services.logs import tag

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 30, 3650  # days for which texts of entries may be kept, where not for ever
BATCH = 1_000  # texts deleted in a transaction
DATES = TypeAdapter(list[date])


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Difference(_Answer):
    """A sum that is not what the ledger says. `store` None: the company's."""

    month: date
    store: str | None
    what: str
    stored: Decimal
    ledger: Decimal


class Trust(_Answer):
    """What the last check found, `seq` being the ledger's last entry that was in it; None: nothing was checked yet.

    `differing` are the first hundred of `differences`; `job_id` is a check or rebuild under way; `read_at` is when
    spending was last read for alerts.
    """

    checked_at: datetime | None
    seq: int | None
    months: int
    differences: int
    differing: list[Difference]
    job_id: UUID | None
    read_at: datetime | None


class Retention(Row):
    """For how many days texts of entries are kept; None: for ever."""

    table: ClassVar[str] = "accounts"

    id: UUID
    preview_days: int | None


# What people ask and order ---------------------------------------------------------------------------------------


def state(database: Database, account_id: UUID) -> Trust:
    """For admins and finance. Raises `NotAllowed` for others of the company, `NotFound` for strangers."""
    return Trust.model_validate(database.call("money_trust", p_account_id=account_id))


def order_check(database: Database, account_id: UUID, job_id: UUID) -> UUID:
    """Have all months checked; returns the job's id, that of another's order if one is under way.

    Raises as `state` does, and `Conflict` while sums are being made anew.
    """
    return _ordered(database.call("order_money_check", p_job_id=job_id, p_account_id=account_id))


def order_rebuild(database: Database, account_id: UUID, job_id: UUID, reason: str) -> UUID:
    """Have all sums made anew from the ledger, then checked; for admins, audited. Returns and raises as `order_check`,
    and `InvalidInput` (field `reason`) without a reason."""
    return _ordered(database.call("order_cost_rebuild", p_job_id=job_id, p_account_id=account_id, p_reason=reason))


def _ordered(job_id: object) -> UUID:
    queue.wake()
    return UUID(str(job_id))


def preview_days(database: Database, account_id: UUID) -> int | None:
    """For how many days texts of entries are kept; None: for ever."""
    (found,) = database.select(Retention, [("id", "eq", account_id)])
    return found.preview_days


def set_preview_days(database: Database, account_id: UUID, days: int | None, reason: str) -> None:
    """For admins, audited. Raises `InvalidInput` (fields `preview_days`, `reason`), `NotAllowed`, `NotFound`."""
    database.call("set_preview_days", p_account_id=account_id, p_days=days, p_reason=reason)


# Jobs ------------------------------------------------------------------------------------------------------------


def check_company(context: Context) -> Outcome:
    """Check each month of the job's company."""
    company = _company(context)
    months = _months(context.database, company)
    return {"months": len(months), "differences": _check(context, company, months, 0.0)}


def rebuild(context: Context) -> Outcome:
    """Make the sums of each month anew, a transaction a month, while others write; then check them."""
    company = _company(context)
    months = _months(context.database, company)
    for place, month in enumerate(months):
        context.progress(0.5 * place / len(months), f"Making the sums of {month:%B %Y} anew")
        context.step(f"rebuild {month:%Y-%m}", partial(_rebuilt, context, company, month))
    return {"months": len(months), "differences": _check(context, company, months, 0.5)}


def check_recent(context: Context, company: UUID) -> int:
    """Check the last two months of a company, and those that differed or were never checked; tell what was found."""
    found = 0
    for month in _months(context.database, company, recent=True):
        context.check()
        found += _checked(context, company, month)["differences"]
    context.database.call("tell_money", p_account_id=company)
    return found


def forget_previews(context: Context) -> Outcome:
    """Delete texts of entries that are older than their company keeps them. Amounts stay as they are."""
    return {"deleted": sum(_forgotten(context, company) for company in companies(context.database))}


def companies(database: Database) -> Iterator[UUID]:
    after = None
    while page := database.select(Retention, order=[("id", "asc")], limit=ROW_CAP, after=after):
        yield from (company.id for company in page)
        after = (page[-1].id,)


def _company(context: Context) -> UUID:
    if context.job.account_id is None:
        raise ValueError(f"{context.job} names no company")
    return context.job.account_id


def _months(database: Database, company: UUID, *, recent: bool = False) -> list[date]:
    return DATES.validate_python(database.call("money_months", p_account_id=company, p_recent=recent))


def _check(context: Context, company: UUID, months: list[date], done: float) -> int:
    """`done`: the share of the job that came before."""
    found = 0
    for place, month in enumerate(months):
        context.progress(done + (1 - done) * place / len(months), f"Checking {month:%B %Y}")
        step = context.step(f"check {month:%Y-%m}", partial(_checked, context, company, month))
        found += int(step["differences"])
    context.database.call("tell_money", p_account_id=company)
    return found


def _rebuilt(context: Context, company: UUID, month: date) -> Outcome:
    context.database.call("rebuild_cost_rollups", p_account_id=company, p_month=month)
    return {}


def _checked(context: Context, company: UUID, month: date) -> Outcome:
    """Reports, never mends: to make sums anew would hide the cause."""
    found: int = context.database.call("keep_money_check", p_account_id=company, p_month=month)
    if found:
        log.error("%s money of company %s differs in %s: %s sums, see money_checks", tag(None), company, month, found)
    return {"differences": found}


def _forgotten(context: Context, company: UUID) -> int:
    deleted = 0
    while True:
        context.check()
        count: int = context.database.call("forget_previews", p_account_id=company, p_limit=BATCH)
        deleted += count
        if count < BATCH:
            return deleted
