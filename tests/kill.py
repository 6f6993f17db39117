"""Real worker processes that can be killed at a named place or at any moment, and what must hold afterwards."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

from services.config import ROOT, Settings
from services.database.embedded import Server
from services.jobs.context import Claimed, Context
from services.jobs.periodic import PERIODS, Calendar
from services.jobs.worker import Worker, main
from services.media.folder import Folder
from services.speech import generation
from tests.builders import World, speech

LEASE = 0.5  # seconds: short enough to wait for; on a busy machine heartbeats may come too late for it
LONG_LEASE = 60.0  # seconds: outlasts any test; `expire` ends it
NOTHING_PERIODIC: dict[str, int] = {}
PATIENCE = 30.0  # seconds until a test gives up waiting

# Processes forked in milliseconds from one that has the modules but no threads or connections.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.preloaded"])


def options(**values: Any) -> Settings:
    """Settings of a worker under test."""
    return Settings(**{"job_lease_seconds": LEASE, "job_poll_seconds": 0.05, "worker_threads": 2, **values})


def inside(world: World, folder: Folder, **values: Any) -> Worker:
    """A worker in this process, not started, without periodic work."""
    return Worker(world.as_worker(), folder, options(**values), calendar=Calendar(NOTHING_PERIODIC))


def claim(world: World, folder: Folder, *kinds: str, **values: Any) -> Context:
    """Claim a job by hand, for half a minute, without a worker's threads."""
    found = world.as_worker().call("claim_job", p_worker="hand", p_kinds=list(kinds), p_lease_seconds=30)
    return Context(Claimed.model_validate(found), world.as_worker(), folder, options(**values))


def expire(world: World, job_id: UUID) -> None:
    """Let the job's lease run out, as if its worker had been silent for long."""
    past = "update public.jobs set lease_until = now() - interval '1 second' where id = %s and status = 'running'"
    world.execute(past, job_id)


def quiet(world: World) -> None:
    """Leave workers nothing periodic to do for now, so that only the test's jobs pass the places of `kill_at`."""
    for kind, seconds in PERIODS.items():
        slot = int(time.time() // seconds)
        for number in (slot, slot + 1):
            world.job(kind, slot=str(number), status="completed")


def environment(
    server: Server, database: str, media: Path, kill_at: str | None = None, lease: float = LEASE
) -> dict[str, str]:
    """Settings of a worker process; `kill_at` as services/jobs/checkpoints.py says, such as "written:1"."""
    return {
        **os.environ,
        "DATABASE_URL": server.url("clipdesk_app", database),
        "DATABASE_WORKER_URL": server.url("clipdesk_worker", database),
        "CLIPDESK_DATA": str(media.parent / "data"),
        "MEDIA_DIR": str(media),
        "JOB_LEASE_SECONDS": str(lease),
        "JOB_POLL_SECONDS": "0.05",
        "CLIPDESK_KILL_AT": kill_at or "",
    }


def program(settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    """The worker as an operator starts it."""
    return subprocess.Popen([sys.executable, "-m", "services.jobs.worker"], env=settings, cwd=ROOT)


class Forked:
    """A worker process like `program`'s, from one that has imported everything: that alone takes 1.5 s."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._process = FORKS.Process(target=_become, args=(settings,))
        with plain_main():
            self._process.start()

    def wait(self, timeout: float) -> int | None:
        """How it ended, 0 or minus the signal; None: it goes on after `timeout` seconds."""
        self._process.join(timeout)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def plain_main() -> Iterator[None]:
    """A fork would run the file of the main module again, and a page's test puts the page's script there."""
    main_module = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main_module


def _become(settings: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(settings)
    os.chdir(ROOT)
    sys.exit(main())


def process(server: Server, database: str, media: Path, kill_at: str | None = None, lease: float = LEASE) -> Forked:
    """A worker process; its settings are as `environment` says."""
    return Forked(environment(server, database, media, kill_at, lease))


def die_at(place: str, server: Server, database: str, media: Path) -> None:
    """Run a worker process until it dies at this place. Its lease goes on."""
    worker = process(server, database, media, kill_at=place, lease=LONG_LEASE)
    try:
        assert worker.wait(PATIENCE) == -signal.SIGKILL
    finally:
        kill(worker)


@contextmanager
def processes(count: int, server: Server, database: str, media: Path) -> Iterator[list[Forked]]:
    """Worker processes; those that are in the list at the end are killed."""
    workers = [process(server, database, media) for _ in range(count)]
    try:
        yield workers
    finally:
        for worker in workers:
            kill(worker)


def kill(worker: Forked) -> None:
    worker.kill()
    assert worker.wait(PATIENCE) is not None


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    """The first true answer of `holds`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := holds():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")


def job_row(world: World, job_id: UUID) -> dict[str, Any]:
    (row,) = world.rows("select * from public.jobs where id = %s", job_id)
    return row


def wait_for_end(world: World, *job_ids: UUID) -> list[dict[str, Any]]:
    """The rows of these jobs, once all have ended."""
    ended = "select count(*) from public.jobs where id = any(%s) and status in ('completed', 'failed', 'cancelled')"
    wait_until(lambda: world.value(ended, list(job_ids)) == len(job_ids), "all jobs ended")
    return [job_row(world, job_id) for job_id in job_ids]


def working(world: World) -> bool:
    """Whether a job runs under a live lease, or none is left to run."""
    return bool(
        world.value(
            "select count(*) filter (where status = 'running' and lease_until > now()) > 0"
            " or count(*) filter (where status in ('pending', 'running')) = 0 from public.jobs where kind = 'speech'"
        )
    )


def order(world: World, store: UUID, person: UUID, text: str) -> UUID:
    """Queue speech as a page does; returns the job's id."""
    wanted = generation.SpeechOrder.model_validate(speech(text, voice="premium"))
    return generation.order_speech(world.as_person(person), store, wanted, uuid4())


def sweep(world: World, folder: Folder) -> None:
    """Sweep at once, however young the files are; only when nothing else writes."""
    job_id = world.job("sweep_media")
    worker = inside(world, folder, sweep_hours=0)
    worker.start()
    try:
        (row,) = wait_for_end(world, job_id)
    finally:
        worker.stop()
    assert row["status"] == "completed", row["error"]


def assert_nothing_lost(world: World, folder: Folder) -> None:
    """Every file has its row, every row its file; nothing is held or on its way; what was bought is booked once."""
    sweep(world, folder)
    assert_files_have_rows(world, folder)
    assert world.rows("select * from public.cost_holds where state in ('reserved', 'committed')") == []
    assert_booked_once(world)
    completed = world.rows("select id from public.jobs where kind = 'speech' and status = 'completed' order by id")
    assert world.rows("select job_id as id from public.speech_assets order by job_id") == completed


def assert_files_have_rows(world: World, folder: Folder) -> None:
    """The files of the media folder are those of speech and of passages that are kept."""
    paths = "select media_path from public.{} where media_path is not null"
    tables = ("speech_assets", "purchases")
    rows = {row["media_path"] for table in tables for row in world.rows(paths.format(table))}
    assert set(folder.list("speech", datetime.now(UTC) + timedelta(days=1))) == rows


def assert_booked_once(world: World) -> None:
    """No purchase is on its way, each that was made has exactly one ledger entry, and all sums equal the ledger."""
    assert world.rows("select * from public.purchases where state in ('intent', 'sent')") == []
    bought = "select id, job_id, cost_usd from public.purchases where state in ('settled', 'recovered') order by id"
    assert world.rows("select id, job_id, cost_usd from public.cost_entries order by id") == world.rows(bought)
    assert world.money_differences() == []
