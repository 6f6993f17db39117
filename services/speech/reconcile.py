"""Finding out about purchases that nobody looks after any more: ended jobs, dead workers, late answers."""

import logging
from pathlib import Path
from typing import Any
from uuid import UUID

from services.database.door import Database
from services.errors import AppError, ProviderUnavailable, StorageFull, Unavailable
from services.jobs.context import Context, Outcome, Postponed
from services.logs import tag
from services.media.door import Media
from services.speech import purchases, registry
from services.speech.generation import SpeechOrder
from services.speech.provider import Line, Recovers, Speech
from services.speech.purchases import Purchase
from services.speech.spool import Spool

log = logging.getLogger(__name__)


def reconcile(context: Context) -> Outcome:
    """Settle each lost call from the vendor's list, or prove its absence, or leave it to a person."""
    ends: dict[str, int] = {}
    for row in context.database.call("lost_purchases", p_grace_seconds=purchases.grace(context.options)):
        context.check()
        try:
            end = _resolve(context, row)
        except (AppError, Postponed) as exc:
            log.warning("%s purchase %s stays open: %s", tag(row["profile_id"]), row["id"], exc)
            end = "open"
        ends[end] = ends.get(end, 0) + 1
    return dict(ends)


def _resolve(context: Context, row: dict[str, Any]) -> str:
    purchase = Purchase.model_validate(context.database.call("purchase", p_purchase_id=row["id"]))
    if purchase.state not in ("sent", "refused"):
        return "settled"  # meanwhile, by somebody else
    provider = registry.provider(purchase.provider)
    if not isinstance(provider, Recovers):
        return _without_list(context, purchase, paid=provider.paid_outside)
    try:
        speech = purchases.ask(context, provider, _line(row), purchase)
    except ProviderUnavailable as exc:  # nobody can ask any more
        if purchase.state == "sent":
            context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=f"{purchases.UNCLEAR} {exc}")
        return "unclear"
    if speech is not None:
        _keep(context, purchase, speech)
        return "recovered"
    if purchase.state == "sent" and not purchase.rivals:
        context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The vendor has not made it.", p_absent=True)
        return "absent"
    return "open"


def _without_list(context: Context, purchase: Purchase, *, paid: bool) -> str:
    if paid:
        context.tell("unclear_purchase", p_purchase_id=purchase.id, p_error=purchases.UNCLEAR)
        return "unclear"
    context.tell("refuse_purchase", p_purchase_id=purchase.id, p_error="The worker stopped before the answer came.")
    return "refused"


def _line(row: dict[str, Any]) -> Line:
    order = SpeechOrder.model_validate(row["input"])
    texts = row["input"].get("chunks") or [order.text]
    return Line(text=texts[row["place"]], voice=order.voice, model=order.model, settings=order.settings)


def _keep(context: Context, purchase: Purchase, speech: Speech) -> None:
    path = purchases.part_path(purchase, speech.data)
    context.media.write(path, speech.data)
    usable = purchases.useless(speech) is None
    purchases.settle(context.tell, purchase, speech, path if usable else None, recovered=True)


def drain(database: Database, media: Media, folder: Path) -> int:
    """Finish what attempts that died left behind in this machine's spool; returns how many answers."""
    spool = Spool(folder)
    return sum(_finished(database, media, spool, purchase_id) for purchase_id in spool.left_behind())


def _finished(database: Database, media: Media, spool: Spool, purchase_id: UUID) -> bool:
    """One answer that cannot be finished must not keep the others."""
    try:
        return _finish(database, media, spool, purchase_id)
    except Unavailable:
        raise
    except Exception:
        log.exception("The kept answer of purchase %s could not be booked; it is tried again.", purchase_id)
        return False


def _finish(database: Database, media: Media, spool: Spool, purchase_id: UUID) -> bool:
    speech = spool.load(purchase_id)
    found = database.call("purchase", p_purchase_id=purchase_id)
    if speech is None or found is None:
        return False
    purchase = Purchase.model_validate(found)
    path = purchases.part_path(purchase, speech.data)
    full = _write(media, path, speech)
    usable = full is None and purchases.useless(speech) is None
    purchases.settle(database.call, purchase, speech, path if usable else None, recovered=False)
    if full:
        raise full
    spool.drop(purchase_id)
    return True


def _write(media: Media, path: str, speech: Speech) -> StorageFull | None:
    try:
        media.write(path, speech.data)
    except StorageFull as exc:  # booked all the same; the spool keeps the sound
        return exc
    return None
