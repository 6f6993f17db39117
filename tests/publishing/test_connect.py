"""From a saved credential to what is called, and to the name of what it opens."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast
from uuid import uuid4

import pytest
from nacl.public import PrivateKey
from pydantic import SecretStr

from services.config import VAULT_PRIVATE, Settings
from services.credentials import Opened
from services.database.door import Database
from services.errors import NotAllowed, PublishingMisconfigured
from services.publishing import connect
from services.publishing.practice import Practice
from services.vault import Place, _text
from tests.builders import World
from tests.fakes.postiz import FakePostiz

KEY = "0123456789abcdef0123456789abcdef"
PEPPER = "c0ffee-of-this-database"
NO_DATABASE = cast(Database, None)  # an account at a vendor asks it nothing


@pytest.fixture
def fake() -> Iterator[FakePostiz]:
    with FakePostiz() as made:
        yield made


def worker(*keys: PrivateKey, **values: Any) -> Settings:
    listed = ", ".join(_text(key, VAULT_PRIVATE) for key in keys)
    return Settings(database_url="postgresql://clipdesk_app@db/clipdesk", vault_keys=listed or None, **values)


def opened(address: str | None = "https://api.postiz.com", key: str = KEY) -> Opened:
    place = Place(account_id=uuid4(), profile_id=None, provider="postiz")
    return Opened(place, uuid4(), 1, uuid4(), address, SecretStr(key))


# Whom to call -----------------------------------------------------------------------------------------------------


def test_what_was_saved_is_called(fake: FakePostiz) -> None:
    options = worker(PrivateKey.generate(), allow_private_addresses=True)
    connect.vendor(NO_DATABASE, options, opened(fake.api, fake.key)).connected()
    assert fake.requests[-1].headers["authorization"] == fake.key


def test_private_networks_are_called_only_where_that_is_allowed(fake: FakePostiz) -> None:
    with pytest.raises(PublishingMisconfigured, match="ALLOW_PRIVATE_ADDRESSES"):
        connect.vendor(NO_DATABASE, worker(PrivateKey.generate()), opened(fake.api, fake.key)).connected()
    assert fake.requests == []


def test_a_new_key_is_used_from_the_next_call_on(fake: FakePostiz) -> None:
    options, first = worker(PrivateKey.generate(), allow_private_addresses=True), opened(fake.api, fake.key)
    connect.vendor(NO_DATABASE, options, first).connected()
    second = replace(first, key=SecretStr(fake.rotate(fake.home)), key_id=uuid4(), version=2)
    connect.vendor(NO_DATABASE, options, second).connected()
    with pytest.raises(PublishingMisconfigured):
        connect.vendor(NO_DATABASE, options, first).connected()


def test_no_address_is_none(fake: FakePostiz) -> None:
    with pytest.raises(PublishingMisconfigured, match="no address"):
        connect.vendor(NO_DATABASE, worker(PrivateKey.generate()), opened(None))


def test_a_practice_account_is_never_called(fake: FakePostiz) -> None:
    options = worker(PrivateKey.generate(), allow_private_addresses=True)
    practice = replace(opened(fake.api, fake.key), practice=True)
    assert isinstance(connect.vendor(NO_DATABASE, options, practice), Practice)


# What it opens ----------------------------------------------------------------------------------------------------


def test_one_organization_however_and_by_whomever_it_was_typed() -> None:
    spelled = ("https://p.example.com/api", "https://P.example.com/api/", "https://p.example.com:443/api")
    assert len({connect.organization(PEPPER, opened(address)) for address in spelled}) == 1


def test_other_keys_and_addresses_are_other_organizations() -> None:
    others = [
        opened(), opened(key=KEY[::-1]), opened("https://p.example.com"), opened("https://p.example.com/api"),
        opened("https://p.example.com:8443"), opened("http://p.example.com"), opened("https://p.example.co", "m" + KEY),
    ]  # fmt: skip
    assert len({connect.organization(PEPPER, one) for one in others}) == len(others)


def test_its_name_tells_nothing() -> None:
    """Neither the key, nor a hash that somebody without the pepper could try keys against."""
    named = connect.organization(PEPPER, opened())
    assert re.fullmatch("[0-9a-f]{32}", named)
    assert named != connect.organization(PEPPER[::-1], opened())
    assert named not in KEY


def test_the_pepper_is_drawn_once_and_for_workers_only(world: World) -> None:
    worker = world.as_worker()
    with ThreadPoolExecutor(4) as threads:
        drawn = set(threads.map(lambda _: connect.pepper(worker), range(4)))
    assert len(drawn) == 1
    assert len(drawn.pop()) >= 64
    with pytest.raises(NotAllowed):
        connect.pepper(world.as_person(world.person(world.company(), "admin")))
