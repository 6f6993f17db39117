"""Run one attempt at a job to its end, and write how it ended."""

import logging
import random

from services.costs import refusals
from services.errors import AppError, AttemptLost, Unavailable
from services.jobs.context import Cancelled, Claimed, Context, Postponed
from services.jobs.handlers import Handler

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 60.0  # seconds


def run(context: Context, handler: Handler) -> None:
    """Never raises: what goes wrong is written to the job, or else its lease runs out and it is tried again."""
    try:
        _complete(context, handler(context))
    except AttemptLost:
        log.warning("%s: another worker has it now, or it has ended", context.job)
    except Cancelled:
        _end(context, None, None)
    except Postponed as exc:
        _postpone(context, exc)
    except Exception as exc:
        sentence, again = failure(exc, context.job)
        _end(context, sentence, backoff(context.job.attempt) if again else None, refusals.facts(exc))


def failure(error: Exception, job: Claimed) -> tuple[str, bool]:
    """The sentence for the operator, and whether another attempt can help.

    A full disk or a refusing voice will be the same in a minute: that waits for a person, who may retry.
    """
    if isinstance(error, AppError) and type(error) is not AppError:
        return str(error), isinstance(error, Unavailable)
    log.error("%s: unexpected %s", job, type(error).__name__, exc_info=error)
    return f"Something unexpected went wrong; the worker's log has the details under job {job.id}.", True


def backoff(attempt: int) -> float:
    """Seconds until the attempt after this one: 2, 4, 8 … at most 60, less up to half so that crowds spread."""
    return min(LONGEST_BACKOFF, 2.0**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


def _complete(context: Context, result: dict[str, object] | None) -> None:
    if not context.ended:
        context.finish("complete_job", p_result=result)
    log.debug("%s: completed", context.job)


def _postpone(context: Context, wait: Postponed) -> None:
    try:
        context.postpone(wait.seconds, wait.sentence)
    except AppError as exc:
        log.warning("%s: could not be postponed (%s); its lease will run out", context.job, exc)
    else:
        log.info("%s: waits %.0f s. %s", context.job, wait.seconds, wait.sentence)


def _end(
    context: Context, sentence: str | None, retry_seconds: float | None, refusal: dict[str, object] | None = None
) -> None:
    try:
        status = context.fail(sentence, retry_seconds, refusal)
    except AppError as exc:
        log.warning("%s: its end could not be written (%s)", context.job, exc)
    else:
        log.log(
            logging.DEBUG if status == "cancelled" else logging.WARNING, "%s: %s. %s", context.job, status, sentence
        )
