"""Stores that publish through a played Postiz, on a clock that the test drives."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from services.config import Settings
from services.credentials import Opened
from services.database.door import Database
from services.media.folder import Folder
from services.publishing.postiz import Client
from services.publishing.publisher import Publisher
from services.publishing.vendor import Vendor
from services.vault import Place
from tests.builders import World
from tests.fakes.postiz import Channel, FakePostiz, Organisation
from tests.publishing.shop import Shop, shop

START = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
NETWORKS = ("facebook", "threads", "linkedin")  # which need no settings
MP4 = b"\0\0\0\x18ftypisom" + bytes(32)


def organization(opened: Opened) -> str:
    return hashlib.sha256(f"{opened.address} {opened.key.get_secret_value()}".encode()).hexdigest()[:32]


@dataclass
class Press:
    """`seconds`: how long the client waits for an answer."""

    world: World
    fake: FakePostiz
    folder: Folder
    keys: dict[UUID, Organisation] = field(default_factory=dict)
    key_ids: dict[UUID, UUID] = field(default_factory=dict)
    seconds: float = 10.0

    @property
    def now(self) -> datetime:
        return self.fake.now()

    # Stores -------------------------------------------------------------------------------------------------

    def open(self, networks: tuple[str, ...] = NETWORKS, beside: Shop | None = None, **values: Any) -> Shop:
        """A store with an organisation of its own; or one more on the key of another's."""
        if beside:
            made = shop(self.world, beside.account, networks, beside.credential)
            self.owner(beside).channels.extend(self.channels(made))
        else:
            made = shop(self.world, networks=networks)
            self.keys[made.credential] = self.fake.organisation(self.channels(made), **values)
            self.key_ids[made.credential] = self.key_of(made)
        self.store_clip(made.clip)
        return made

    def store_clip(self, clip: UUID) -> None:
        self.folder.write(self.world.value("select media_path from public.clips where id = %s", clip), MP4)

    def owner(self, store: Shop) -> Organisation:
        return self.keys[store.credential]

    def key_of(self, store: Shop) -> UUID:
        found: UUID = self.world.value("select key_id from public.profile_credentials where id = %s", store.credential)
        return found

    def replace_key(self, store: Shop, owner: Organisation) -> None:
        """An admin types another key, which opens `owner`."""
        key, place = uuid4(), {"account_id": store.account, "provider": "postiz"}
        self.world.insert("private.sealed_keys", id=key, ciphertext=f"v1.{'0' * 16}.AAAA", **place)
        self.world.execute("update public.profile_credentials set key_id = %s where id = %s", key, store.credential)
        self.keys[store.credential], self.key_ids[store.credential] = owner, key

    @staticmethod
    def channels(store: Shop) -> list[Channel]:
        rows = store.world.rows("select * from public.profile_channels where profile_id = %s", store.store)
        return [Channel(r["channel"], r["name"], r["identifier"], profile=r["handle"]) for r in rows]

    # Posts --------------------------------------------------------------------------------------------------

    def order(self, store: Shop, wanted_at: datetime, *channels: str, **extra: Any) -> UUID:
        """What a person orders; returns the bundle."""
        bundle = uuid4()
        ids = {"account_id": store.account, "profile_id": store.store}
        values = {"id": bundle, **ids, "clip_id": store.clip, "credential_id": store.credential,
                  "wanted_at": wanted_at, **extra}  # fmt: skip
        self.world.insert("public.bundles", **values)
        self.world.execute(
            "insert into public.publications (id, account_id, profile_id, bundle_id, clip_id, credential_id, channel,"
            " name, identifier, handle, caption, state, wanted_at)"
            " select gen_random_uuid(), x.account_id, x.profile_id, %s, %s, x.credential_id, x.channel, x.name,"
            " x.identifier, x.handle, 'Fresh bread at six.', 'uploading', %s from public.profile_channels x"
            " where x.profile_id = %s and x.channel = any (%s)",
            bundle, values["clip_id"], wanted_at, store.store, list(channels or store.channels),
        )  # fmt: skip
        return bundle

    def rows(self, bundle: UUID) -> list[dict[str, Any]]:
        return self.world.rows("select * from public.publications where bundle_id = %s order by identifier", bundle)

    def states(self, bundle: UUID) -> set[str]:
        return {row["state"] for row in self.rows(bundle)}

    def bundle(self, bundle: UUID) -> dict[str, Any]:
        (row,) = self.world.rows("select * from public.bundles where id = %s", bundle)
        return row

    # The publisher ------------------------------------------------------------------------------------------

    def publisher(self, database: Database | None = None) -> Publisher:
        return Publisher(
            database or self.world.as_worker(), self.folder, Settings(), vendor=self.client, organization=organization,
            opened=self.opened,
        )  # fmt: skip

    def client(self, opened: Opened) -> Vendor:
        return Client(opened.address or "", opened.key, private=True, seconds=self.seconds)

    def opened(self, credential_id: UUID) -> Opened | None:
        place = Place(account_id=uuid4(), profile_id=None, provider="postiz")
        key = SecretStr(self.keys[credential_id].key)
        return Opened(place, credential_id, 1, self.key_ids[credential_id], self.fake.api, key)

    def tick(self, publisher: Publisher | None = None) -> int:
        return (publisher or self.publisher()).tick(self.now)

    def run(self, until: datetime, step: float = 60.0) -> None:
        """Tick every `step` seconds up to that instant."""
        publisher = self.publisher()
        while self.now < until:
            self.fake.advance(seconds=min(step, (until - self.now).total_seconds()))
            self.tick(publisher)

    def posted(self) -> int:
        """Requests for posts that the vendor got."""
        return sum((r.method, r.path) == ("POST", f"{self.fake.prefix}/public/v1/posts") for r in self.fake.requests)


def later(**span: float) -> datetime:
    return START + timedelta(**span)


@contextmanager
def pressing(world: World, folder: Path) -> Iterator[Press]:
    """A press whose clock stands at `START`; its publisher leaves other tests' posts alone."""
    world.execute("delete from public.profile_channels")  # which takes their posts back
    world.execute("update public.bundles set step = null")
    with FakePostiz() as fake:
        fake.clock = START
        fake.patience = 0.0
        yield Press(world, fake, Folder(folder / "media"))
