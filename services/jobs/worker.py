"""The worker: claims jobs and runs them, inside the app or as `python -m services.jobs.worker`.

Each of its job threads claims and runs one job at a time. Two more look after them: the keeper extends their leases
and plans periodic work, the drainer books what killed processes had bought. They share five database connections.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from decimal import Decimal

from services import credentials, logs, vault
from services.config import Settings, settings
from services.database.connect import OpenDoors, process_doors
from services.database.door import Database
from services.errors import AppError, AttemptLost, ProviderUnavailable, SettingsInvalid, Unavailable
from services.jobs import attempt, queue
from services.jobs.checkpoints import reached
from services.jobs.context import PROGRESS_SECONDS, Claimed, Context
from services.jobs.handlers import HANDLERS, Handler
from services.jobs.periodic import Calendar
from services.media.connect import workers_media
from services.media.door import Media
from services.speech import hibari, reconcile

log = logging.getLogger("services.jobs.worker")  # not by __name__: run by `python -m` that is __main__

IDLE_FACTOR = 5  # an idle worker ends up looking this many times less often
AWAY_SECONDS = 5.0  # between two looks, at most, while the database is away
DRAIN_SECONDS = 60.0  # between two looks into the spool
STOP_SECONDS = 8.0  # Docker kills after 10


class Bell:
    """Wakes whoever waits; a ring between looking and waiting is not lost."""

    def __init__(self) -> None:
        self.rings = 0
        self._condition = threading.Condition()

    def ring(self) -> None:
        with self._condition:
            self.rings += 1
            self._condition.notify_all()

    def wait(self, heard: int, seconds: float) -> bool:
        """Until it rings more often than `heard`; False when `seconds` passed without."""
        with self._condition:
            return self._condition.wait_for(lambda: self.rings != heard, seconds)


class Outage:
    """Says once that the database is away, and once that it is back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._answered_at = 0.0
        self._lock = threading.Lock()

    def begins(self, asked_at: float) -> None:
        """A question of that moment (`time.monotonic`) found no answer; an old one tells nothing new."""
        with self._lock:
            if self._since is None and asked_at > self._answered_at:
                self._since = time.monotonic()
                log.warning("The database does not answer; the worker keeps trying.")

    def ends(self) -> None:
        with self._lock:
            self._answered_at = time.monotonic()
            if self._since is not None:
                log.info("The database answers again after %.0f s.", self._answered_at - self._since)
                self._since = None


class Worker:
    """Runs jobs of the kinds in `handlers` between `start` and `stop`; used once."""

    def __init__(
        self,
        database: Database,
        media: Media,
        options: Settings,
        handlers: Mapping[str, Handler] = HANDLERS,
        calendar: Calendar | None = None,
    ) -> None:
        self._database = database
        self._media = media
        self._options = options
        self._handlers = handlers
        self._calendar = Calendar() if calendar is None else calendar
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._running: set[Context] = set()
        self._bell = Bell()
        self._outage = Outage()
        self._stopping = threading.Event()  # claim nothing more
        self._stopped = threading.Event()  # nothing runs any more
        self._keeper = threading.Thread(target=self._keep, name="job-keeper", daemon=True)
        self._drainer = threading.Thread(target=self._drain, name="spool-drainer", daemon=True)
        self._threads = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            for number in range(1, options.worker_threads + 1)
        ]

    def start(self) -> None:
        queue.on_wake(self.wake)
        for thread in (self._keeper, self._drainer, *self._threads):
            thread.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Claim nothing more, wait up to `timeout` seconds for what runs, and give back the rest."""
        queue.forget_wake(self.wake)
        self._stopping.set()
        self._bell.ring()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for context in tuple(self._running):
            self._give_back(context)
        self._stopped.set()
        for thread in (self._keeper, self._drainer):
            thread.join(STOP_SECONDS)

    def alive(self) -> bool:
        """Whether all its threads run."""
        return all(thread.is_alive() for thread in (self._keeper, self._drainer, *self._threads))

    def wake(self) -> None:
        """Look for work at once, if idle."""
        self._bell.ring()

    # A job thread --------------------------------------------------------------------------------------------

    def _work(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            heard = self._bell.rings
            pause = self._turn(pause)
            if pause and self._bell.wait(heard, pause):
                pause = 0.0

    def _turn(self, pause: float) -> float:
        """Run a job if there is one. Returns the seconds until the next look; `pause` were those before this."""
        poll, asked_at = self._options.job_poll_seconds, time.monotonic()
        try:
            job = self._claim()
        except Unavailable:
            self._outage.begins(asked_at)
            return min(max(pause, poll) * 2, AWAY_SECONDS)
        except Exception:  # a thread that ends would leave the queue unattended
            log.exception("Looking for work failed.")
            return AWAY_SECONDS
        self._outage.ends()
        if job is None:
            return min(pause * 1.5, poll * IDLE_FACTOR) or poll
        self._run(job)
        return 0.0

    def _claim(self) -> Claimed | None:
        found = self._database.call(
            "claim_job",
            p_worker=self._name,
            p_kinds=list(self._handlers),
            p_lease_seconds=Decimal(str(self._options.job_lease_seconds)),
        )
        return Claimed.model_validate(found) if found else None

    def _run(self, job: Claimed) -> None:
        log.debug("%s: running", job)
        reached("claimed")
        context = Context(job, self._database, self._media, self._options)
        self._running.add(context)
        try:
            attempt.run(context, self._handlers[job.kind])
        finally:
            self._running.discard(context)

    def _give_back(self, context: Context) -> None:
        try:
            context.give_back()
            log.info("%s: given back", context.job)
        except AppError as exc:
            log.warning("%s: could not be given back (%s); its lease will run out", context.job, exc)

    # The keeper ----------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        tick = min(self._options.job_lease_seconds / 3, PROGRESS_SECONDS)
        while not self._stopped.wait(tick):
            asked_at = time.monotonic()
            try:
                self._keep_once()
            except Unavailable:
                self._outage.begins(asked_at)
            except Exception:  # leases must not run out because one look went wrong
                log.exception("Keeping the leases failed.")

    def _keep_once(self) -> None:
        for context in tuple(self._running):
            with suppress(AttemptLost):  # the job's own thread finds out at its next write
                context.keep()
        if not self._stopping.is_set() and self._calendar.plan(self._database):
            self._bell.ring()

    # The drainer ---------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Book answers that a killed process of this machine had bought and kept."""
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = DRAIN_SECONDS
            try:
                if done := reconcile.drain(self._database, self._media, self._options.spool_folder):
                    log.info("Finished %d purchases that were left in the spool.", done)
            except Unavailable:
                pause = AWAY_SECONDS
            except Exception:
                log.exception("The spool could not be drained; it is tried again.")


# The worker of this process --------------------------------------------------------------------------------------

_inside: list[Worker] = []


def worker_inside(opened: OpenDoors, options: Settings) -> Worker | None:
    """Start the app's own worker; None where settings or a missing login say that there is none."""
    if not options.worker_inside or not opened.works:
        return None
    worker = _start(opened, options)
    _inside[:] = [worker]
    return worker


def current_worker() -> Worker | None:
    """The app's own worker, if `worker_inside` started one."""
    return _inside[-1] if _inside else None


def _start(opened: OpenDoors, options: Settings) -> Worker:
    vault.note(opened.worker(), options)
    credentials.adopt(opened.worker(), options)
    worker = Worker(opened.worker(), workers_media(options), options)
    worker.start()
    threading.Thread(target=_warm_up, name="voice-warm-up", daemon=True).start()
    return worker


def _warm_up() -> None:
    """Load the embedded voice before the first job wants it."""
    try:
        hibari.warm()
    except ProviderUnavailable as exc:
        log.warning("%s", exc)


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        options = settings()
        logs.configure(options.log_level)
        _serve(options, stop)
    except AppError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


def _serve(options: Settings, stop: threading.Event) -> None:
    if options.cloud and options.supabase_secret_key is None:
        raise SettingsInvalid("Set SUPABASE_SECRET_KEY to the project's secret key.")
    if options.database_url and options.database_worker_url is None:
        raise SettingsInvalid("Set DATABASE_WORKER_URL to the address of the login clipdesk_worker.")
    with ExitStack() as stack:
        opened = _opened(stack, options, stop)
        if opened:
            stack.callback(_start(opened, options).stop)
            log.info("The worker runs.")
            stop.wait()


def _opened(stack: ExitStack, options: Settings, stop: threading.Event) -> OpenDoors | None:
    """The process's doors, as soon as the database answers; None when told to stop before."""
    outage = Outage()
    while not stop.is_set():
        try:
            return stack.enter_context(process_doors(options))
        except Unavailable:
            outage.begins(time.monotonic())
            stop.wait(AWAY_SECONDS)
    return None


if __name__ == "__main__":
    sys.exit(main())
