"""Worker processes that die by SIGKILL while they publish; another goes on with what they left."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from nacl.public import PrivateKey
from pydantic import SecretStr

from services import config, credentials, vault
from services.config import VAULT_PRIVATE, VAULT_PUBLIC, settings
from services.database.embedded import Server
from services.publishing.publisher import Publisher
from tests import kill
from tests.builders import World
from tests.publishing.press import NETWORKS, START, Press, later, pressing
from tests.publishing.shop import Shop, pin, shop


@pytest.fixture(autouse=True)
def vault_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the settings of this process and of those that it starts."""
    made = PrivateKey.generate()
    monkeypatch.setenv("VAULT_KEYS", VAULT_PRIVATE + base64.urlsafe_b64encode(bytes(made)).decode())
    public = base64.urlsafe_b64encode(bytes(made.public_key)).decode()
    monkeypatch.setenv("VAULT_PUBLIC_KEY", VAULT_PUBLIC + public)
    monkeypatch.setenv("CLIPDESK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ALLOW_PRIVATE_ADDRESSES", "true")
    for name in ("POSTIZ_API_URL", "POSTIZ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    config.settings.cache_clear()
    yield
    config.settings.cache_clear()


@pytest.fixture
def press(world: World, tmp_path: Path) -> Iterator[Press]:
    """Everything at the same instant: the database, the vendor and the publishers."""
    vault.note(world.as_worker(), settings())
    with pressing(world, tmp_path) as made, world.at(START):
        kill.quiet(world)
        yield made


@pytest.fixture
def store(press: Press) -> Shop:
    """A store whose account an admin has typed."""
    made = shop(press.world, networks=())
    owner = press.fake.organisation([])
    press.world.execute("delete from public.profile_credentials where id = %s", made.credential)
    made.credential = credentials.save(
        press.world.as_person(made.admin), settings(), made.account, None, "postiz", press.fake.api,
        SecretStr(owner.key), shared=True,
    )  # fmt: skip
    made.channels = [pin(press.world, made.account, made.store, made.credential, network) for network in NETWORKS]
    owner.channels = press.channels(made)
    press.keys[made.credential] = owner
    press.store_clip(made.clip)
    return made


@pytest.mark.parametrize(
    ("place", "left"),
    [("media_uploaded:1", "uploading"), ("send_intended:1", "sending"), ("posts_created:1", "sending")],
)
def test_what_a_killed_worker_leaves_goes_out_once(
    press: Press, store: Shop, server: Server, database: str, tmp_path: Path, place: str, left: str
) -> None:
    bundle = press.order(store, later(hours=1))
    press.world.job("publish")
    kill.die_at(place, server, database, tmp_path / "media")
    assert press.states(bundle) == {left}
    successor = Publisher(press.world.as_worker(), press.folder, settings())
    while press.now < later(hours=1, minutes=15):
        press.fake.advance(minutes=1)
        press.tick(successor)
    assert press.states(bundle) == {"published"}
    assert len(press.fake.live()) == len(NETWORKS)
