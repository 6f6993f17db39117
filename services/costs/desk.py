"""What the Costs page shows: sums of a range, of its months and this month's outlook, for one store or for all."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from services.costs import forecast
from services.costs.assistants import AssistantCost
from services.costs.forecast import Forecast
from services.database.door import Database
from services.errors import InvalidInput
from services.profiles import Quota

Grain = Literal["day", "week", "month"]
Cut = Literal["service", "operation", "model", "category"]
RANGES = {
    "month": "This month",
    "last": "Last month",
    "3m": "3 months",
    "12m": "12 months",
    "all": "All time",
    "custom": "From … to",
}
LEDGER_BEGINS = date(2000, 1, 1)
MOST_BARS = 400  # of a trend; with more, its bars become weeks or months


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Line(_Answer):
    """A sum of one service, operation, model or category. `service` stands at models only: two may share a name."""

    key: str
    service: str | None = None
    usd: Decimal
    entries: int


class StoreLine(_Answer):
    key: UUID
    name: str | None
    code: str | None
    archived: bool
    usd: Decimal
    entries: int


class PersonLine(_Answer):
    """`key` None is System: work that nobody asked for."""

    key: UUID | None
    name: str | None
    deactivated: bool
    usd: Decimal
    entries: int


class WorkLine(_Answer):
    """A project or clip."""

    key: UUID
    name: str | None
    store: str | None
    deleted: bool
    usd: Decimal
    entries: int


class MonthLine(_Answer):
    month: date
    usd: Decimal
    entries: int


class Bar(_Answer):
    day: date  # the bar's first UTC day
    service: str
    usd: Decimal


class Compared(_Answer):
    """The range's last month beside the one before it; `before_so_far` is that one up to the same day."""

    month: date
    usd: Decimal
    before: Decimal
    before_so_far: Decimal


class DayLine(_Answer):
    day: date
    usd: Decimal


class Outlook(_Answer):
    """This month's limit, None where the asked stores share none, and the spending that counts, half a year of it."""

    quota: Quota | None
    days: list[DayLine]

    def spent_by_day(self) -> dict[date, float]:
        """For drawing and foretelling only, never for sums."""
        return {line.day: float(line.usd) for line in self.days}

    def foretell(self, today: date) -> Forecast | None:
        """The end of the month of `today`; None where too little is known."""
        limit = float(self.quota.limit) if self.quota and self.quota.limit is not None else None
        return forecast.of_month(self.spent_by_day(), today, limit)


class Desk(_Answer):
    """US dollars; days and months are UTC. Projects, clips and people are summed over whole months."""

    profile_id: UUID | None
    from_day: date
    to_day: date
    from_month: date
    to_month: date
    grain: Grain
    as_of: datetime
    seq: int  # the ledger's last entry that is in these sums
    all_people: bool  # whether `people` has everybody, or only who asked
    total: Decimal
    counted: Decimal  # of `total`, what counts towards the quota
    entries: int
    whole_months: Decimal
    month: Compared
    months: list[MonthLine]
    trend: list[Bar]
    cuts: dict[Cut, list[Line]]
    stores: list[StoreLine]
    people: list[PersonLine]
    projects: list[WorkLine]
    clips: list[WorkLine]
    outlook: Outlook
    assistants: list[AssistantCost] = Field(default_factory=list)  # an export has none

    @property
    def today(self) -> date:
        return self.as_of.astimezone(UTC).date()

    @property
    def in_whole_months(self) -> bool:
        """Whether the range is made of whole months, the last perhaps under way."""
        end = _next_month(self.to_month) - timedelta(days=1)
        return self.from_day == self.from_month and (self.to_day == end or self.to_day >= self.today)

    def rest(self, shown: Sequence[WorkLine]) -> Decimal:
        """What the months cost beside the projects or clips shown."""
        return self.whole_months - sum((line.usd for line in shown), Decimal(0))

    def trend_frame(self) -> pd.DataFrame:
        """Columns day, service, usd (float: for drawing only, never for sums)."""
        rows = [(bar.day, bar.service, float(bar.usd)) for bar in self.trend]
        return pd.DataFrame(rows, columns=["day", "service", "usd"])


def span(choice: str, today: date, first: date | None = None, last: date | None = None) -> tuple[date, date]:
    """The first and last UTC day of a range by its name in `RANGES`; a custom one's own days.

    Raises `InvalidInput` (field `range`) for another name, a day that is missing or a last day before the first.
    """
    month = today.replace(day=1)
    if choice == "custom":
        return _custom(first, last)
    if choice == "last":
        end = month - timedelta(days=1)
        return end.replace(day=1), end
    begins = {"month": month, "3m": _months_before(month, 2), "12m": _months_before(month, 11), "all": LEDGER_BEGINS}
    if choice not in begins:
        raise InvalidInput("The range must be one of those offered.", "range")
    return begins[choice], today


def _custom(first: date | None, last: date | None) -> tuple[date, date]:
    if first is None or last is None:
        raise InvalidInput("Choose the first and the last day.", "range")
    if last < first:
        raise InvalidInput("The last day lies before the first.", "range")
    return first, last


def _months_before(month: date, count: int) -> date:
    months = month.year * 12 + month.month - 1 - count
    return date(months // 12, months % 12 + 1, 1)


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def fitting_grain(wanted: Grain, first: date, last: date) -> Grain:
    """`wanted`, or the next coarser one that leaves at most `MOST_BARS` bars."""
    days = (last - first).days + 1
    if wanted == "day" and days > MOST_BARS:
        wanted = "week"
    return "month" if wanted == "week" and days > 7 * MOST_BARS else wanted


def ask(
    database: Database, account_id: UUID, profile_id: UUID | None, first: date, last: date, grain: Grain = "day"
) -> Desk:
    """One store, or (None) all that the person sees. Raises `InvalidInput`, `NotFound`."""
    answer = database.call(
        "costs_desk", p_account_id=account_id, p_profile_id=profile_id, p_from=first, p_to=last, p_grain=grain
    )
    return Desk.model_validate(answer)
