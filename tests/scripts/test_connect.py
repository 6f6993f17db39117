"""Whose account writes for a store."""

import pytest
from pydantic import SecretStr

from services import credentials, vault
from services.config import Settings
from services.errors import KeyChanged, ProviderUnavailable
from services.scripts import connect
from services.scripts.connect import Access
from services.scripts.practice import Practice
from tests import kill
from tests.builders import World


class Town:
    """A company with two stores, at a Gemini of its own settings."""

    def __init__(self, world: World, options: Settings) -> None:
        vault.note(world.as_worker(), options)
        self.world, self.options = world, options
        self.account = world.company()
        self.store, self.other = world.store(self.account), world.store(self.account)
        self.admin = world.as_person(world.person(self.account, "admin"))

    def save(self, key: str, version: int = 0) -> None:
        credentials.save(
            self.admin, self.options, self.account, self.store, "gemini", None, SecretStr(key), version=version
        )

    def access(self, store: object = None) -> Access:
        return connect.for_store(self.world.as_worker(), self.options, self.account, store or self.store)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Where the vault of the module's world is."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def town(shared_world, data, fake) -> Town:
    return Town(shared_world, kill.options(clipdesk_data=data, gemini_url=fake.url))


def test_a_store_writes_with_its_own_key_at_the_address_of_the_settings(town, fake, order):
    town.save(fake.key)
    access = town.access()
    assert access.writer.write(order).done
    assert [charge.key for charge in fake.bill] == [fake.key]
    assert town.world.value("select key_id from public.profile_credentials where profile_id = %s", town.store) == (
        access.key_id
    )


def test_a_store_without_an_account_is_told_what_to_do(town, fake):
    town.save(fake.key)
    with pytest.raises(ProviderUnavailable, match=r"not connected for this store.*practice writer"):
        town.access(town.other)


def test_a_key_that_was_replaced_meanwhile_buys_nothing(town, fake, order):
    town.save(fake.key)
    writer = town.access().writer
    town.save("AQ.another-key-0123", version=1)
    with pytest.raises(KeyChanged, match="Gemini"):
        writer.write(order)
    assert (fake.requests, fake.bill) == ([], [])


def test_a_key_that_cannot_be_opened_buys_nothing(town, fake, tmp_path):
    town.save(fake.key)
    town.options = kill.options(clipdesk_data=tmp_path / "elsewhere", gemini_url=fake.url)
    with pytest.raises(ProviderUnavailable):
        town.access()
    assert fake.requests == []


def test_the_demo_practises(town, monkeypatch):
    place = vault.Place(account_id=town.account, profile_id=None, provider="gemini")
    opened = credentials.Opened(place, None, 1, None, None, SecretStr(""), practice=True)
    monkeypatch.setattr(credentials, "for_call", lambda *asked: opened)
    access = town.access()
    assert isinstance(access.writer, Practice)
    assert access.key_id is None
