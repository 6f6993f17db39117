"""Work that comes round by itself: each period is a job with a unique slot, so that many workers make one."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import chain, islice
from typing import ClassVar
from uuid import UUID

from services.database.door import ROW_CAP, Database, Row
from services.jobs.context import Context, Outcome
from services.logs import tag

log = logging.getLogger(__name__)

PERIODS = {
    "sweep_media": 3600,
    "tidy": 3600,
    "check_money": 86_400,
    "export_ledger": 86_400,
    "voices": 3600,
    "reconcile": 300,
    "send_email": 60,
    "send_webhook": 60,
    "test_credentials": 86_400,
    "publish": 10,
    "channel_rules": 86_400,
}  # seconds between two slots
# The only folders the sweeper deletes from: the media folder may hold other people's files, too.
SWEPT = ("speech", "uploads", "clips", "thumbnails", "exports")
BATCH = 100  # paths asked about at once; few, so that a file is deleted right after the answer


class Calendar:
    """What this worker has planned already."""

    def __init__(self, periods: dict[str, int] | None = None) -> None:
        self._periods = PERIODS if periods is None else periods
        self._planned: dict[str, int] = {}

    def plan(self, database: Database, now: float | None = None) -> int:
        """Make the jobs of the present slots, unless another worker did; returns how many were made."""
        at = time.time() if now is None else now
        return sum(self._plan(database, kind, int(at // seconds)) for kind, seconds in self._periods.items())

    def _plan(self, database: Database, kind: str, slot: int) -> bool:
        if self._planned.get(kind) == slot:
            return False
        made: bool = database.call("ensure_periodic", p_kind=kind, p_slot=str(slot))
        self._planned[kind] = slot
        if made:
            log.info("%s created job %s for slot %s", tag(None), kind, slot)
        return made


def sweep_media(context: Context) -> Outcome:
    """Delete files that no row names: left by attempts that were killed, taken over or cancelled."""
    before = datetime.now(UTC) - timedelta(hours=context.options.sweep_hours)
    deleted = 0
    for path in _unknown(context, before):
        context.media.delete(path)
        deleted += 1
        log.debug("%s swept %s", tag(None), path)
    return {"deleted": deleted}


def _unknown(context: Context, before: datetime) -> Iterator[str]:
    found = chain.from_iterable(context.media.list(folder, before) for folder in SWEPT)
    while paths := list(islice(found, BATCH)):
        context.check()
        known = set(context.database.call("known_media", p_paths=paths))
        yield from (path for path in paths if path not in known)


def tidy(context: Context) -> None:
    """Delete expired sessions, old sign-in tries and old periodic jobs."""
    context.database.call("tidy")


class _Company(Row):
    table: ClassVar[str] = "accounts"

    id: UUID


def check_money(context: Context) -> Outcome:
    """Compare counters and sums of this month and the last with the ledger and the holds, company by company.

    Reports, never mends: `rebuild_cost_rollups` would hide the cause.
    """
    differences = companies = 0
    for company in _companies(context.database):
        context.check()
        companies += 1
        differences += sum(_differing(context, company, month) for month in _last_months(datetime.now(UTC).date()))
    return {"companies": companies, "differences": differences}


def _companies(database: Database) -> Iterator[UUID]:
    after = None
    while page := database.select(_Company, order=[("id", "asc")], limit=ROW_CAP, after=after):
        yield from (company.id for company in page)
        after = (page[-1].id,)


def _last_months(today: date) -> tuple[date, date]:
    first = today.replace(day=1)
    return first, (first - timedelta(days=1)).replace(day=1)


def _differing(context: Context, company: UUID, month: date) -> int:
    rows = context.database.call("check_money", p_account_id=company, p_month=month)
    for row in rows:
        store = None if str(row["scope_id"]) == str(company) else row["scope_id"]
        log.error("%s money of company %s differs in %s: %s", tag(store), company, month, row)
    return len(rows)
