"""Making a call that somebody bills: noted before it begins, and its end told whatever becomes of it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from services.errors import AnswerLost, AppError, AttemptLost, Conflict, KeyChanged, VendorBusy
from services.jobs.checkpoints import reached
from services.jobs.context import Context

log = logging.getLogger(__name__)

MARGIN = 5.0  # seconds between a call's time-out and its deadline: for what the machine does around it

T = TypeVar("T")


@dataclass(frozen=True)
class Caller:
    """Who is called, with which saved key (None: the environment's, or none); `current` asks which one counts now."""

    name: str
    paid_outside: bool
    key_id: UUID | None
    current: Callable[[], UUID | None]


def make(context: Context, purchase_id: UUID, caller: Caller, seconds: float, call: Callable[[], T]) -> T:
    """Make the call that a purchase stands for, bounded by `seconds`.

    What proves that nothing was bought is told to the database, and raised; what does not is `AnswerLost`. Raises
    `KeyChanged` before the call if another key counts by now.
    """
    asked_at = time.time()  # not the monotonic clock: it stands still while a machine sleeps
    _send(context, purchase_id, caller, seconds + MARGIN)
    reached("sent")
    if time.time() - asked_at > MARGIN:  # the call would outlast the deadline that others rely on
        context.tell("refuse_purchase", p_purchase_id=purchase_id, p_error="The worker stood still before the call.")
        raise VendorBusy("This machine stood still for a moment. Nothing was bought; it is tried again.")
    try:
        answer = call()
    except AnswerLost:
        raise
    except AppError as exc:
        context.tell("refuse_purchase", p_purchase_id=purchase_id, p_error=str(exc))
        raise
    except Exception as exc:
        if caller.paid_outside:
            log.exception("%s: %s failed in an unforeseen way", context.job, caller.name)
            raise AnswerLost from exc
        context.tell("refuse_purchase", p_purchase_id=purchase_id, p_error=type(exc).__name__)
        raise
    reached("answered")
    return answer


def _send(context: Context, purchase_id: UUID, caller: Caller, seconds: float) -> None:
    """Note that the call begins, and with which key. Raises `KeyChanged` if that does not count any more."""
    try:
        context.write(
            "send_purchase", p_purchase_id=purchase_id, p_seconds=Decimal(str(seconds)), p_key_id=caller.key_id
        )
    except AttemptLost:
        raise
    except Conflict as exc:
        if caller.current() != caller.key_id:
            raise KeyChanged from exc
        raise
