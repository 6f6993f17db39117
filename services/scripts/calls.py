"""Buying one answer of a writer: intent and hold, call, settlement; it is kept on disk until the books have it.

What is true of a call stands in the table `purchases`, as for passages of speech (docs/speech.md draws its states). The
vendor has no list of what it answered: an answer that got lost is left to a person.
"""

import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from services import paid_calls
from services.errors import AnswerLost, AppError, KeyChanged, ProviderFailed, PurchaseUnclear, StorageFull
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Postponed
from services.media.door import Media
from services.paid_calls import Caller
from services.scripts import connect
from services.scripts.connect import Access
from services.scripts.practice import MODEL as PRACTICE
from services.scripts.practice import Practice
from services.scripts.writer import Drawing, Order, Served
from services.speech.bought import Purchase
from services.speech.provider import Speech
from services.speech.spool import Spool

log = logging.getLogger(__name__)

ROOM: dict[bool, int] = {  # bytes of the spool that an answer may need
    False: 1 << 20,  # a text: the longest has a third of it
    True: 24 << 20,  # a picture of at most 16 MiB, as base64
}
UNCLEAR = (
    "The writer's answer was lost, and nobody can tell whether it was billed. "
    "Buy it again, or let an admin decide first."
)


@dataclass(frozen=True)
class File:
    """A file of an answer, and where it lies in the media store: a path that only this purchase's job has."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Taken:
    """What is stored of an answer: its `output`, or the sentence why it is no use, and a file that belongs to it."""

    output: dict[str, Any] | None
    error: str | None = None
    file: File | None = None


@dataclass(frozen=True)
class Call:
    """A call to make. `begin` notes it and holds the most it may use, by kind of unit; `take` reads its answer."""

    order: Order
    begin: Callable[[dict[str, int]], Any]
    take: Callable[[Any], Taken]


def buy(context: Context, account_id: UUID, call: Call) -> None:
    """Have the call answered and its answer stored, bought at most once.

    Raises `Postponed` while an answer may still be on its way, `PurchaseUnclear` when nobody can tell, `ProviderFailed`
    for an answer that was billed and is no use, `StorageFull` where its file finds no room (the spool keeps it), and
    whatever the writer raises when nothing was bought.
    """
    access = writer_for(context, account_id, call.order.model)
    purchase = _begin(access, call)
    spool = Spool(context.options.spool_folder)
    kept = spool.load(purchase.id)
    if kept is not None:
        _settle(context, spool, purchase.id, kept)
    elif purchase.state == "intent":
        _call(context, spool, access, purchase, call)
    elif purchase.state == "sent":
        _give_up(context, access, purchase)
    elif purchase.state == "unclear":
        raise PurchaseUnclear(UNCLEAR)


def writer_for(context: Context, account_id: UUID, model: str) -> Access:
    """What writes with this model for the job's store now. Raises `ProviderUnavailable`."""
    if model == PRACTICE:
        return Access(Practice(), None)
    return connect.for_store(context.database, context.options, account_id, context.job.profile_id)


def _begin(access: Access, call: Call) -> Purchase:
    begun = call.begin(access.writer.estimate(call.order).priced())
    reached("intended")
    return Purchase.model_validate(begun)


def _call(context: Context, spool: Spool, access: Access, purchase: Purchase, call: Call) -> None:
    writer, order = access.writer, call.order
    caller = Caller(
        writer.name,
        writer.paid_outside,
        access.key_id,
        lambda: writer_for(context, purchase.account_id, order.model).key_id,
    )

    def ask() -> Served:
        return writer.draw(order) if isinstance(order, Drawing) else writer.write(order)

    try:
        with spool.reserved(purchase.id, ROOM[isinstance(order, Drawing)]):
            answer = paid_calls.make(context, purchase.id, caller, order.deadline_seconds, ask)
            kept = _as_kept(answer, call.take(answer))
            _keep(context, spool, purchase, kept)
            reached("spooled")
            _settle(context, spool, purchase.id, kept)
    except KeyChanged as exc:
        raise Postponed(0, "The account was changed; asking with the new key") from exc
    except AnswerLost as exc:
        log.warning("%s: the answer of call %d was lost (%s)", context.job, purchase.place, exc)
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


def _as_kept(answer: Served, taken: Taken) -> Speech:
    """What the spool keeps of an answer: what `settle_call` takes, and its file."""
    file = taken.file
    told = {
        "units": answer.usage.priced(),
        "answer": {
            "output": taken.output,
            "error": taken.error,
            "model_version": answer.model_version,
            "model_billed": answer.billed_model,
        },
        "file": {"path": file.path, "data": base64.b64encode(file.data).decode()} if file else None,
    }
    total = Decimal(sum(answer.usage.priced().values()))
    return Speech(data=json.dumps(told).encode(), units=total, vendor_id=answer.response_id or None)


def _keep(context: Context, spool: Spool, purchase: Purchase, kept: Speech) -> None:
    try:
        spool.keep(purchase.id, kept)
    except StorageFull:  # it is in memory still: the books may take it
        log.exception("%s: the answer of call %d could not be spooled", context.job, purchase.place)


def _settle(context: Context, spool: Spool, purchase_id: UUID, kept: Speech) -> None:
    cost = book(context.tell, context.media, purchase_id, kept)
    reached("settled")
    spool.drop(purchase_id)
    log.info("%s: %s tokens, $%s", context.job, kept.units, cost)
    if error := json.loads(kept.data)["answer"]["error"]:
        raise ProviderFailed(error)


def book(tell: Callable[..., Any], media: Media, purchase_id: UUID, kept: Speech) -> Decimal:
    """Store a kept answer's file and book it, once whoever asks; returns its cost in US dollars.

    `tell` calls the database. Raises `StorageFull` for a file that finds no room, after it was booked all the same.
    """
    told = json.loads(kept.data)
    full = _store(media, told["file"])
    try:
        cost = tell(
            "settle_call", p_purchase_id=purchase_id, p_units=told["units"], p_vendor_id=kept.vendor_id,
            p_answer=told["answer"],
        )  # fmt: skip
    except AppError:
        log.error("The answer of purchase %s is not booked yet", purchase_id)
        raise
    if full:
        raise full
    return TypeAdapter(Decimal).validate_python(cost)


def _store(media: Media, file: dict[str, str] | None) -> StorageFull | None:
    if file is None:
        return None
    try:
        media.write(file["path"], base64.b64decode(file["data"]))
    except StorageFull as exc:
        return exc
    reached("filed")
    return None
