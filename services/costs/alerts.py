"""Alerts: what spending is compared with, when it was last read, which stores suspend themselves, and the looking."""

import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database, Filter, Row
from services.errors import AppError, InvalidInput
from services.jobs.context import Context, Outcome
from services.logs import tag

log = logging.getLogger(__name__)

Scope = Literal["company", "store", "person"]
Measure = Literal["percent", "usd"]

STALE = timedelta(minutes=10)  # since spending was read: then pages warn, and so does the worker if it can
KINDS = ("quota", "person_spending", "spending_unreadable", "store_suspension")  # of the notices told here
MOST_DAYS = 30
_PERCENT = re.compile(r"\d{1,3}", re.ASCII)
# Commas between thousands only: "12,50", as half of Europe writes it, must not become 1250.
_AMOUNT = re.compile(r"(\d{1,8}|\d{1,3}(,\d{3}){1,2})(\.\d{1,2})?", re.ASCII)


class AlertRule(Row):
    """`percent` of the limit in force, or `amount_usd` US dollars a UTC month. No target: every store or person."""

    table: ClassVar[str] = "alert_rules"

    id: UUID
    scope: Scope
    target_id: UUID | None
    percent: int | None
    amount_usd: Decimal | None
    enabled: bool
    created_by: UUID | None  # None: came with the company
    created_at: datetime


class Suspension(Row):
    """Stores whose quota is used up are suspended after so many days (None: never); those `spared` are not."""

    table: ClassVar[str] = "suspension_settings"

    account_id: UUID
    after_days: int | None
    spared: list[UUID]
    version: int


class ToldAlert(Row):
    """A notice about spending, whoever it was told to."""

    table: ClassVar[str] = "notices"

    id: UUID
    profile_id: UUID | None
    text: str
    created_at: datetime
    resolved_at: datetime | None  # what it says is over


class Ways(BaseModel):
    """By which ways a person wishes to be told."""

    model_config = ConfigDict(frozen=True)

    inbox: bool
    email: bool


class Look(Row):
    """When a company's spending was last read."""

    table: ClassVar[str] = "alert_looks"

    account_id: UUID
    read_at: datetime


# For people -------------------------------------------------------------------------------------------------------


def rules(database: Database, account_id: UUID) -> list[AlertRule]:
    """Those that the person may see: the company's first, those of single stores and people after those of all."""
    found = database.select(AlertRule, [("account_id", "eq", account_id)])
    order = ("company", "store", "person")
    return sorted(
        found,
        key=lambda rule: (order.index(rule.scope), str(rule.target_id or ""), rule.percent or 0, rule.amount_usd or 0),
    )


def add(
    database: Database,
    account_id: UUID,
    rule_id: UUID,
    scope: Scope,
    target_id: UUID | None,
    measure: Measure,
    typed: str,
    reason: str,
) -> None:
    """A new alert, with an id made before. `typed`: whole percent of the limit, or US dollars a month.

    Raises `InvalidInput` (field `threshold` or `reason`), `Conflict` where there is such an alert, `NotFound`.
    """
    threshold = _percent(typed) if measure == "percent" else _amount(typed)
    database.call("add_alert_rule", p_id=rule_id, p_account_id=account_id, p_scope=scope, p_target_id=target_id,
                  p_percent=threshold if measure == "percent" else None,
                  p_amount_usd=threshold if measure == "usd" else None, p_reason=reason)  # fmt: skip


def _percent(typed: str) -> int:
    bare = typed.strip().removesuffix("%").strip()
    if not _PERCENT.fullmatch(bare):
        raise InvalidInput("Type a whole number of percent, such as 80.", "threshold")
    return int(bare)


def _amount(typed: str) -> Decimal:
    bare = typed.strip().removeprefix("$").strip()
    if not _AMOUNT.fullmatch(bare):
        raise InvalidInput("Type an amount in US dollars, such as 25.00.", "threshold")
    return Decimal(bare.replace(",", ""))


def switch(database: Database, rule_id: UUID, enabled: bool, reason: str) -> None:
    """Raises `InvalidInput` (reason), `Conflict` where somebody did it before."""
    database.call("switch_alert_rule", p_rule_id=rule_id, p_enabled=enabled, p_reason=reason)


def test(database: Database, rule_id: UUID) -> Ways:
    """Tell the person who asks, and nobody else, as this alert would. Raises `TooManyTries` within ten seconds."""
    return Ways.model_validate(database.call("test_alert_rule", p_rule_id=rule_id))


def suspension(database: Database, account_id: UUID) -> Suspension:
    (found,) = database.select(Suspension, [("account_id", "eq", account_id)])
    return found


def save_suspension(
    database: Database, account_id: UUID, after_days: int | None, spared: Sequence[UUID], version: int, reason: str
) -> int:
    """Returns the version afterwards. What was announced keeps its day.

    Raises `InvalidInput` (after_days, reason), `Conflict` where somebody saved another `version` meanwhile.
    """
    saved: int = database.call("save_suspension", p_account_id=account_id, p_after_days=after_days,
                               p_spared=list(spared), p_version=version, p_reason=reason)  # fmt: skip
    return saved


def told(database: Database, account_id: UUID, limit: int = 50) -> list[ToldAlert]:
    """What was told of spending, the latest first; what was told to single persons apart."""
    filters: list[Filter] = [("account_id", "eq", account_id), ("kind", "in", list(KINDS)), ("person_id", "is", None)]
    return database.select(ToldAlert, filters, order=[("created_at", "desc")], limit=limit)


def unread_since(database: Database, account_id: UUID, now: datetime | None = None) -> datetime | None:
    """When the company's spending was last read, if that is longer ago than `STALE`; else None."""
    looks = database.select(Look, [("account_id", "eq", account_id)])
    return stale(looks[0].read_at if looks else None, now)


def stale(read_at: datetime | None, now: datetime | None = None) -> datetime | None:
    """`read_at` if it is longer ago than `STALE`; else None."""
    return read_at if read_at and read_at < (now or datetime.now(UTC)) - STALE else None


# For the worker ---------------------------------------------------------------------------------------------------


def look(context: Context) -> Outcome:
    """Look at each company's spending and tell what is new, then of those that nobody could read for ten minutes."""
    companies: list[Any] = context.database.call("alert_companies")
    unread = sum(not _read(context, UUID(str(company))) for company in companies)
    return {"companies": len(companies), "unread": unread, "stale": context.database.call("tell_unread_spending")}


def _read(context: Context, company: UUID) -> bool:
    """One company's failure is not another's. A look tells of 100 at most, so that it stays short."""
    more, hindrance = True, None
    while more and not hindrance:
        context.check()
        more, hindrance = _looked_at(context.database, company)
    if hindrance:
        log.error("%s spending of company %s cannot be read: %s", tag(None), company, hindrance)
    return not hindrance


def _looked_at(database: Database, company: UUID) -> tuple[bool, str | None]:
    """Whether there is more to tell, and why spending cannot be read."""
    try:
        found = database.call("look_at_alerts", p_account_id=company)
    except AppError as exc:
        return False, str(exc)
    return found["more"], found["unreadable"]
