"""Stores with accounts of their own: each call through the right one, whoever changes keys meanwhile."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from decimal import Decimal

import pytest
from nacl.public import PrivateKey
from pydantic import SecretStr

from services import config, credentials, vault
from services.config import VAULT_PRIVATE, VAULT_PUBLIC, settings
from services.errors import AppError, Conflict, InvalidInput
from services.jobs import attempt
from services.jobs.handlers import HANDLERS
from services.speech import catalogue, generation, registry
from services.speech.slots import slots_of
from tests import kill
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.speech import vendor

LINE = "Fresh bread at six, every day of the week."


@pytest.fixture
def fake():
    with FakeElevenLabs() as server:
        server.seconds_per_character = 0.01
        yield server


@pytest.fixture(autouse=True)
def keys(tmp_path, monkeypatch):
    """A vault, in the settings of this process and of those that it starts."""
    made = PrivateKey.generate()
    wanted = {
        "VAULT_KEYS": VAULT_PRIVATE + base64.urlsafe_b64encode(bytes(made)).decode(),
        "VAULT_PUBLIC_KEY": VAULT_PUBLIC + base64.urlsafe_b64encode(bytes(made.public_key)).decode(),
        "CLIPDESK_DATA": str(tmp_path / "data"),
        "SPOOL_DIR": str(tmp_path / "spool"),
        "ELEVENLABS_SECONDS": str(vendor.SECONDS * 20),
    }
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    config.settings.cache_clear()
    yield
    config.settings.cache_clear()


class Town:
    """A company whose stores have accounts of their own at the fake vendor."""

    def __init__(self, world, folder, shop, fake) -> None:
        vault.note(world.as_worker(), settings())
        self.world, self.folder, self.shop, self.fake = world, folder, shop, fake
        self.admin_id = world.person(shop.account, "admin")
        self.admin = world.as_person(self.admin_id)
        world.execute("update public.profiles set monthly_quota_usd = 0")
        for model in (vendor.MODEL, "eleven_flash_v2_5", "eleven_v3"):
            world.price(shop.account, "elevenlabs", model, vendor.PRICE)

    def account(self, store, version=0, fake=None, **values):
        """Open an account at the vendor and save its key for the store (None: the company); returns the key."""
        where = fake or self.fake
        key = where.account(credits=10**9, **values).key
        self.save(store, key, version, where.url)
        return key

    def save(self, store, key, version, url=None):
        return credentials.save(
            self.admin, settings(), self.shop.account, store, "elevenlabs", url or self.fake.url, SecretStr(key),
            shared=store is None, version=version,
        )  # fmt: skip

    def run(self, kind="speech"):
        """Run the oldest waiting job of a kind in this thread; returns its row."""
        self.world.execute("update public.jobs set run_after = now() where status = 'pending'")
        context = kill.claim(self.world, self.folder, kind)
        attempt.run(context, HANDLERS[kind])
        return kill.job_row(self.world, context.job.id)

    def list(self):
        assert self.run("voices")["status"] == "completed"

    def order(self, store, text=LINE, **values):
        return vendor.order(self.world, store, self.admin_id, text, **values)

    def remove(self, store):
        (row,) = credentials.of_store(self.admin, store)
        credentials.remove(self.admin, row.id, row.version)

    def states(self):
        return [row["state"] for row in self.world.rows("select state from public.purchases order by created_at")]


@pytest.fixture
def town(world, folder, shop, fake):
    return Town(world, folder, shop, fake)


# One call, one account --------------------------------------------------------------------------------------------


def test_two_stores_are_billed_to_their_own_accounts_and_another_to_the_company(town, world, shop, fake):
    second, third = world.store(shop.account), world.store(shop.account)
    expected = {
        town.account(shop.store): "Of the first.",
        town.account(second): "Of the second.",
        town.account(None): "Of all.",
    }
    town.list()
    for store, text in zip((shop.store, second, third), expected.values(), strict=True):
        town.order(store, text)
        assert town.run()["status"] == "completed"
    assert {charge.key: charge.text for charge in fake.bill} == expected
    vendor.assert_books_equal_the_bill(world, fake)


def test_a_store_without_an_account_buys_nothing(town, world, shop, fake):
    town.account(shop.store)
    town.list()
    other = world.store(shop.account)
    with pytest.raises(AppError, match="not connected"):
        town.order(other)
    job = town.order(shop.store)
    credentials.choose(town.admin, shop.store, "elevenlabs", "none", 0)
    assert "not connected" in town.run()["error"]
    assert (fake.bill, kill.job_row(world, job)["status"]) == ([], "failed")
    assert world.rows("select * from public.cost_holds where state in ('reserved', 'committed')") == []


def test_a_key_that_cannot_be_opened_buys_nothing_and_says_why(town, shop, fake, monkeypatch):
    town.account(shop.store)
    town.list()
    town.order(shop.store)
    other = VAULT_PRIVATE + base64.urlsafe_b64encode(bytes(PrivateKey.generate())).decode()
    monkeypatch.setenv("VAULT_KEYS", other)
    assert "VAULT_KEYS" in town.run()["error"]
    assert fake.bill == []


# Lists of voices --------------------------------------------------------------------------------------------------


def test_each_account_has_its_own_voices_models_and_rates(town, world, shop, fake):
    other = world.store(shop.account)
    with FakeElevenLabs() as second:
        del second.voices[vendor.ORDINARY]
        del second.models["eleven_v3"]
        town.account(None)
        town.account(shop.store, fake=second)
        town.list()
        companys, own = (_offer(town, store) for store in (other, shop.store))
        assert (companys.list_of, own.list_of) == (None, shop.store)
        ours = {voice.id for voice in catalogue.voices(town.admin, shop.account, "elevenlabs", list_of=own.list_of)}
        theirs = {voice.id for voice in catalogue.voices(town.admin, shop.account, "elevenlabs")}
        assert theirs - ours == {vendor.ORDINARY}
        assert catalogue.model(town.admin, "elevenlabs", "eleven_v3", other)
        with pytest.raises(InvalidInput):
            catalogue.model(town.admin, "elevenlabs", "eleven_v3", shop.store)
        voice = sorted(ours - {vendor.UNKNOWN})[0]
        for multiplier, store in ((3, shop.store), (1, None)):
            world.execute(
                "update public.voices set multiplier = %s where profile_id is not distinct from %s and voice = %s",
                multiplier, store, voice,
            )  # fmt: skip
        dear, plain = (
            generation.quote(town.admin, store, vendor.wanted(LINE, voice=voice)).estimate
            for store in (shop.store, other)
        )
        assert dear == 3 * plain

    with pytest.raises(AppError):
        catalogue.model(world.as_person(world.person(None)), "elevenlabs", "eleven_v3", other)


def _offer(town, store):
    (found,) = [o for o in catalogue.offers(town.admin, town.shop.account, store) if o.name == "elevenlabs"]
    return found


def test_people_of_another_store_do_not_see_its_voices(town, world, shop):
    town.account(shop.store)
    town.list()
    stranger = world.as_person(world.person(shop.account, "manager", world.store(shop.account)))
    assert catalogue.voices(stranger, shop.account, "elevenlabs", list_of=shop.store) == []
    assert catalogue.voices(shop.database, shop.account, "elevenlabs", list_of=shop.store) != []


def test_a_removed_account_takes_its_voices_along(town, world, shop):
    town.account(shop.store)
    town.list()
    town.remove(shop.store)
    assert world.value("select count(*) from public.voices where account_id is not null") == 0
    with pytest.raises(AppError, match="not connected"):
        town.order(shop.store)


def test_an_account_that_is_switched_off_loses_its_list_at_the_next_look(town, world, shop):
    town.account(shop.store)
    town.list()
    (row,) = credentials.of_store(town.admin, shop.store)
    credentials.save(town.admin, settings(), shop.account, shop.store, "elevenlabs", None, None, False, False, 1)
    assert row.enabled
    world.job("voices")
    town.list()
    assert world.value("select count(*) from public.voices where account_id is not null") == 0


# Keys that change -------------------------------------------------------------------------------------------------


def test_the_next_call_uses_the_key_that_was_saved_meanwhile(town, world, shop, fake):
    old = town.account(shop.store)
    town.list()
    town.order(shop.store, "With the first.")
    town.run()
    new = town.account(shop.store, version=1)
    town.order(shop.store, "With the second.")
    assert town.run()["status"] == "completed"
    assert [(charge.key, charge.text) for charge in fake.bill] == [(old, "With the first."), (new, "With the second.")]
    assert world.value("select count(*) from private.sealed_keys") == 1


def test_a_call_that_waits_for_its_turn_starts_with_the_key_saved_meanwhile(town, world, shop, fake):
    old = town.account(shop.store)
    town.list()
    town.order(shop.store)
    places = slots_of(old)
    with ThreadPoolExecutor(1) as pool:
        with places.admit(time.monotonic() + 5), places.admit(time.monotonic() + 5):
            working = pool.submit(town.run)
            kill.wait_until(lambda: town.states() == ["sent"], "the call waits for its turn")
            new = town.account(shop.store, version=1)
        assert working.result(20)["status"] == "completed"
    assert [charge.key for charge in fake.bill] == [new]
    assert town.states() == ["refused", "settled"]
    vendor.assert_books_equal_the_bill(world, fake)
    assert world.rows("select * from public.cost_holds where state in ('reserved', 'committed')") == []


def test_the_database_refuses_to_send_with_a_key_that_was_replaced(town, world, shop, folder):
    town.account(shop.store)
    town.list()
    town.order(shop.store)
    old = world.value("select key_id from public.profile_credentials")
    town.account(shop.store, version=1)
    context = kill.claim(world, folder, "speech")
    purchase = context.write("begin_purchase", p_place=0)
    for stale in (old, None):
        with pytest.raises(Conflict, match="changed meanwhile"):
            context.write("send_purchase", p_purchase_id=purchase["id"], p_seconds=Decimal(60), p_key_id=stale)


@pytest.fixture
def lost(town, shop, fake):
    """A call whose answer was lost, and whose vendor does not list it yet; the key was replaced since."""
    old = town.account(shop.store)
    town.list()
    fake.misbehave("text-to-speech", "lost")
    fake.misbehave("history", "error", times=None)
    town.order(shop.store)
    assert town.run()["status"] == "pending"
    town.account(shop.store, version=1)
    fake.behave()
    return old


def test_a_lost_answer_is_found_with_the_key_that_made_the_call(town, world, fake, lost):
    assert town.run()["status"] == "completed"
    assert town.states() == ["recovered"]
    assert [charge.key for charge in fake.bill] == [lost]
    vendor.assert_books_equal_the_bill(world, fake)
    world.as_worker().call("forget_keys")
    assert world.value("select count(*) from private.sealed_keys") == 1


def test_where_that_key_is_gone_a_person_decides(town, world, fake, lost):
    world.execute("delete from private.sealed_keys k where not exists"
                  " (select from public.profile_credentials c where c.key_id = k.id)")  # fmt: skip
    world.execute("update public.purchases set deadline = now() - interval '1 hour'")
    row = town.run()
    assert (row["status"], town.states(), len(fake.bill)) == ("failed", ["unclear"], 1)
    assert "nobody can tell" in row["error"]


def test_a_replaced_key_stays_while_a_proven_absence_may_still_turn_up(town, world, lost):
    world.execute("update public.purchases set state = 'refused', absent_at = now()")
    world.as_worker().call("forget_keys")
    assert world.value("select count(*) from private.sealed_keys") == 2
    world.execute("update public.purchases set absent_at = now() - interval '2 days'")
    world.as_worker().call("forget_keys")
    assert world.value("select count(*) from private.sealed_keys") == 1


# Many at once -----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_workers(server, database, tmp_path):
    """two_workers() → a block in which two processes of two threads work."""

    @contextmanager
    def work():
        with ExitStack() as stack:
            for _ in range(2):
                process = kill.process(server, database, tmp_path / "media", lease=kill.LONG_LEASE)
                stack.callback(kill.kill, process)
            yield

    return work


def _all_done(world):
    return world.value("select count(*) from public.jobs where kind = 'speech' and status <> 'completed'") == 0


def _wait_for_all(world, seconds):
    deadline = time.monotonic() + seconds
    while not _all_done(world):
        failed = world.rows("select error from public.jobs where kind = 'speech' and status = 'failed'")
        assert not failed, failed
        assert time.monotonic() < deadline, "the workers are not done"
        time.sleep(0.1)


@pytest.mark.parametrize("pieces", [12, pytest.param(500, marks=pytest.mark.full)])
def test_stores_with_their_own_keys_generating_at_once_never_use_each_other_s(
    town, world, shop, fake, two_workers, pieces
):
    stores = {"one": shop.store, "two": world.store(shop.account)}
    keys = {name: town.account(store) for name, store in stores.items()}
    town.list()
    kill.quiet(world)
    before = len(fake.requests)
    for number in range(pieces // 2):
        for name, store in stores.items():
            town.order(store, f"Piece {number} of store {name}.")
    with two_workers():
        _wait_for_all(world, 60 + pieces)
    spoken = [(r.key, r.body["text"]) for r in fake.requests[before:] if r.path.startswith("/v1/text-to-speech/")]
    wrong = [text for key, text in spoken if key != keys[text.rstrip(".").split()[-1]]]
    assert wrong == []
    assert len(fake.bill) == pieces
    assert {r.key for r in fake.requests[before:]} == set(keys.values())
    vendor.assert_books_equal_the_bill(world, fake)


def test_a_key_changed_here_is_used_at_once_by_processes_that_generate(town, world, shop, fake, two_workers):
    old = town.account(shop.store)
    town.list()
    kill.quiet(world)
    pieces = 24
    for number in range(pieces):
        town.order(shop.store, f"Piece {number} of many.")
    with two_workers():
        kill.wait_until(lambda: len(fake.bill) >= 4, "the first are billed")
        new = town.account(shop.store, version=1)
        saved_at = world.value("select clock_timestamp()")
        billed_before = len(fake.bill)
        _wait_for_all(world, 60)
    sent = {
        row["preview"]: row["sent_at"]
        for row in world.rows(
            "select j.input ->> 'text' as preview, p.sent_at from public.purchases p"
            " join public.jobs j on j.id = p.job_id where p.state = 'settled'"
        )
    }
    later = [charge.key for charge in fake.bill if sent[charge.text] > saved_at]
    assert set(later) == {new}
    assert len(later) >= pieces - billed_before - 4, "as many calls as threads may have been under way"
    assert {charge.key for charge in fake.bill} == {old, new}
    assert len(fake.bill) == pieces
    vendor.assert_books_equal_the_bill(world, fake)


# Clients ----------------------------------------------------------------------------------------------------------


def test_one_client_a_key_and_none_of_what_was_replaced(town, world, shop):
    def client():
        access = registry.for_store(world.as_worker(), settings(), shop.account, shop.store, "elevenlabs")
        return access.provider._connection

    town.account(shop.store)
    first = client()
    assert client() is first
    with first.use() as used:
        http = used._client_wrapper.httpx_client.httpx_client
        town.account(shop.store, version=1)
        assert client() is not first
        assert not http.is_closed, "a call is under way on it"
    assert http.is_closed


def test_a_process_keeps_the_clients_used_last_only(town, world, shop, monkeypatch):
    monkeypatch.setattr(registry, "CLIENTS", 2)
    monkeypatch.setattr(registry, "_KEPT", registry._Clients())
    stores = [shop.store, *(world.store(shop.account) for _ in range(3))]
    for store in stores:
        town.account(store)
        access = registry.for_store(world.as_worker(), settings(), shop.account, store, "elevenlabs")
        access.provider.account()
    assert len(registry._KEPT._kept) <= 2
    assert access.provider._connection._client is not None
