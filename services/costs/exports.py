"""Costs as files: asked for by a person and made by a job, and the ledger month by month for other programs."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.costs.desk import LEDGER_BEGINS, Grain
from services.database.door import Database
from services.jobs import queue
from services.jobs.queue import Status

View = Literal[
    "store", "person", "service", "operation", "model", "category", "project", "clip", "months", "trend", "spending",
    "entries", "published", "unpublished", "savings",
]  # fmt: skip
VALUED: tuple[View, ...] = ("published", "unpublished", "savings")  # of what money was good for
Format = Literal["csv", "xlsx"]
Period = Literal["off", "daily", "monthly"]
PERIODS: tuple[Period, ...] = get_args(Period)
TITLES: dict[str, str] = {
    "trend": "Trend", "months": "Months", "spending": "Spending by month", "entries": "Entries of the ledger",
    "published": "Published clips", "unpublished": "Paid audio never published", "savings": "Saved by reuse",
}  # fmt: skip


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Wanted(_Answer):
    """What a file holds: a view of one store, or (None) of all that the person sees, over a range of UTC days.

    `grain` counts for the view `trend`, `filters` (names as `entries.FILTERS`) for `entries` and, `user_id` alone,
    for `spending`: what one person spent ever, by month.
    """

    view: View
    format: Format
    profile_id: UUID | None
    from_day: date
    to_day: date
    grain: Grain = "day"
    filters: Mapping[str, str] = {}

    @property
    def title(self) -> str:
        return TITLES.get(self.view, f"Costs by {self.view}")

    @classmethod
    def ledger(cls, file_format: Format, profile_id: UUID | None, today: date) -> "Wanted":
        """Every entry up to now."""
        return cls(view="entries", format=file_format, profile_id=profile_id, from_day=LEDGER_BEGINS, to_day=today)


class Export(_Answer):
    """A file that was asked for. What is known only of a finished one is None before."""

    id: UUID
    wanted: Wanted
    status: Status
    progress: float  # 0 to 1
    message: str
    error: str | None
    bytes: int | None
    lines: int | None
    total_usd: Decimal | None
    created_at: datetime
    expires_at: datetime

    @property
    def open(self) -> bool:
        return self.status in ("pending", "running")


class LedgerFile(_Answer):
    """A month of the ledger in the media store, with the entries up to `seq`."""

    id: UUID
    month: date
    path: str
    bytes: int
    lines: int
    total_usd: Decimal
    seq: int
    written_at: datetime


class Ledger(_Answer):
    """How often the ledger is written, why the last try failed (None: it did not), and the latest twelve months."""

    period: Period
    error: str | None
    tried_at: datetime | None
    files: list[LedgerFile]


class Exports(_Answer):
    """A person's latest exports, the newest first; `ledger` is None for managers."""

    mine: list[Export]
    ledger: Ledger | None


class File(_Answer):
    path: str
    file_name: str


def order(database: Database, account_id: UUID, wanted: Wanted, job_id: UUID) -> UUID:
    """Have the file made; returns the job: the one under way where the same was asked for before.

    Raises `InvalidInput`, `NotFound`, and `Conflict` while five exports of the person are under way.
    """
    made = database.call("enqueue_export", p_job_id=job_id, p_account_id=account_id, p_wanted=wanted.model_dump())
    queue.wake()
    return UUID(str(made))


def desk(database: Database, account_id: UUID) -> Exports:
    """Raises `NotFound` for strangers."""
    return Exports.model_validate(database.call("exports_desk", p_account_id=account_id))


def file(database: Database, export_id: UUID) -> File:
    """Where it lies. Raises `NotFound` for everybody but who asked and still sees its stores; for the ledger's files
    for everybody but admins and finance."""
    return File.model_validate(database.call("export_file", p_id=export_id))


def schedule(database: Database, account_id: UUID, period: Period, reason: str) -> None:
    """Admins only. The first files are made at once. Raises `InvalidInput` (period, reason), `NotAllowed`."""
    database.call("set_ledger_schedule", p_account_id=account_id, p_period=period, p_reason=reason)
    queue.wake()
