"""A store that may post: a connected account, pinned channels, a clip that is ready."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.database.door import Database
from tests.builders import World

NETWORKS = ("instagram", "tiktok", "facebook")


@dataclass
class Shop:
    """`channels` are the vendor's ids, in the order of `NETWORKS` unless other networks were asked for."""

    world: World
    account: UUID
    store: UUID
    manager: UUID
    admin: UUID
    credential: UUID
    clip: UUID
    channels: list[str] = field(default_factory=list)

    @property
    def door(self) -> Database:
        return self.world.as_person(self.manager)

    def words(self, *channels: str, caption: str = "Fresh bread at six.") -> list[dict[str, Any]]:
        return [{"channel": channel, "caption": caption, "settings": {}} for channel in channels or self.channels]

    def state(self, bundle_id: UUID) -> dict[str, str]:
        """State by channel."""
        rows = self.world.rows("select channel, state from public.publications where bundle_id = %s", bundle_id)
        return {row["channel"]: row["state"] for row in rows}

    def set_state(self, bundle_id: UUID, state: str, **extra: Any) -> None:
        """Put a bundle's publications where the publisher would have them."""
        changes = ", ".join(f"{name} = %s" for name in ("state", *extra))
        self.world.execute(
            f"update public.publications set {changes} where bundle_id = %s", state, *extra.values(), bundle_id
        )


def shop(
    world: World, account: UUID | None = None, networks: tuple[str, ...] = NETWORKS, credential: UUID | None = None
) -> Shop:
    """A store of its own company, or one more of `account`; with `credential` it shares that account at the vendor."""
    account = account or world.company()
    store = world.store(account, name=f"Store {uuid4().hex[:6]}")
    manager, admin = world.person(account, "manager", store), world.person(account, "admin")
    credential = credential or connect(world, account)
    channels = [pin(world, account, store, credential, network) for network in networks]
    return Shop(world, account, store, manager, admin, credential, ready_clip(world, store), channels)


def connect(world: World, account: UUID, profile_id: UUID | None = None, **extra: Any) -> UUID:
    """A saved Postiz account of the company, or of one store; its key cannot be opened."""
    credential_id, key_id = uuid4(), uuid4()
    world.insert(
        "private.sealed_keys", id=key_id, account_id=account, profile_id=profile_id, provider="postiz",
        ciphertext=f"v1.{'0' * 16}.AAAA",
    )  # fmt: skip
    values = {
        "id": credential_id, "account_id": account, "profile_id": profile_id, "provider": "postiz", "key_id": key_id,
        "last4": "abcd", "shown_address": "postiz.example.test", "shared": profile_id is None,
    }  # fmt: skip
    world.insert("public.profile_credentials", **{**values, **extra})
    return credential_id


def pin(world: World, account: UUID, store: UUID, credential: UUID, network: str, channel: str | None = None) -> str:
    channel = channel or f"{network}-{uuid4().hex[:8]}"
    world.insert(
        "public.profile_channels", account_id=account, profile_id=store, credential_id=credential, channel=channel,
        name=f"Our {network}", identifier=network, handle=f"@{network}",
    )  # fmt: skip
    return channel


def ready_clip(world: World, store: UUID, **extra: Any) -> UUID:
    values = {"final_status": "completed", "media_type": "video", "media_path": f"clips/{uuid4()}.mp4",
              "bytes": 1_000_000, "duration_seconds": 12, "width": 1080, "height": 1920}  # fmt: skip
    return world.clip(store, world.project(store), **{**values, **extra})


def soon(minutes: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)
