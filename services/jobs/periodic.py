"""Work that comes round by itself: each period is a job with a unique slot, so that many workers make one."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice

from services.costs import trust
from services.database.door import Database
from services.jobs.context import Context, Outcome
from services.logs import tag

log = logging.getLogger(__name__)

PERIODS = {
    "sweep_media": 3600,
    "tidy": 3600,
    "check_money": 86_400,
    "export_ledger": 86_400,
    "forget_previews": 86_400,
    "alerts": 60,
    "voices": 3600,
    "reconcile": 300,
    "send_email": 60,
    "send_webhook": 60,
    "test_credentials": 86_400,
    "publish": 10,
    "channel_rules": 86_400,
}  # seconds between two slots
# The only folders the sweeper deletes from: the media folder may hold other people's files, too.
SWEPT = ("speech", "uploads", "clips", "thumbnails", "exports", "covers")
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


def check_money(context: Context) -> Outcome:
    """Compare counters and sums with the ledger and the holds, company by company; what was found is kept and told."""
    found = [trust.check_recent(context, company) for company in trust.companies(context.database)]
    return {"companies": len(found), "differences": sum(found)}
