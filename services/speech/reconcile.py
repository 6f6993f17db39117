"""Finding out about purchases that nobody looks after any more: ended jobs, dead workers, late answers."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from services.database.door import Database
from services.errors import AppError, PurchaseUnclear, Unavailable
from services.jobs.context import Context, Outcome, Postponed
from services.logs import tag
from services.media.door import Media
from services.scripts import calls
from services.speech import bought, purchases
from services.speech.bought import Purchase
from services.speech.generation import lines
from services.speech.provider import Line, Speech
from services.speech.spool import Spool

log = logging.getLogger(__name__)


def reconcile(context: Context) -> Outcome:
    """Settle each lost call from the vendor's list, or prove its absence, or leave it to a person."""
    ends: dict[str, int] = {}
    if given_up := context.database.call("give_up_calls", p_grace_seconds=purchases.grace(context.options)):
        ends["unclear"] = given_up
    for row in _lost(context):
        context.check()
        try:
            end = _resolve(context, row)
        except (AppError, Postponed) as exc:
            log.warning("%s purchase %s stays open: %s", tag(row["profile_id"]), row["id"], exc)
            end = "open"
        ends[end] = ends.get(end, 0) + 1
    return dict(ends)


def _lost(context: Context) -> Iterator[dict[str, Any]]:
    """Each lost call once, a page of them at a time: those that stay open must not keep others from their turn."""
    seen: set[str] = set()  # an absence that was proven a moment ago comes once more, among the absent ones
    after: dict[str, Any] = {}
    grace = purchases.grace(context.options)
    while page := context.database.call("lost_purchases", p_grace_seconds=grace, **after):
        yield from (row for row in page if row["id"] not in seen)
        seen.update(row["id"] for row in page)
        last = page[-1]
        after = {
            "p_after_absent": last["state"] == "refused",
            "p_after_at": last["created_at"],
            "p_after_id": last["id"],
        }


def _resolve(context: Context, row: dict[str, Any]) -> str:
    purchase = Purchase.model_validate(context.database.call("purchase", p_purchase_id=row["id"]))
    line = lines(row["input"])[row["place"]]
    if purchase.state == "refused":
        return _look_again(context, line, purchase)
    if purchase.state != "sent":
        return "settled"  # meanwhile, by somebody else
    try:
        speech = purchases.trace(context, line, purchase)
    except PurchaseUnclear:
        return "unclear"
    return "refused" if speech is None else _recovered(context, purchase, speech)


def _look_again(context: Context, line: Line, purchase: Purchase) -> str:
    """For a day after its list showed an absence, a vendor may still list the call: then it was billed."""
    speech = purchases.ask(context, line, purchase)
    return "refused" if speech is None else _recovered(context, purchase, speech)


def _recovered(context: Context, purchase: Purchase, speech: Speech) -> str:
    filed = bought.write(context.media, purchase, speech)
    bought.settle(context.tell, purchase, speech, filed.usable, recovered=True)
    return "recovered"


def drain(database: Database, media: Media, folder: Path) -> int:
    """Finish what attempts that died left behind in this machine's spool; returns how many answers."""
    spool = Spool(folder)
    spool.tidy()
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
    if purchase.units_held is not None:
        calls.book(database.call, media, purchase.id, speech)
        spool.drop(purchase_id)
        return True
    filed = bought.write(media, purchase, speech)
    bought.settle(database.call, purchase, speech, filed.usable, recovered=False)
    if filed.full:  # the spool keeps the sound
        raise filed.full
    spool.drop(purchase_id)
    return True
