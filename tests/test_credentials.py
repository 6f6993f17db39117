"""Saved credentials: who may do what, whose account a store uses, and what the worker's tests find."""

# ruff: noqa: F811 - tests take fixtures by the names under which they are imported

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from services import connections, credentials, vault
from services.connections import Found
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound
from services.jobs import attempt
from services.jobs.handlers import HANDLERS
from tests import kill
from tests.jobs.fixtures import folder, shared_world, world  # noqa: F401 - pytest finds fixtures by their names here

KEY = "sk_planted_secret_0123456789"
GOOD = Found(ok=True, message="Connected: plan creator.", facts={"tier": "creator"})


class City:
    """A company with two stores and one person of each role, beside another company."""

    def __init__(self, world, options) -> None:
        vault.note(world.as_worker(), options)
        self.world, self.options = world, options
        self.account = world.company()
        self.store, self.other_store = world.store(self.account), world.store(self.account)
        self.admin = world.as_person(world.person(self.account, "admin", name="Ada"))
        self.manager = world.as_person(world.person(self.account, "manager", self.store))
        self.elsewhere = world.as_person(world.person(self.account, "manager", self.other_store))
        self.finance = world.as_person(world.person(self.account, "finance"))
        self.foreign = world.company("Other")
        self.foreign_admin = world.as_person(world.person(self.foreign, "admin"))
        self.nobody = world.doors.anonymous()

    def save(self, store=None, provider="elevenlabs", key=KEY, *, by=None, address=None, **values):
        secret = SecretStr(key) if key else None
        return credentials.save(
            by or self.admin, self.options, self.account, store, provider, address, secret, **values
        )

    def used(self, store=None, provider="elevenlabs", account=None):
        """The key of the next call, if any."""
        found = credentials.for_call(self.world.as_worker(), self.options, account or self.account, store, provider)
        return found.key.get_secret_value() if found else None

    def row(self, store=None, provider="elevenlabs", by=None):
        """The credential as a person sees it, or None."""
        seen = by or self.admin
        rows = credentials.of_store(seen, store) if store else credentials.of_company(seen, self.account)
        return next((row for row in rows if row.provider == provider), None)


@pytest.fixture
def city(world, tmp_path):
    return City(world, kill.options(clipdesk_data=tmp_path))


@pytest.fixture
def tested(monkeypatch):
    """What the next tests of connections find; yields what was tried."""
    tried = []

    def test(provider, address, key, options):
        tried.append((provider, address, key.get_secret_value()))
        return test.finds

    test.finds = GOOD
    monkeypatch.setattr(connections, "test", test)
    tried.append(test)
    return tried


# Saving -----------------------------------------------------------------------------------------------------------


def test_an_admin_saves_what_the_worker_opens_and_nobody_reads(city):
    identity = city.save(city.store, address="https://voices.example.test:8443/api", found=GOOD)
    row = city.row(city.store)
    assert (row.id, row.last4, row.shown_address, row.version) == (identity, "6789", "voices.example.test:8443", 1)
    assert (row.test_ok, row.facts, row.enabled, row.shared) == (True, {"tier": "creator"}, True, False)
    assert city.used(city.store) == KEY
    dump = str(city.world.rows("select * from public.profile_credentials")) + str(
        city.world.rows("select * from public.audit_log") + city.world.rows("select * from public.jobs")
    )
    assert KEY not in dump
    assert "v1." not in dump, "ciphertext belongs into the private table alone"


@pytest.mark.parametrize("statement", ["select * from private.sealed_keys", "select * from private.vault_keys"])
def test_no_person_reaches_what_is_sealed(city, statement):
    city.save()
    for role in ("anon", "authenticated"):
        with psycopg.connect(city.world.url) as connection:
            connection.execute(f"set role {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    for function, values in {
        "sealed_credential": {"p_credential_id": uuid4()},
        "credential_for": {"p_account_id": city.account, "p_profile_id": None, "p_provider": "elevenlabs"},
        "sealed_otherwise": {"p_fingerprint": "0" * 16, "p_after": None},
    }.items():
        with pytest.raises(AppError):
            city.admin.call(function, **values)


@pytest.mark.parametrize(
    ("who", "error"),
    [("manager", NotAllowed), ("finance", NotAllowed), ("foreign_admin", NotFound), ("nobody", AppError)],
)
def test_only_an_admin_of_the_company_types_keys(city, who, error):
    identity = city.save(city.store)
    for change in (
        lambda door: city.save(city.store, by=door, version=1),
        lambda door: city.save(None, by=door),
        lambda door: credentials.remove(door, identity, 1),
        lambda door: credentials.choose(door, city.store, "elevenlabs", "none", 0),
    ):
        with pytest.raises(error):
            change(getattr(city, who))
    assert city.used(city.store) == KEY


def test_who_sees_what(city):
    city.save()
    city.save(city.store)
    seen = {
        who: (city.row(by=getattr(city, who)) is not None, city.row(city.store, by=getattr(city, who)) is not None)
        for who in ("admin", "manager", "elsewhere", "finance", "foreign_admin")
    }
    assert seen == {
        "admin": (True, True), "manager": (True, True), "elsewhere": (True, False), "finance": (False, False),
        "foreign_admin": (False, False),
    }  # fmt: skip


def test_keys_go_to_stores_of_the_company_only(city):
    with pytest.raises(NotFound):
        city.save(city.world.store(city.foreign))
    city.world.execute("update public.profiles set archived_at = now() where id = %s", city.store)
    with pytest.raises(NotFound):
        city.save(city.store)


def test_keeping_the_key_keeps_its_address_and_its_test(city):
    city.save(address="https://voices.example.test", found=GOOD)
    city.save(key=None, address=None, enabled=False, version=1)
    row = city.row()
    assert (row.enabled, row.version, row.test_ok, row.last4) == (False, 2, True, "6789")
    for another in ("https://elsewhere.example.test", "https://voices.example.test/other"):
        with pytest.raises(InvalidInput) as refused:
            city.save(key=None, address=another, version=2)
        assert refused.value.field == "key"
    with pytest.raises(InvalidInput):
        city.save(key=None, provider="gemini")


def test_of_a_short_key_nothing_is_shown(city):
    city.save(key="short12")
    assert city.row().last4 == ""


def test_the_log_tells_what_changed_without_the_key(city):
    city.save(shared=True)
    city.save(key="sk_another_secret_987654321", shared=True, version=1)
    credentials.remove(city.admin, city.row().id, 2)
    entries = city.world.rows("select * from public.audit_log where action like 'credential%%' order by id")
    assert [(entry["action"], entry["person_name"]) for entry in entries] == [
        ("credential_saved", "Ada"), ("credential_saved", "Ada"), ("credential_removed", "Ada"),
    ]  # fmt: skip
    assert entries[1]["before"]["last4"] == "6789"
    assert entries[1]["after"] == {"last4": "4321", "address": None, "enabled": True, "shared": True}


# Two at once ------------------------------------------------------------------------------------------------------


def test_the_second_of_two_who_save_the_same_is_told(city):
    city.save()
    city.save(key="sk_the_first_of_the_two", version=1)
    with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
        city.save(key="sk_the_second_of_the_two", version=1)
    with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
        credentials.remove(city.admin, city.row().id, 1)
    with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
        city.save(key="sk_as_if_none_was_there")
    assert city.used() == "sk_the_first_of_the_two"


@pytest.mark.parametrize("version", [0, 1])
def test_of_many_who_save_at_once_one_gets_through(city, version):
    if version:
        city.save()

    def save(number):
        try:
            city.save(key=f"sk_of_racer_number_{number}", version=version)
        except Conflict:
            return None
        return f"sk_of_racer_number_{number}"

    with ThreadPoolExecutor(8) as pool:
        winners = [key for key in pool.map(save, range(8)) if key]
    assert len(winners) == 1
    assert city.used() == winners[0]
    assert city.row().version == version + 1
    assert city.world.value("select count(*) from private.sealed_keys") == 1


def test_different_sections_survive_each_other(city):
    city.save(city.store)
    city.save(city.store, "gemini", "gemini_key_number_one")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(city.save, city.store, key="sk_changed_by_the_one", version=1)
        second = pool.submit(city.save, city.store, "gemini", "gemini_changed_by_other", version=1)
        first.result(10), second.result(10)
    credentials.choose(city.admin, city.store, "elevenlabs", "own", 0)
    assert (city.used(city.store), city.used(city.store, "gemini")) == (
        "sk_changed_by_the_one", "gemini_changed_by_other",
    )  # fmt: skip


def test_a_choice_made_meanwhile_is_told(city):
    assert credentials.choose(city.admin, city.store, "postiz", "company", 0) == 1
    with pytest.raises(Conflict):
        credentials.choose(city.admin, city.store, "postiz", "none", 0)
    assert credentials.choose(city.admin, city.store, "postiz", "none", 1) == 2
    assert credentials.chosen(city.manager, city.store)["postiz"].uses == "none"
    entry = city.world.rows("select * from public.audit_log where action = 'account_chosen' order by id desc")[0]
    assert (entry["before"], entry["after"]) == ({"uses": "company"}, {"uses": "none"})


# Whose account ----------------------------------------------------------------------------------------------------

OWN, COMPANY = "sk_of_the_store_itself", "sk_of_the_whole_company"


@pytest.mark.parametrize(
    ("has", "shared", "choice", "uses", "key"),
    [
        ("", True, None, "company", None),
        ("company", True, None, "company", COMPANY),
        ("company", False, None, "none", None),
        ("company", False, "company", "company", COMPANY),
        ("own company", True, None, "own", OWN),
        ("own company", True, "company", "company", COMPANY),
        ("own company", True, "none", "none", None),
        ("company", True, "own", "own", None),
        ("own", True, "company", "company", None),
    ],
)
def test_whose_account_a_store_uses(city, has, shared, choice, uses, key):
    if "own" in has:
        city.save(city.store, key=OWN)
    if "company" in has:
        city.save(key=COMPANY, shared=shared)
    if choice:
        credentials.choose(city.admin, city.store, "elevenlabs", choice, 0)
    assert credentials.choices(city.manager, city.store)["elevenlabs"] == uses
    assert city.used(city.store) == key
    assert city.used(city.store, "gemini") is None


def test_what_is_switched_off_is_not_replaced_by_another_account(city):
    city.save(key=COMPANY, shared=True)
    city.save(city.store, key=OWN, enabled=False)
    assert city.used(city.store) is None
    city.save(key=None, shared=True, enabled=False, version=1)
    assert city.used(city.other_store) is None
    assert city.used() is None


def test_a_removed_one_is_used_no_more(city):
    city.save(city.store, key=OWN)
    credentials.remove(city.admin, city.row(city.store).id, 1)
    assert city.used(city.store) is None
    assert city.world.value("select count(*) from private.sealed_keys") == 0


def test_strangers_cannot_ask_whose_account_a_store_uses(city):
    for who in (city.elsewhere, city.foreign_admin):
        with pytest.raises(NotFound):
            credentials.choices(who, city.store)


def test_rows_swapped_between_stores_are_refused(city):
    city.save(city.store, key=OWN)
    city.save(city.other_store, key="sk_of_the_other_store")
    city.world.execute(
        "update private.sealed_keys a set ciphertext = b.ciphertext from private.sealed_keys b where a.id <> b.id"
    )
    for store in (city.store, city.other_store):
        with pytest.raises(AppError, match="another store, company or service"):
            city.used(store)


# The environment's pair and the demo ------------------------------------------------------------------------------


@pytest.fixture
def alone(world, tmp_path):
    """An installation with one company, and a pair in its environment."""
    alone = City(world, kill.options(clipdesk_data=tmp_path, elevenlabs_api_key="sk_of_the_environment"))
    world.execute("update public.accounts set is_demo = true where id = %s", alone.foreign)
    return alone


def test_the_environment_s_pair_serves_the_one_company_until_one_is_saved(alone):
    assert alone.used(alone.store) == "sk_of_the_environment"
    alone.save(key=COMPANY, shared=True)
    assert alone.used(alone.store) == COMPANY
    alone.save(key=None, shared=True, enabled=False, version=1)
    assert alone.used(alone.store) is None


def test_with_a_second_company_the_environment_s_pair_serves_nobody(alone):
    alone.world.company("Third")
    assert alone.used(alone.store) is None


def test_demo_stores_never_use_a_real_key(alone):
    store = alone.world.store(alone.foreign)
    assert alone.used(store, account=alone.foreign) is None
    with pytest.raises(NotAllowed, match="demo"):
        credentials.save(
            alone.foreign_admin, alone.options, alone.foreign, store, "elevenlabs", None, SecretStr(KEY)
        )  # fmt: skip
    alone.world.execute("update public.accounts set is_demo = false where id = %s", alone.foreign)
    credentials.save(alone.foreign_admin, alone.options, alone.foreign, store, "elevenlabs", None, SecretStr(KEY))
    alone.world.execute("update public.accounts set is_demo = true where id = %s", alone.foreign)
    assert alone.used(store, account=alone.foreign) is None
    assert alone.world.as_worker().call("enabled_credentials") == []


# Tests by the worker ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(city, folder):
    """Run the oldest waiting job of a kind; returns its row."""

    def once(kind):
        context = kill.claim(city.world, folder, kind, clipdesk_data=city.options.clipdesk_data)
        attempt.run(context, HANDLERS[kind])
        return kill.job_row(city.world, context.job.id)

    return once


def test_a_new_key_that_nobody_tested_is_tested_by_the_worker(city, run, tested):
    city.save(city.store, address="https://voices.example.test")
    assert city.row(city.store).tested_at is None
    assert run("test_credential")["result"] == {"ok": True}
    row = city.row(city.store)
    assert (row.test_ok, row.test_message, row.facts) == (True, GOOD.message, GOOD.facts)
    assert tested[1:] == [("elevenlabs", "https://voices.example.test", KEY)]


@pytest.mark.parametrize(
    ("who", "error"), [("elsewhere", NotFound), ("finance", NotAllowed), ("foreign_admin", NotFound)]
)
def test_who_may_not_have_it_tested(city, who, error):
    identity = city.save(city.store, found=GOOD)
    with pytest.raises(error):
        credentials.retest(getattr(city, who), identity)


def test_a_manager_has_the_saved_one_tested_once_however_often_they_ask(city, run, tested):
    identity = city.save(city.store, found=GOOD)
    tested[0].finds = Found(ok=False, message="The key does not work any more.")
    job = credentials.retest(city.manager, identity)
    assert credentials.retest(city.manager, identity) == job
    assert run("test_credential")["status"] == "completed"
    row = city.row(city.store)
    assert (row.test_ok, row.test_message, row.version) == (False, "The key does not work any more.", 1)
    assert row.facts == GOOD.facts, "what was found last is still what it was"


def test_every_enabled_one_is_tested_daily(city, run, tested):
    city.save(city.store)
    city.save(provider="gemini", key="gemini_key_number_one")
    city.save(provider="postiz", key="postiz_key_number_one", enabled=False)
    city.world.job("test_credentials")
    assert run("test_credentials")["result"] == {"working": 2, "failing": 0, "unknown": 0}
    assert {provider for provider, _, _ in tested[1:]} == {"elevenlabs", "gemini"}


SILENT = Found(ok=False, message="No answer.", passing=True)


def told_dead(city):
    return city.world.value("select count(*) from public.notices where kind = 'credential_dead'")


def test_a_passing_trouble_leaves_what_is_known_of_a_key(city, run, tested):
    city.save(city.store, found=GOOD)
    tested[0].finds = SILENT
    for times in (1, 2, 3):
        city.world.job("test_credentials")
        assert run("test_credentials")["result"] == {"working": 0, "failing": 0, "unknown": 1}
        row = city.row(city.store)
        assert (row.test_ok, row.test_message, row.passing_tests) == (True, "No answer.", times)
        assert row.facts == GOOD.facts
    assert told_dead(city) == 0
    tested[0].finds = Found(ok=False, message="Refused.")
    city.world.job("test_credentials")
    run("test_credentials")
    row = city.row(city.store)
    assert (row.test_ok, row.passing_tests, told_dead(city)) == (False, 0, 1)


def test_a_passing_trouble_does_not_say_that_a_dead_key_works(city, run, tested):
    identity = city.save(city.store, found=Found(ok=False, message="Refused."))
    tested[0].finds = SILENT
    credentials.retest(city.manager, identity)
    assert run("test_credential")["result"] == {"ok": None}
    assert (city.row(city.store).test_ok, city.row(city.store).passing_tests) == (False, 1)


def test_of_a_new_key_a_passing_trouble_tells_nothing(city):
    city.save(city.store, found=GOOD)
    city.save(city.store, key="sk_another_key_0123456789", version=1, found=SILENT)
    row = city.row(city.store)
    assert (row.test_ok, row.facts, row.passing_tests, told_dead(city)) == (None, {}, 1, 0)
    city.save(city.store, key="sk_a_third_key_0123456789", version=2)
    assert (city.row(city.store).passing_tests, city.row(city.store).tested_at) == (0, None)


def test_what_cannot_be_opened_fails_its_test_with_a_sentence(city, run, tested, tmp_path):
    city.save(city.store)
    (tmp_path / "vault" / "private").unlink()
    assert run("test_credential")["result"] == {"ok": False}
    assert "VAULT_KEYS" in city.row(city.store).test_message
    assert tested[1:] == []


def test_a_test_of_a_key_that_was_replaced_meanwhile_says_nothing(city):
    identity = city.save(city.store)
    old = city.world.value("select key_id from public.profile_credentials")
    city.save(city.store, key="sk_the_next_of_the_keys", version=1)
    noted = city.world.as_worker().call(
        "save_test_result", p_credential_id=identity, p_key_id=old, p_ok=True, p_message="Fine.", p_facts={}
    )
    assert noted is False
    assert city.row(city.store).test_ok is None
