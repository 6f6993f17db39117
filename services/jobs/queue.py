"""Jobs as pages see them: list, look, cancel, retry, and waking the worker of this process."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from services.database.door import Database, Filter, Row
from services.errors import AppError, NotFound, QuotaExceeded
from services.logs import tag

log = logging.getLogger(__name__)

Status = Literal["pending", "running", "completed", "failed", "cancelled"]


class Job(Row):
    """Work in the background. `message` says how far it is, `error` why it failed; both are sentences."""

    table: ClassVar[str] = "jobs"

    id: UUID
    account_id: UUID | None  # None: work of the installation
    profile_id: UUID | None
    kind: str
    status: Status
    progress: float  # 0 to 1
    message: str
    error: str | None
    refusal: dict[str, Any] | None = None  # why its last order was refused: what `refusals.told` reads
    result: dict[str, Any] | None
    input: dict[str, Any]
    attempt: int
    max_attempts: int
    created_by: UUID | None  # None: System
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested_at: datetime | None
    run_after: datetime

    @property
    def open(self) -> bool:
        """Whether it may still change without a person's click."""
        return self.status in ("pending", "running")

    @property
    def stopping(self) -> bool:
        return self.open and self.cancel_requested_at is not None

    @property
    def seconds(self) -> float:
        """How long it ran, or has run so far; waiting in the queue aside."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or datetime.now(UTC)) - self.started_at).total_seconds()

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.created_at, self.id


def list_jobs(
    database: Database,
    *,
    account_id: UUID,
    profile_id: UUID | None = None,
    status: Status | None = None,
    kind: str | None = None,
    limit: int = 50,
    after: tuple[datetime, UUID] | None = None,
) -> list[Job]:
    """Jobs of a company that the person may see, newest first; `after` is the last seen job's `key`."""
    wanted = {"account_id": account_id, "profile_id": profile_id, "status": status, "kind": kind}
    filters: list[Filter] = [(column, "eq", value) for column, value in wanted.items() if value is not None]
    return database.select(Job, filters, order=[("created_at", "desc"), ("id", "desc")], limit=limit, after=after)


def get_job(database: Database, job_id: UUID) -> Job:
    """Raises `NotFound`, also for a job of somebody else's store."""
    found = database.select(Job, [("id", "eq", job_id)])
    if not found:
        raise NotFound("Job not found.")
    return found[0]


def cancel(database: Database, job_id: UUID) -> Literal["cancelled", "stopping"]:
    """Cancel a pending job at once, ask a running one to stop. Raises `Conflict` once it has ended."""
    state: Literal["cancelled", "stopping"] = database.call("cancel_job", p_job_id=job_id)
    log.debug("%s job %s: %s", tag(get_job(database, job_id).profile_id), job_id, state)
    return state


def retry(database: Database, job_id: UUID) -> None:
    """Run a failed or cancelled job again, under a new hold. Raises `Conflict`, `QuotaExceeded` and the like.

    Why the month's money does not cover it is kept with the job.
    """
    try:
        database.call("retry_job", p_job_id=job_id)
    except QuotaExceeded:
        with suppress(AppError):  # what refused it may be over already
            database.call("note_refusal", p_job_id=job_id)
        raise
    log.debug("%s job %s: pending again", tag(get_job(database, job_id).profile_id), job_id)
    wake()


# The process that enqueues wakes its own worker, if it has one; others look by themselves. ----------------------

_sleepers: list[Callable[[], None]] = []


def wake() -> None:
    """Make an idle worker of this process look for work at once."""
    for ring in list(_sleepers):
        ring()


def on_wake(ring: Callable[[], None]) -> None:
    _sleepers.append(ring)


def forget_wake(ring: Callable[[], None]) -> None:
    if ring in _sleepers:
        _sleepers.remove(ring)
