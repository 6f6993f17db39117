"""The social channels that belong to a store: pinned by an admin, the only ones it ever publishes on."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Row


class Channel(Row):
    """A pinned channel as the account's test found it. `identifier` names the network, such as instagram."""

    table: ClassVar[str] = "profile_channels"

    credential_id: UUID
    profile_id: UUID
    channel: str
    name: str
    identifier: str
    handle: str | None
    picture: str | None
    pinned_at: datetime


def pinned(database: Database, profile_id: UUID) -> list[Channel]:
    """A store's channels, by name."""
    return database.select(Channel, [("profile_id", "eq", profile_id)], order=[("name", "asc"), ("channel", "asc")])


def pin(
    database: Database,
    profile_id: UUID,
    credential_id: UUID,
    channels: Sequence[str],
    *,
    seen: Sequence[str],
    reason: str,
) -> None:
    """Pin these channels, and no others, to the store; `seen` are those that were pinned when this was decided.

    Raises `InvalidInput` (field `reason`: 1 to 500 characters), `NotAllowed`, `NotFound`, `Conflict` when others are
    pinned by now, or one belongs to another store or is not shown any more.
    """
    database.call(
        "pin_channels",
        p_profile_id=profile_id,
        p_credential_id=credential_id,
        p_channels=list(channels),
        p_seen=list(seen),
        p_reason=reason,
    )
