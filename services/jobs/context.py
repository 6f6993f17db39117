"""One attempt at a job, as its handler sees it. Every write carries the attempt's token."""

import logging
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.config import Settings
from services.database.door import Database
from services.errors import AttemptLost, Unavailable
from services.jobs.checkpoints import reached
from services.logs import tag
from services.media.door import Media

log = logging.getLogger(__name__)

Outcome = dict[str, Any]  # plain JSON
PROGRESS_SECONDS = 1.0  # between two writes of progress, at least
PATIENCE = (0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0)  # seconds between tries while the database is away


class Cancelled(Exception):
    """A person asked the job to stop."""


class Postponed(Exception):
    """The job has to wait `seconds`; this attempt does not count. `sentence` says for what."""

    def __init__(self, seconds: float, sentence: str) -> None:
        super().__init__(sentence)
        self.seconds = seconds
        self.sentence = sentence


class Claimed(BaseModel):
    """A job as the worker that claimed it gets it. `steps` holds the outcomes of earlier attempts' steps."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    account_id: UUID | None
    profile_id: UUID | None
    kind: str
    input: dict[str, Any]
    attempt: int
    max_attempts: int
    attempt_token: UUID
    created_by: UUID | None
    steps: dict[str, Outcome]

    def __str__(self) -> str:
        return f"{tag(self.profile_id)} job {self.id} ({self.kind}, attempt {self.attempt})"


class Context:
    """What a handler gets. Its methods raise `AttemptLost` once another worker has the job: let it pass."""

    def __init__(self, job: Claimed, database: Database, media: Media, options: Settings) -> None:
        self.job = job
        self.database = database
        self.media = media
        self.options = options
        self.steps = dict(job.steps)
        self.ended = False  # the job's end is written
        self._over = threading.Event()  # taken over or given back: nothing of this attempt counts any more
        self._cancelled = False
        self._told: tuple[float, str] | None = None  # progress not written yet
        self._told_at = -PROGRESS_SECONDS
        self._told_lock = threading.Lock()
        self._beaten_at = time.monotonic()

    def step(
        self, name: str, run: Callable[[], Outcome], usable: Callable[[Outcome], bool] = lambda _: True
    ) -> Outcome:
        """`run()` once, its outcome stored; a later attempt gets the stored one if it is still `usable`.

        Raises `Cancelled` before the step if somebody asked for it.
        """
        self.check()
        if name in self.steps and usable(self.steps[name]):
            return self.steps[name]
        outcome = run()
        self.write("save_step", p_name=name, p_outcome=outcome)
        self.steps[name] = outcome
        reached("step_saved")
        return outcome

    def progress(self, share: float, sentence: str) -> None:
        """Say how far the job is, 0 to 1. Cheap: written at most once a second, the last word wins."""
        with self._told_lock:
            self._told = min(max(share, 0.0), 1.0), sentence

    def check(self) -> None:
        """Ask whether to go on: one round trip. Raises `Cancelled` or `AttemptLost`."""
        self._beat(self.write)
        if self._cancelled:
            raise Cancelled

    def write(self, function: str, **params: Any) -> Any:
        """Call a function that takes this attempt's token; waits up to half a minute for an absent database."""
        return self._patiently(lambda: self._call(function, **params))

    def tell(self, function: str, **params: Any) -> Any:
        """Tell a fact that counts whatever became of this attempt, such as what was bought. As patient as `write`."""
        return self._patiently(lambda: self.database.call(function, **params))

    def ask(self, function: str, **params: Any) -> Any:
        """Read something long, page by page. As patient as `write`."""
        return self._patiently(lambda: self.database.call(function, **params))

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        for seconds in PATIENCE:
            try:
                return ask()
            except Unavailable:
                self._over.wait(seconds)
        return ask()

    def finish(self, function: str, **params: Any) -> None:
        """End the job through a function that stores its result in the same transaction."""
        self.write(function, **params)
        self.ended = True
        reached("ended")

    # For the worker ------------------------------------------------------------------------------------------

    def fail(self, sentence: str | None, retry_seconds: float | None, refusal: Outcome | None = None) -> str:
        """End the attempt; the job is tried again after that time (None: never). Returns the job's new status.

        `refusal` says why an order was refused, where that ended it: what `refusals.facts` makes.
        """
        wait = None if retry_seconds is None else Decimal(f"{retry_seconds:.3f}")
        status: str = self.write("fail_job", p_error=sentence, p_retry_seconds=wait, p_refusal=refusal)
        return status

    def postpone(self, seconds: float, sentence: str) -> None:
        """Have the job taken up again after that time. The attempt does not count."""
        self.write("postpone_job", p_seconds=Decimal(f"{max(seconds, 0):.3f}"), p_message=sentence)
        self._over.set()

    def give_back(self) -> None:
        """Let another worker have the job at once. The attempt does not count."""
        self._call("give_back_job")
        self._over.set()

    def keep(self) -> None:
        """Extend the lease and write progress if either is due. One try: the next comes soon."""
        if self.ended or self._over.is_set():
            return
        if self._progress_due() or time.monotonic() - self._beaten_at >= self.options.job_lease_seconds / 3:
            self._beat(self._call)

    def _beat(self, call: Callable[..., Any]) -> None:
        share, sentence = self._take_progress()
        self._cancelled = call(
            "heartbeat_job",
            p_lease_seconds=Decimal(str(self.options.job_lease_seconds)),
            p_progress=share,
            p_message=sentence,
        )
        self._beaten_at = time.monotonic()

    def _progress_due(self) -> bool:
        return self._told is not None and time.monotonic() - self._told_at >= PROGRESS_SECONDS

    def _take_progress(self) -> tuple[Decimal | None, str | None]:
        with self._told_lock:
            told = self._told
            if told is None or not self._progress_due():
                return None, None
            self._told, self._told_at = None, time.monotonic()
        log.debug("%s: %.0f %% %s", self.job, told[0] * 100, told[1])
        return Decimal(f"{told[0]:.3f}"), told[1]

    def _call(self, function: str, **params: Any) -> Any:
        if self._over.is_set():
            raise AttemptLost
        try:
            return self.database.call(function, p_job_id=self.job.id, p_attempt_token=self.job.attempt_token, **params)
        except AttemptLost:
            self._over.set()
            raise
