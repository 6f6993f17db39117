"""Tell of events, read what one was told, and choose what to be told by which way."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database, Filter, Row

TITLES = {
    "credential_dead": "An account stopped working",
    "job_failed": "A job failed",
    "quota": "Quota and spending",
    "quota_request": "Somebody asks for more quota",
    "person_spending": "Spending of a person",
    "spending_unreadable": "Spending cannot be read",
    "store_suspension": "A store suspends itself",
    "money_differs": "Sums differ from the ledger",
    "money_equal": "Sums equal the ledger again",
    "post_failed": "A post failed",
    "post_missed": "A post missed its moment",
    "post_unconfirmed": "A post may be live or not",
    "channel_changed": "A channel is not as it was pinned",
    "channel_reconnect": "A channel needs to be reconnected",
    "webhook_test": "Test of the webhook",
}


def title(kind: str) -> str:
    """What a kind is called."""
    return TITLES.get(kind, kind.replace("_", " ").capitalize())


def publish(
    database: Database,
    account_id: UUID,
    kind: str,
    text: str,
    *,
    facts: dict[str, Any] | None = None,
    profile_id: UUID | None = None,
    dedupe: str | None = None,
) -> UUID | None:
    """Tell a company, or those of one store, of an event; through the worker's door. None: told before.

    `text` is sentences for the operator; `facts` are plain JSON and shown as they are: no secrets. What has a `dedupe`
    key is told once until `resolve` says that it is over. SQL tells within the event's transaction: `private.notice`.
    """
    told = database.call(
        "publish_notice",
        p_account_id=account_id,
        p_kind=kind,
        p_text=text,
        p_facts=facts or {},
        p_profile_id=profile_id,
        p_dedupe=dedupe,
    )
    return UUID(str(told)) if told else None


def resolve(database: Database, account_id: UUID, dedupe: str) -> None:
    """Say that an event is over, through the worker's door: if it comes again, it is told again."""
    database.call("resolve_notice", p_account_id=account_id, p_dedupe=dedupe)


class Notice(Row):
    """A notice in somebody's inbox."""

    table: ClassVar[str] = "v_inbox"

    id: UUID
    account_id: UUID
    profile_id: UUID | None  # None: concerns the company
    kind: str
    text: str
    facts: dict[str, Any]
    created_at: datetime
    resolved_at: datetime | None  # what it says is over
    read_at: datetime | None
    unread: bool

    @property
    def key(self) -> tuple[bool, datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.unread, self.created_at, self.id


def inbox(
    database: Database,
    account_id: UUID,
    *,
    kind: str | None = None,
    profile_id: UUID | None = None,
    unread: bool = False,
    limit: int = 25,
    after: tuple[bool, datetime, UUID] | None = None,
) -> list[Notice]:
    """The person's notices of a company: the unread first, then the newest. `after` is the last seen one's `key`."""
    filters: list[Filter] = [("account_id", "eq", account_id)]
    wanted = {"kind": kind, "profile_id": profile_id, "unread": unread or None}
    filters += [(column, "eq", value) for column, value in wanted.items() if value is not None]
    order = [(column, "desc") for column in ("unread", "created_at", "id")]
    return database.select(Notice, filters, order=order, limit=limit, after=after)  # type: ignore[arg-type]  # literals


def unread_count(database: Database, account_id: UUID) -> int:
    return database.count(Notice, [("account_id", "eq", account_id), ("unread", "eq", True)])


def mark_read(database: Database, account_id: UUID, notice_ids: list[UUID] | None = None) -> int:
    """Mark these of the person's notices as read, or (None) all of the company's. Returns how many were unread."""
    marked: int = database.call("read_notices", p_account_id=account_id, p_ids=notice_ids)
    return marked


# What people want ------------------------------------------------------------------------------------------------


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Wish(_Answer):
    """Where a person is told of a kind."""

    kind: str
    inbox: bool
    email: bool


class ChannelState(_Answer):
    """How a company's e-mails or webhook fared in the last 30 days."""

    waiting: int
    sent: int
    unknown: int  # nobody can tell whether the mail server took them
    given_up: int
    last_sent_at: datetime | None
    last_error: str | None


class Webhook(_Answer):
    """What may be known of a saved webhook."""

    shown_address: str
    last4: str
    enabled: bool
    version: int


class NoticeSettings(_Answer):
    """What the person is told of; the rest is for admins only."""

    kinds: list[Wish]
    email: ChannelState | None
    webhook_state: ChannelState | None
    webhook: Webhook | None


def notice_settings(database: Database, account_id: UUID) -> NoticeSettings:
    return NoticeSettings.model_validate(database.call("notice_settings", p_account_id=account_id))


def set_wish(database: Database, account_id: UUID, wish: Wish) -> None:
    """Raises `InvalidInput` for a kind that the person's role is not told of."""
    database.call(
        "set_notice_preference",
        p_account_id=account_id,
        p_kind=wish.kind,
        p_inbox=wish.inbox,
        p_email=wish.email,
    )
