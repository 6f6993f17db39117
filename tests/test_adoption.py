"""The environment's Postiz pair: saved as the one company's credential, and used for nobody else."""

# ruff: noqa: F811 - tests take fixtures by the names under which they are imported

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr

from services import credentials, vault
from services.credentials import Credential
from tests import kill
from tests.builders import World
from tests.jobs.fixtures import folder, shared_world, world  # noqa: F401 - pytest finds fixtures by their names here

ADDRESS = "https://postiz.example.com/api"
KEY, OTHER = "environment-key-" + "0" * 48, "another-key-" + "1" * 52


class Alone:
    """An installation with one company besides the demo, and workers that have a pair."""

    def __init__(self, world: World, tmp_path: Any) -> None:
        self.world, self.data = world, tmp_path
        vault.note(world.as_worker(), self.options())
        self.account = world.company()
        self.store = world.store(self.account)
        self.admin = world.as_person(world.person(self.account, "admin"))
        self.demo = world.company("Demo")
        world.execute("update public.accounts set is_demo = true where id = %s", self.demo)

    def options(self, key: str | None = None, address: str = ADDRESS) -> Any:
        pair = {"postiz_api_url": address, "postiz_api_key": SecretStr(key)} if key else {}
        return kill.options(clipdesk_data=self.data, **pair)

    def adopt(self, key: str | None, address: str = ADDRESS) -> None:
        credentials.adopt(self.world.as_worker(), self.options(key, address))

    def used(self, account: UUID | None = None, store: UUID | None = None) -> tuple[str | None, str] | None:
        """Address and key of the store's next call."""
        worker, place = self.world.as_worker(), (account or self.account, store or self.store)
        found = credentials.for_call(worker, self.options(), *place, "postiz")
        return (found.address, found.key.get_secret_value()) if found else None

    def row(self) -> Credential:
        (found,) = [row for row in credentials.of_company(self.admin, self.account) if row.provider == "postiz"]
        return found

    def type_key(self, key: str, version: int) -> None:
        credentials.save(
            self.admin, self.options(), self.account, None, "postiz", "https://api.postiz.com", SecretStr(key),
            shared=True, version=version,
        )  # fmt: skip

    def keys(self) -> int:
        return int(self.world.value("select count(*) from private.sealed_keys where provider = 'postiz'"))


@pytest.fixture
def alone(world: World, tmp_path: Any) -> Alone:
    return Alone(world, tmp_path)


def test_it_is_saved_as_the_company_s_and_tested(alone: Alone) -> None:
    assert alone.used() is None
    alone.adopt(KEY)
    assert alone.used() == (ADDRESS, KEY)
    row = alone.row()
    assert (row.from_environment, row.shared, row.last4, row.shown_address) == (
        True,
        True,
        "0000",
        "postiz.example.com",
    )
    jobs = alone.world.rows("select input from public.jobs where kind = 'test_credential'")
    assert [job["input"]["credential_id"] for job in jobs] == [str(row.id)]
    actions = [r["action"] for r in alone.world.rows("select action, person_name from public.audit_log")]
    assert actions.count("environment_adopted") == 1


def test_the_same_pair_again_changes_nothing(alone: Alone) -> None:
    for _ in range(2):
        alone.adopt(KEY)
        alone.adopt(KEY, f"{ADDRESS}/")
    assert (alone.row().version, alone.keys()) == (1, 1)


def test_workers_that_start_at_once_save_it_once(alone: Alone) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(alone.adopt, [KEY] * 8))
    assert (alone.row().version, alone.keys()) == (1, 1)


def test_another_pair_takes_its_place_and_channels_stay_pinned(alone: Alone) -> None:
    alone.adopt(KEY)
    before = alone.row()
    alone.world.insert(
        "public.profile_channels", account_id=alone.account, profile_id=alone.store, credential_id=before.id,
        channel="c1", name="Shop", identifier="x",
    )  # fmt: skip
    alone.adopt(OTHER)
    after = alone.row()
    assert (after.id, after.version, after.test_ok, after.last4) == (before.id, 2, None, "1111")
    assert (alone.used(), alone.keys()) == ((ADDRESS, OTHER), 1)
    assert alone.world.value("select count(*) from public.profile_channels") == 1


def test_what_an_admin_switched_off_stays_off(alone: Alone) -> None:
    alone.adopt(KEY)
    credentials.save(
        alone.admin, alone.options(), alone.account, None, "postiz", None, None, enabled=False, shared=True, version=1
    )
    alone.adopt(KEY)
    assert alone.used() is None
    assert (alone.row().from_environment, alone.row().enabled) == (True, False)


def test_with_a_second_company_it_serves_nobody(alone: Alone) -> None:
    alone.adopt(KEY)
    second = alone.world.company("Second")
    there = alone.world.store(second)
    assert alone.used() is alone.used(second, there) is None
    saved = credentials.saved(alone.world.as_worker(), alone.options(), alone.row().id)
    assert saved is None
    alone.adopt(OTHER)
    assert alone.row().last4 == "0000"


def test_where_there_are_two_companies_nobody_gets_it(alone: Alone) -> None:
    alone.world.company("Second")
    alone.adopt(KEY)
    assert alone.keys() == 0


def test_the_demo_never_gets_it(alone: Alone) -> None:
    alone.adopt(KEY)
    assert alone.used(alone.demo, alone.world.store(alone.demo)) is None


def test_what_an_admin_types_wins(alone: Alone) -> None:
    alone.adopt(KEY)
    alone.type_key(OTHER, version=1)
    alone.adopt(KEY)
    assert alone.used() == ("https://api.postiz.com", OTHER)
    assert not alone.row().from_environment
    alone.world.company("Second")
    assert alone.used() == ("https://api.postiz.com", OTHER)


def test_what_was_typed_before_wins_too_until_it_is_removed(alone: Alone) -> None:
    alone.type_key(OTHER, version=0)
    alone.adopt(KEY)
    assert alone.used() == ("https://api.postiz.com", OTHER)
    row = alone.row()
    credentials.remove(alone.admin, row.id, row.version)
    alone.adopt(KEY)
    assert alone.used() == (ADDRESS, KEY)


def test_a_pair_that_is_set_no_more_is_used_no_more(alone: Alone) -> None:
    alone.adopt(KEY)
    for _ in range(2):
        alone.adopt(None)
    assert alone.used() is None
    actions = [r["action"] for r in alone.world.rows("select action from public.audit_log")]
    assert actions.count("environment_withdrawn") == 1
    alone.adopt(KEY)
    assert alone.used() == (ADDRESS, KEY)
    assert alone.keys() == 1


@pytest.mark.parametrize("address", ["https://app.postiz.com", "https://api.postiz.com/"])
def test_the_cloud_s_pages_lead_to_its_api(alone: Alone, address: str) -> None:
    alone.adopt(KEY, address)
    assert alone.used() == ("https://api.postiz.com", KEY)


def test_what_cannot_be_used_is_said_without_the_key(alone: Alone, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        alone.adopt(KEY, "https://127.0.0.1:9")
    assert alone.keys() == 0
    assert "The Postiz pair of the environment was not taken" in caplog.text
    assert KEY not in caplog.text
