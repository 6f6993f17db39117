"""Buying one passage: intent, call, settle; and finding the answer again when it was lost on its way.

What is true of a purchase stands in the table `purchases` (docs/speech.md draws its states). A call is made at most
once for each row, and whatever was billed is booked exactly once, whoever of several attempts finds out.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services import audio
from services.config import Settings
from services.errors import (
    AnswerLost,
    AppError,
    Conflict,
    ProviderFailed,
    ProviderUnavailable,
    PurchaseUnclear,
    StorageFull,
    VendorBusy,
)
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Postponed
from services.logs import tag
from services.speech.provider import Line, Provider, Recovers, Speech
from services.speech.spool import Spool

log = logging.getLogger(__name__)

MARGIN = 5.0  # seconds between a call's time-out and its deadline: for what the machine does around it
LOOK_AGAIN = 5.0  # seconds between two looks for a lost answer, at most
UNCLEAR = (
    "The voice's answer was lost, and nobody can tell whether it was billed. "
    "Buy it again, or let an admin decide first."
)

State = Literal["intent", "sent", "settled", "recovered", "unclear", "refused", "reused"]


class Purchase(BaseModel):
    """A row of `purchases` as the worker gets it. `seconds_left` until its deadline; negative after it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    account_id: UUID
    profile_id: UUID
    job_id: UUID
    place: int
    provider: str
    characters: int
    state: State
    cost_usd: Decimal
    media_path: str | None
    sent_at: datetime | None
    seconds_left: float | None
    rivals: bool = False


def grace(options: Settings) -> float:
    """Seconds after a deadline until the vendor's list proves an absence: half the time an answer may take."""
    return options.elevenlabs_seconds / 2


def buy(context: Context, provider: Provider, line: Line, place: int) -> str:
    """The media path of the spoken passage `place` of this job, bought at most once.

    Raises `Postponed` while a lost answer may still turn up, `PurchaseUnclear` when nobody can tell, and
    whatever the provider raises when nothing was bought.
    """
    while True:
        purchase = Purchase.model_validate(context.write("begin_purchase", p_place=place))
        reached("intended")
        if purchase.state == "unclear":
            raise PurchaseUnclear(UNCLEAR)
        if purchase.media_path is not None:
            return _kept(context, purchase, purchase.media_path)
        path = _obtain(context, provider, line, purchase)
        if path is not None:
            return path


def _obtain(context: Context, provider: Provider, line: Line, purchase: Purchase) -> str | None:
    """The path of the audio; None where the purchase turned out not to have happened, so that another may begin."""
    spool = Spool(context.options.spool_folder)
    kept = spool.load(purchase.id)
    if kept is not None:
        return _store(context, spool, purchase, kept, recovered=False)
    if purchase.state == "intent":
        return _call(context, spool, provider, line, purchase)
    if purchase.state == "sent":
        return _find(context, spool, provider, line, purchase)
    raise _spoiled(context, purchase, "This passage was paid for, but its audio cannot be used. A retry buys it again.")


def _kept(context: Context, purchase: Purchase, path: str) -> str:
    if context.media.exists(path):
        return path
    raise _spoiled(context, purchase, "This passage was paid for, but its file is gone. A retry buys it again.")


def _spoiled(context: Context, purchase: Purchase, sentence: str) -> ProviderFailed:
    """Bought and booked, but no sound to use: only a person's retry buys it again."""
    context.tell("spoil_purchase", p_purchase_id=purchase.id, p_error=sentence)
    return ProviderFailed(sentence)


def _call(context: Context, spool: Spool, provider: Provider, line: Line, purchase: Purchase) -> str | None:
    if not provider.paid_outside:  # nothing that could be lost: no room, no proof
        speech = _speak(context, provider, line, purchase)
        return _store(context, None, purchase, speech, recovered=False)
    try:
        with spool.reserved(purchase.id, purchase.characters):
            speech = _speak(context, provider, line, purchase)
            _keep(context, spool, purchase, speech)
            reached("spooled")
            return _store(context, spool, purchase, speech, recovered=False)
    except AnswerLost as exc:
        log.warning("%s: the answer of passage %d was lost (%s)", context.job, purchase.place, exc)
        sent = Purchase.model_validate(context.write("begin_purchase", p_place=purchase.place))
        return _find(context, spool, provider, line, sent, ours=True)


def _keep(context: Context, spool: Spool, purchase: Purchase, speech: Speech) -> None:
    try:
        spool.keep(purchase.id, speech)
    except StorageFull:  # it is in memory still: the media store and the books may take it
        log.exception("%s: the answer of passage %d could not be spooled", context.job, purchase.place)


def _speak(context: Context, provider: Provider, line: Line, purchase: Purchase) -> Speech:
    """Call the provider once. What proves that nothing was bought is told; what does not is `AnswerLost`."""
    seconds = context.options.elevenlabs_seconds if provider.paid_outside else context.options.engine_seconds
    wait = Decimal(str(seconds + MARGIN))
    asked_at = time.time()  # not the monotonic clock: it stands still while a machine sleeps
    context.write("send_purchase", p_purchase_id=purchase.id, p_seconds=wait)
    reached("sent")
    if time.time() - asked_at > MARGIN:  # the call would outlast the deadline that others rely on
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The worker stood still before the call.")
        raise VendorBusy("This machine stood still for a moment. Nothing was bought; it is tried again.")
    try:
        speech = provider.synthesize(line, seconds)
    except AnswerLost:
        raise
    except AppError as exc:
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error=str(exc))
        raise
    except Exception as exc:
        if provider.paid_outside:
            log.exception("%s: %s failed in an unforeseen way", context.job, provider.name)
            raise AnswerLost from exc
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error=type(exc).__name__)
        raise
    reached("answered")
    return speech


def _find(
    context: Context, spool: Spool, provider: Provider, line: Line, purchase: Purchase, *, ours: bool = False
) -> str | None:
    """The answer of a call that never arrived; None once it is proven that there is none.

    `ours`: this attempt made the call, so it is not on its way any more.
    """
    if not provider.paid_outside:
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The worker stopped before the answer came.")
        return None
    left = purchase.seconds_left or 0.0
    if not isinstance(provider, Recovers):
        if left > 0 and not ours:
            raise Postponed(left, f"Waiting whether {provider.label} still answers")
        context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=UNCLEAR)
        raise PurchaseUnclear(UNCLEAR)
    left += grace(context.options)
    try:
        speech = ask(context, provider, line, purchase)
    except ProviderUnavailable as exc:
        if left > 0:
            raise Postponed(LOOK_AGAIN, str(exc)) from exc
        context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=f"{UNCLEAR} {exc}")
        raise PurchaseUnclear(UNCLEAR) from exc
    if speech is not None:
        return _store(context, spool, purchase, speech, recovered=True)
    if left > 0 or purchase.rivals:
        raise Postponed(min(max(left, 0.1), LOOK_AGAIN), f"Asking {provider.label} whether the lost answer was made")
    context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The vendor has not made it.", p_absent=True)
    return None


def ask(context: Context, provider: Recovers, line: Line, purchase: Purchase) -> Speech | None:
    """What the vendor has made for this call; never while another call for the same words is on its way."""
    if purchase.rivals or purchase.sent_at is None:
        return None
    claimed = context.database.call(
        "claimed_vendor_ids",
        p_account_id=purchase.account_id,
        p_provider=purchase.provider,
        p_since=purchase.sent_at,
    )
    try:
        return provider.recover(line, sent_at=purchase.sent_at, claimed=claimed)
    except VendorBusy as exc:
        raise Postponed(LOOK_AGAIN, str(exc)) from exc


def _store(context: Context, spool: Spool | None, purchase: Purchase, speech: Speech, *, recovered: bool) -> str:
    """File first, then the books; the answer stays in the spool until both have it. Returns the file's path."""
    path = part_path(purchase, speech.data)
    full = _write(context, path, speech.data)
    if full and spool is None:  # made on this machine: nobody billed it, and it is gone
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error=str(full))
        raise full
    reached("written")
    unusable = useless(speech)
    try:
        cost = settle(context.tell, purchase, speech, None if full or unusable else path, recovered=recovered)
    except Conflict as exc:  # another purchase has claimed this very answer meanwhile
        raise Postponed(1.0, "Asking once more whether the lost answer was made") from exc
    reached("settled")
    if full:
        raise full
    if spool:
        spool.drop(purchase.id)
    if unusable:
        sentence = f"The voice gave {unusable} for passage {purchase.place + 1}."
        if cost:
            sentence += f" It was billed (${cost:.4f}) and is booked; a retry buys it again."
        raise _spoiled(context, purchase, sentence)
    return path


def _write(context: Context, path: str, data: bytes) -> StorageFull | None:
    try:
        context.media.write(path, data)
    except StorageFull as exc:  # what was bought is booked all the same
        return exc
    return None


def settle(
    tell: Callable[..., Any], purchase: Purchase, speech: Speech, path: str | None, *, recovered: bool
) -> Decimal:
    """Book what was bought, once whoever asks; returns its cost in US dollars. `tell` calls the database."""
    try:
        cost = Decimal(
            tell(
                "settle_purchase",
                p_purchase_id=purchase.id,
                p_units=speech.units,
                p_vendor_id=speech.vendor_id,
                p_media_path=path,
                p_recovered=recovered,
            )
        )
    except AppError:
        log.error("%s %s of job %s is not booked yet", tag(purchase.profile_id), purchase.provider, purchase.job_id)
        raise
    log.info(
        "%s %s tts: %d characters, %s units, $%s, job %s%s",
        tag(purchase.profile_id), purchase.provider, purchase.characters, speech.units, cost, purchase.job_id,
        ", recovered" if recovered else "",
    )  # fmt: skip
    return cost


def useless(speech: Speech) -> str | None:
    """What is wrong with the sound, or None: silence and noise are not kept as a passage."""
    try:
        return "silence" if audio.is_silent(audio.decode(speech.data)) else None
    except ProviderFailed:
        return "no readable audio"


def part_path(purchase: Purchase, data: bytes) -> str:
    """Named after the purchase: every attempt that has its answer writes the same file."""
    ending = "wav" if data[:4] == b"RIFF" else "mp3"
    return f"speech/{purchase.account_id}/{purchase.profile_id}/parts/{purchase.id}.{ending}"
