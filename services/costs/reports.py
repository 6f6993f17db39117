"""What the Overview shows: counts, spend and quota of one store or of all."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import pandas as pd
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.database.door import Database
from services.errors import InvalidInput
from services.profiles import Quota

Range = Literal["7d", "30d", "90d", "all"]
RANGES: dict[Range, str] = {"7d": "7 days", "30d": "30 days", "90d": "90 days", "all": "All time"}


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Stats(_Answer):
    projects_count: int
    clips_count: int
    rendered_count: int
    speech_count: int


class Costs(_Answer):
    """US dollars inside the range; `monthly…` is this UTC month whatever the range. None = unlimited."""

    elevenlabs: Decimal
    gemini: Decimal
    total: Decimal
    by_service: dict[str, Decimal]
    monthly: Decimal
    monthly_quota: Decimal = Decimal(0)
    quota_remaining: Decimal | None = None


class SpendPoint(_Answer):
    day: date  # the bar's first UTC day
    service: str
    usd: Decimal


class ActivityPoint(_Answer):
    day: date
    kind: str
    count: int


class RecentClip(_Answer):
    id: UUID
    name: str
    created_at: datetime
    final_status: str
    thumbnail_path: str | None


class StoreRow(_Answer):
    """One store of the table over all stores."""

    id: UUID
    code: str
    name: str
    city: str | None
    timezone: str
    suspended: bool
    quota: Quota
    used_share: Decimal | None
    spent: Decimal
    failed_jobs: int
    last_speech_at: datetime | None
    failed_posts: int  # of the range: failed, or missed their moment
    unknown_posts: int  # of all time: nobody can tell whether they are live
    last_post_at: datetime | None  # the newest that is live
    account_dead: bool  # the account it publishes through failed its last test


class Dashboard(_Answer):
    """Of one store (`profile_id`, `recent_clips`) or of all the person sees (`stores`)."""

    time_range: Range
    bucket: Literal["day", "month"]
    from_day: date
    as_of: datetime
    stats: Stats
    costs: Costs
    quota: Quota | None
    spend: list[SpendPoint]
    activity: list[ActivityPoint]
    profile_id: UUID | None = None
    recent_clips: list[RecentClip] = []
    stores: list[StoreRow] = []

    def spend_frame(self) -> pd.DataFrame:
        """Columns day, service, usd (float: for drawing only, never for sums)."""
        rows = [(point.day, point.service, float(point.usd)) for point in self.spend]
        return pd.DataFrame(rows, columns=["day", "service", "usd"])

    def activity_frame(self) -> pd.DataFrame:
        """Columns day, kind, count."""
        rows = [(point.day, point.kind, point.count) for point in self.activity]
        return pd.DataFrame(rows, columns=["day", "kind", "count"])


def profile_dashboard(database: Database, profile_id: UUID, time_range: str = "30d") -> Dashboard:
    """One store. Raises `InvalidInput` for another range, `NotFound` for a store that is not the person's."""
    answer = database.call("profile_dashboard", p_profile_id=profile_id, p_range=parse_range(time_range))
    return Dashboard.model_validate(answer)


def account_dashboard(database: Database, account_id: UUID, time_range: str = "30d") -> Dashboard:
    """All of the person's stores in a company, worst first."""
    answer = database.call("account_dashboard", p_account_id=account_id, p_range=parse_range(time_range))
    return Dashboard.model_validate(answer)


class Summary(_Answer):
    """US dollars ever spent, and spent today (UTC)."""

    as_of: datetime
    all_time: Decimal
    today: Decimal


def summary(database: Database, account_id: UUID, profile_id: UUID | None = None) -> Summary:
    """Of one store, or (None) of all that the person sees in the company."""
    answer = database.call("cost_summary", p_account_id=account_id, p_profile_id=profile_id)
    return Summary.model_validate(answer)


def monthly_cost(database: Database, profile_id: UUID, month: date) -> Decimal:
    """US dollars a store spent towards its quota in the UTC month of `month`."""
    return Decimal(database.call("monthly_cost", p_profile_id=profile_id, p_month=month))


_RANGE: TypeAdapter[Range] = TypeAdapter(Range)


def parse_range(value: str) -> Range:
    if value not in RANGES:
        raise InvalidInput("The range must be 7d, 30d, 90d or all.", "range")
    return _RANGE.validate_python(value)
