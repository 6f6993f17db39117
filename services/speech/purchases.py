"""Buying one passage: intent, call, settle; and finding the answer again when it was lost on its way.

What is true of a purchase stands in the table `purchases` (docs/speech.md draws its states). A call is made at most
once for each row, and whatever was billed is booked exactly once, whoever of several attempts finds out.
"""

import logging

from services import paid_calls
from services.config import Settings
from services.errors import (
    AnswerLost,
    Conflict,
    KeyChanged,
    ProviderFailed,
    ProviderUnavailable,
    PurchaseUnclear,
    StorageFull,
    VendorBusy,
)
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Postponed
from services.paid_calls import Caller
from services.speech import bought, registry
from services.speech.bought import Purchase
from services.speech.provider import Line, Recovers, Speech
from services.speech.registry import Access
from services.speech.spool import Spool, room_for

log = logging.getLogger(__name__)

LOOK_AGAIN = 5.0  # seconds between two looks for a lost answer, at most
UNCLEAR = (
    "The voice's answer was lost, and nobody can tell whether it was billed. "
    "Buy it again, or let an admin decide first."
)


def grace(options: Settings) -> float:
    """Seconds after a deadline until the vendor's list proves an absence: half the time an answer may take."""
    return options.elevenlabs_seconds / 2


def buy(context: Context, line: Line, place: int) -> str:
    """The media path of the spoken passage `place` of this job, bought at most once.

    The store's account is looked up for each call, so that the next one uses a key that was saved meanwhile.

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
        path = _obtain(context, line, purchase)
        if path is not None:
            return path


def _obtain(context: Context, line: Line, purchase: Purchase) -> str | None:
    """The path of the audio; None where the purchase turned out not to have happened, so that another may begin."""
    spool = Spool(context.options.spool_folder)
    kept = spool.load(purchase.id)
    if kept is not None:
        return _store(context, spool, purchase, kept, recovered=False)
    if purchase.state == "intent":
        return _call(context, spool, line, purchase)
    if purchase.state == "sent":
        return _find(context, spool, line, purchase)
    raise _spoiled(context, purchase, "This passage was paid for, but its audio cannot be used. A retry buys it again.")


def _kept(context: Context, purchase: Purchase, path: str) -> str:
    if context.media.exists(path):
        return path
    raise _spoiled(context, purchase, "This passage was paid for, but its file is gone. A retry buys it again.")


def _spoiled(context: Context, purchase: Purchase, sentence: str) -> ProviderFailed:
    """Bought and booked, but no sound to use: only a person's retry buys it again."""
    context.tell("spoil_purchase", p_purchase_id=purchase.id, p_error=sentence)
    return ProviderFailed(sentence)


def _call(context: Context, spool: Spool, line: Line, purchase: Purchase) -> str | None:
    access = _access(context, purchase)
    if not access.provider.paid_outside:  # nothing that could be lost: no room, no proof
        speech = _speak(context, access, line, purchase)
        return _store(context, None, purchase, speech, recovered=False)
    try:
        with spool.reserved(purchase.id, room_for(purchase.characters)):
            speech = _speak(context, access, line, purchase)
            _keep(context, spool, purchase, speech)
            reached("spooled")
            return _store(context, spool, purchase, speech, recovered=False)
    except KeyChanged:
        log.info("%s: the account was changed before passage %d was sent", context.job, purchase.place)
        return None
    except AnswerLost as exc:
        log.warning("%s: the answer of passage %d was lost (%s)", context.job, purchase.place, exc)
        sent = Purchase.model_validate(context.write("begin_purchase", p_place=purchase.place))
        return _find(context, spool, line, sent, ours=True)


def _access(context: Context, purchase: Purchase) -> Access:
    return registry.for_store(
        context.database, context.options, purchase.account_id, purchase.profile_id, purchase.provider
    )


def _keep(context: Context, spool: Spool, purchase: Purchase, speech: Speech) -> None:
    try:
        spool.keep(purchase.id, speech)
    except StorageFull:  # it is in memory still: the media store and the books may take it
        log.exception("%s: the answer of passage %d could not be spooled", context.job, purchase.place)


def _speak(context: Context, access: Access, line: Line, purchase: Purchase) -> Speech:
    """Call the provider once; see `paid_calls.make`."""
    provider = access.provider
    seconds = context.options.elevenlabs_seconds if provider.paid_outside else context.options.engine_seconds
    caller = Caller(provider.name, provider.paid_outside, access.key_id, lambda: _access(context, purchase).key_id)
    return paid_calls.make(context, purchase.id, caller, seconds, lambda: provider.synthesize(line, seconds))


def _find(context: Context, spool: Spool, line: Line, purchase: Purchase, *, ours: bool = False) -> str | None:
    """The path of the answer of a call that never arrived; None once it is proven that there is none."""
    speech = trace(context, line, purchase, ours=ours)
    return None if speech is None else _store(context, spool, purchase, speech, recovered=True)


def trace(context: Context, line: Line, purchase: Purchase, *, ours: bool = False) -> Speech | None:
    """What became of a call whose answer never arrived: the answer, or None once it is proven that there is none.

    Raises `Postponed` while it may still turn up, and `PurchaseUnclear` once nobody can tell; either end is
    told to the database. `ours`: this attempt made the call, so it is not on its way any more.
    """
    provider = registry.provider(purchase.provider)
    if not provider.paid_outside:
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The worker stopped before the answer came.")
        return None
    left = purchase.seconds_left or 0.0
    if not isinstance(provider, Recovers):
        if left > 0 and not ours:
            raise Postponed(left, f"Waiting whether {provider.label} still answers")
        raise _unclear(context, purchase)
    left += grace(context.options)
    try:
        speech = ask(context, line, purchase)
    except ProviderUnavailable as exc:
        if left > 0:
            raise Postponed(LOOK_AGAIN, str(exc)) from exc
        raise _unclear(context, purchase, str(exc)) from exc
    if speech is not None:
        return speech
    if left > 0 or purchase.rivals:
        raise Postponed(min(max(left, 0.1), LOOK_AGAIN), f"Asking {provider.label} whether the lost answer was made")
    context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The vendor has not made it.", p_absent=True)
    return None


def _unclear(context: Context, purchase: Purchase, why: str = "") -> PurchaseUnclear:
    context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=f"{UNCLEAR} {why}".rstrip())
    return PurchaseUnclear(UNCLEAR)


def ask(context: Context, line: Line, purchase: Purchase) -> Speech | None:
    """What the vendor has made for this call; never while another call for the same words is on its way.

    Asked through the account that the call was made with. Raises `ProviderUnavailable` where that is gone.
    """
    if purchase.rivals or purchase.sent_at is None:
        return None
    provider = registry.for_purchase(
        context.database, context.options, purchase.id, purchase.account_id, purchase.provider
    )
    if not isinstance(provider, Recovers):
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
    filed = bought.write(context.media, purchase, speech)
    if filed.full and spool is None:  # made on this machine: nobody billed it, and it is gone
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error=str(filed.full))
        raise filed.full
    reached("written")
    try:
        cost = bought.settle(context.tell, purchase, speech, filed.usable, recovered=recovered)
    except Conflict as exc:  # another purchase has claimed this very answer meanwhile
        raise Postponed(1.0, "Asking once more whether the lost answer was made") from exc
    reached("settled")
    if filed.full:
        raise filed.full
    if spool:
        spool.drop(purchase.id)
    if filed.fault:
        sentence = f"The voice gave {filed.fault} for passage {purchase.place + 1}."
        if cost:
            sentence += f" It was billed (${cost:.4f}) and is booked; a retry buys it again."
        raise _spoiled(context, purchase, sentence)
    return filed.path
