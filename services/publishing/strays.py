"""Look through each account's list now and then: for posts nobody made here, and for how its channels are."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from services.database.door import Database
from services.errors import AppError
from services.logs import tag
from services.publishing.content import plain
from services.publishing.lists import lost_permissions, notifications, shown
from services.publishing.vendor import Vendor, VendorPost

log = logging.getLogger(__name__)

BACK, AHEAD = timedelta(days=2), timedelta(days=30)
ACCOUNTS = 20  # looked at in one go
PREVIEW = 200  # characters


class Account(Protocol):
    @property
    def vendor(self) -> Vendor: ...
    @property
    def organization(self) -> str: ...


def look_for_strays(database: Database, account: Callable[[UUID], Account], now: datetime | None) -> int:
    """Look at accounts that were not looked at for a quarter of an hour; returns how many."""
    for done in range(ACCOUNTS):
        found = database.call("claim_strays", p_now=now)
        if not found:
            return done
        try:
            _look(database, account(UUID(found["credential_id"])), UUID(found["credential_id"]), now)
        except AppError as exc:
            log.warning("%s the list of company %s's account: %s", tag(found["profile_id"]), found["account_id"], exc)
    return ACCOUNTS


def _look(database: Database, account: Account, credential_id: UUID, now: datetime | None) -> None:
    at = now or datetime.now(UTC)
    posts = account.vendor.posts(at - BACK, at + AHEAD)
    channels = [shown(channel) for channel in account.vendor.channels()]
    lost = lost_permissions(notifications(account.vendor, at - BACK))
    database.call("watch_channels", p_credential_id=credential_id, p_channels=channels, p_now=now)
    database.call("note_reconnects", p_credential_id=credential_id, p_told=lost)
    database.call(
        "save_strays", p_credential_id=credential_id, p_organization=account.organization,
        p_posts=[_row(post) for post in posts], p_from=at - BACK, p_to=at + AHEAD, p_now=now,
    )  # fmt: skip


def _row(post: VendorPost) -> dict[str, Any]:
    return {
        "id": post.id, "channel": post.channel, "publish_at": post.publish_at, "state": post.state,
        "release_url": post.release_url, "reference": post.reference, "preview": plain(post.content)[:PREVIEW],
    }  # fmt: skip
