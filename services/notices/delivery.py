"""Jobs of the worker that send what is due by e-mail and to webhooks.

A delivery is claimed before it is sent, and its end noted afterwards. Whoever dies in between leaves a lease that runs
out. An e-mail is tried again only if it was certainly not taken; a webhook always, under the same id.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from services import vault
from services.config import Settings
from services.errors import AppError, AttemptLost
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.notices import mail, webhook
from services.notices.inbox import title

log = logging.getLogger(__name__)

LEASE = Decimal(120)  # seconds: longer than a conversation with a mail server or a webhook
AT_ONCE = 200  # deliveries of one job; the rest is left to the next one
LONGEST_WAIT = 3600.0  # seconds between two tries, at most
AWAY_WAIT = 60.0  # seconds until a mail is tried again that met no mail server: the next job asks with another one

Channel = Literal["email", "webhook"]


class Delivery(BaseModel):
    """A notice on its way to one target, as the sender gets it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    token: UUID
    attempts: int
    notice_id: UUID
    kind: str
    text: str
    facts: dict[str, Any]
    created_at: datetime
    resolved_at: datetime | None
    account_id: UUID
    company: str
    profile_id: UUID | None
    store_code: str | None
    store: str | None
    timezone: str
    email: str | None
    ciphertext: str | None

    @property
    def where(self) -> str:
        return f"{self.store_code} · {self.store}" if self.store else self.company


class Ended(BaseModel):
    """How an attempt ended; `seconds`: until it is tried again. `stop`: nothing else of the channel can be sent now."""

    model_config = ConfigDict(frozen=True)

    state: Literal["sent", "pending", "unknown", "given_up"]
    error: str | None = None
    seconds: float | None = None
    stop: bool = False


def send_emails(context: Context) -> Outcome:
    """Send the e-mails that are due; those of a mail server that is away wait."""
    return _send(context, "email", _mail) if context.options.smtp_host else {}


def send_webhooks(context: Context) -> Outcome:
    """Tell the webhooks what is due."""
    return _send(context, "webhook", _post)


def _send(context: Context, channel: Channel, deliver: Callable[[Context, Delivery], Ended]) -> Outcome:
    counts: Counter[str] = Counter()
    for delivery in _due(context, channel):
        try:
            ended = deliver(context, delivery)
            reached("delivered")
            _note(context, delivery, ended)
        except AttemptLost:
            log.warning("%s delivery %s: another worker has it now", tag(delivery.profile_id), delivery.id)
            continue
        counts[ended.state] += 1
        if ended.stop:
            break
    return dict(counts)


def _due(context: Context, channel: Channel) -> Iterator[Delivery]:
    for _ in range(AT_ONCE):
        context.check()
        found = context.database.call("claim_delivery", p_channel=channel, p_lease_seconds=LEASE)
        if not found:
            return
        reached("delivery_claimed")
        yield Delivery.model_validate(found)


def _note(context: Context, delivery: Delivery, ended: Ended) -> None:
    seconds = None if ended.seconds is None else Decimal(f"{ended.seconds:.3f}")
    context.tell(
        "end_delivery",
        p_delivery_id=delivery.id,
        p_token=delivery.token,
        p_state=ended.state,
        p_error=ended.error,
        p_retry_seconds=seconds,
    )
    reached("delivery_noted")
    level = logging.DEBUG if ended.state == "sent" else logging.WARNING
    log.log(level, "%s delivery %s: %s. %s", tag(delivery.profile_id), delivery.id, ended.state, ended.error or "")


def wait(attempts: int, first: float) -> float:
    """Seconds until the try after this one: `first`, doubled each time, at most an hour, less up to half."""
    return min(LONGEST_WAIT, first * 2.0 ** min(attempts - 1, 20)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


# E-mail ----------------------------------------------------------------------------------------------------------


def _mail(context: Context, delivery: Delivery) -> Ended:
    if delivery.email is None:
        return Ended(state="given_up", error="The person is not to be told of this any more.")
    letter = mail.Mail(delivery.email, _subject(delivery), letter_text(delivery, context.options), delivery.id)
    return _mailed(delivery, mail.send(context.options, letter, lambda: _hand_over(context, delivery)))


def _hand_over(context: Context, delivery: Delivery) -> None:
    """From here on a crash leaves it open whether the e-mail went out."""
    context.tell("hand_over_delivery", p_delivery_id=delivery.id, p_token=delivery.token, p_lease_seconds=LEASE)
    reached("handed_over")


def _mailed(delivery: Delivery, handed: mail.Handed) -> Ended:
    match handed.state:
        case "sent":
            return Ended(state="sent")
        case "unknown":
            return Ended(state="unknown", error=f"{handed.sentence} To send it twice would be worse, so it rests.")
        case "refused":
            return Ended(state="given_up", error=handed.sentence)
        case "away":
            return Ended(state="pending", error=handed.sentence, seconds=AWAY_WAIT, stop=True)
        case "later":
            return Ended(state="pending", error=handed.sentence, seconds=wait(delivery.attempts, 60))


def _subject(delivery: Delivery) -> str:
    return f"[Clipdesk] {delivery.where}: {title(delivery.kind)}"


def letter_text(delivery: Delivery, options: Settings) -> str:
    """The e-mail's text: what happened, where and when, and where to go."""
    lines = [f"{delivery.company}, {delivery.where}" if delivery.store else delivery.company, "", delivery.text, ""]
    lines.append(f"It happened on {_moment(delivery.created_at, delivery.timezone)}.")
    if delivery.resolved_at:
        lines.append(f"It is over since {_moment(delivery.resolved_at, delivery.timezone)}.")
    if options.site_url:
        lines += ["", f"Open Clipdesk: {options.site_url}/notices"]
    lines += ["", "On the page Notices you choose what you are told by e-mail."]
    return "\n".join(lines) + "\n"


def _moment(at: datetime, timezone: str) -> str:
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local:%-d %b %Y, %H:%M} {local.tzname()}"


# Webhooks --------------------------------------------------------------------------------------------------------


def _post(context: Context, delivery: Delivery) -> Ended:
    if delivery.ciphertext is None:
        return Ended(state="given_up", error="The webhook was switched off or removed.")
    try:
        hook = vault.unseal(context.options, webhook.place(delivery.account_id), delivery.ciphertext)
    except AppError as exc:
        return _again(delivery, str(exc))
    posted = webhook.post(context.options, hook, str(delivery.notice_id), event(delivery, context.options))
    return Ended(state="sent") if posted.ok else _again(delivery, posted.sentence)


def _again(delivery: Delivery, sentence: str) -> Ended:
    """Tried again; but nobody waits days for the result of a test."""
    if delivery.kind == "webhook_test":
        return Ended(state="given_up", error=sentence)
    return Ended(state="pending", error=sentence, seconds=wait(delivery.attempts, 30))


def event(delivery: Delivery, options: Settings) -> dict[str, Any]:
    """What a webhook is told, as plain JSON; its id apart."""
    store = {"id": str(delivery.profile_id), "code": delivery.store_code, "name": delivery.store}
    return {
        "kind": delivery.kind,
        "title": title(delivery.kind),
        "text": delivery.text,
        "facts": delivery.facts,
        "company": {"id": str(delivery.account_id), "name": delivery.company},
        "store": store if delivery.profile_id else None,
        "happened_at": delivery.created_at.astimezone(UTC).isoformat(),
        "resolved_at": delivery.resolved_at.astimezone(UTC).isoformat() if delivery.resolved_at else None,
        "link": f"{options.site_url}/notices" if options.site_url else None,
    }
