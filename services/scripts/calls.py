"""Buying one phase of a run: intent and hold, call, settlement; the answer is kept on disk until the database has it.

What is true of a call stands in the table `purchases`, as for passages of speech (docs/speech.md draws its states). The
vendor has no list of what it answered: an answer that got lost is left to a person.
"""

import json
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from services import paid_calls
from services.errors import AnswerLost, AppError, KeyChanged, ProviderFailed, PurchaseUnclear, StorageFull
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Postponed
from services.logs import tag
from services.paid_calls import Caller
from services.scripts import connect, phases
from services.scripts.connect import Access
from services.scripts.phases import Phase
from services.scripts.practice import MODEL as PRACTICE
from services.scripts.practice import Practice
from services.scripts.writer import Answer, Request
from services.speech.bought import Purchase
from services.speech.provider import Speech
from services.speech.spool import Spool

log = logging.getLogger(__name__)

ROOM = 40_000  # characters of an answer, for which the spool takes 160 MB at most; see spool.ROOM_A_CHARACTER
UNCLEAR = (
    "The writer's answer was lost, and nobody can tell whether it was billed. "
    "Buy it again, or let an admin decide first."
)

T = TypeVar("T", bound=BaseModel)


class Step(BaseModel):
    """A phase's place in its run."""

    model_config = ConfigDict(frozen=True)

    place: int
    phase: Phase
    round: int


def buy(context: Context, account_id: UUID, step: Step, request: Request[T]) -> None:
    """Have the phase answered and stored with the run, bought at most once.

    Raises `Postponed` while an answer may still be on its way, `PurchaseUnclear` when nobody can tell, `ProviderFailed`
    for an answer that was billed and is no use, and whatever the writer raises when nothing was bought.
    """
    access = writer_for(context, account_id, request.model)
    purchase = _begin(context, access, step, request)
    spool = Spool(context.options.spool_folder)
    kept = spool.load(purchase.id)
    if kept is not None:
        _settle(context, spool, purchase.id, kept)
    elif purchase.state == "intent":
        _call(context, spool, access, purchase, request)
    elif purchase.state == "sent":
        _give_up(context, access, purchase)
    elif purchase.state == "unclear":
        raise PurchaseUnclear(UNCLEAR)


def writer_for(context: Context, account_id: UUID, model: str) -> Access:
    """What writes with this model for the job's store now. Raises `ProviderUnavailable`."""
    if model == PRACTICE:
        return Access(Practice(), None)
    return connect.for_store(context.database, context.options, account_id, context.job.profile_id)


def _begin(context: Context, access: Access, step: Step, request: Request[T]) -> Purchase:
    asked = {"system": request.system, "prompt": request.prompt}
    begun = context.write(
        "begin_step",
        p_step={**step.model_dump(), "model": request.model, "input": asked},
        p_units=access.writer.estimate(request).priced(),
    )
    reached("intended")
    return Purchase.model_validate(begun)


def _call(context: Context, spool: Spool, access: Access, purchase: Purchase, request: Request[T]) -> None:
    writer = access.writer
    caller = Caller(
        writer.name,
        writer.paid_outside,
        access.key_id,
        lambda: writer_for(context, purchase.account_id, request.model).key_id,
    )
    try:
        with spool.reserved(purchase.id, ROOM if writer.paid_outside else 0):
            answer = paid_calls.make(
                context, purchase.id, caller, request.deadline_seconds, lambda: writer.write(request)
            )
            kept = _as_kept(answer)
            _keep(context, spool, purchase, kept)
            reached("spooled")
            _settle(context, spool, purchase.id, kept)
    except KeyChanged as exc:
        raise Postponed(0, "The account was changed; asking with the new key") from exc
    except AnswerLost as exc:
        log.warning("%s: the answer of step %d was lost (%s)", context.job, purchase.place, exc)
        raise _unclear(context, purchase) from exc


def _give_up(context: Context, access: Access, purchase: Purchase) -> None:
    """An earlier attempt made the call, and its answer is nowhere."""
    if not access.writer.paid_outside:
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The worker stopped before the answer came.")
        raise Postponed(0, "Writing again: the worker stopped before the answer came")
    left = purchase.seconds_left or 0.0
    if left > 0:
        raise Postponed(left, f"Waiting whether {access.writer.label} still answers")
    raise _unclear(context, purchase)


def _unclear(context: Context, purchase: Purchase) -> PurchaseUnclear:
    context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=UNCLEAR)
    return PurchaseUnclear(UNCLEAR)


# Answers on disk and in the books ---------------------------------------------------------------------------------


def _as_kept(answer: Answer[T]) -> Speech:
    """What the spool keeps of an answer: what `settle_step` takes."""
    output, error = None, None
    try:
        output = phases.taken(answer).model_dump(mode="json")
    except ProviderFailed as exc:
        error = str(exc)
    told = {
        "units": answer.usage.priced(),
        "step": {
            "output": output,
            "error": error,
            "model_version": answer.model_version,
            "model_billed": answer.billed_model,
        },
    }
    total = Decimal(sum(answer.usage.priced().values()))
    return Speech(data=json.dumps(told).encode(), units=total, vendor_id=answer.response_id or None)


def _keep(context: Context, spool: Spool, purchase: Purchase, kept: Speech) -> None:
    try:
        spool.keep(purchase.id, kept)
    except StorageFull:  # it is in memory still: the books may take it
        log.exception("%s: the answer of step %d could not be spooled", context.job, purchase.place)


def _settle(context: Context, spool: Spool, purchase_id: UUID, kept: Speech) -> None:
    cost = book(context.tell, purchase_id, kept)
    reached("settled")
    spool.drop(purchase_id)
    log.info("%s %s: %s tokens, $%s", tag(context.job.profile_id), context.job, kept.units, cost)
    if error := json.loads(kept.data)["step"]["error"]:
        raise ProviderFailed(error)


def book(tell: Callable[..., Any], purchase_id: UUID, kept: Speech) -> Decimal:
    """Book a kept answer, once whoever asks; returns its cost in US dollars. `tell` calls the database."""
    told = json.loads(kept.data)
    try:
        cost = tell(
            "settle_step", p_purchase_id=purchase_id, p_units=told["units"], p_vendor_id=kept.vendor_id,
            p_step=told["step"],
        )  # fmt: skip
    except AppError:
        log.error("The answer of purchase %s is not booked yet", purchase_id)
        raise
    return TypeAdapter(Decimal).validate_python(cost)
