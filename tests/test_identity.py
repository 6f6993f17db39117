"""Signing in and out, sessions, passwords, and the first company."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from argon2 import PasswordHasher
from psycopg import sql

from services import identity, people
from services.accounts import passwords
from services.config import settings
from services.database import connect
from services.errors import Conflict, InvalidInput, NotFound, SignedOut, TooManyTries, Unavailable
from services.identity import NewCompany, Person
from tests.builders import QUICK, World

PASSWORD = "correct horse battery"
WRONG = "The e-mail address or the password is wrong."
_hosts = count(1)


@pytest.fixture
def host() -> str:
    """A network address no other test comes from: tries are counted by it."""
    number = next(_hosts)
    return f"10.1.{number // 250}.{number % 250}"


@pytest.fixture
def enter(shared_desk: World, host: str) -> Callable[..., str]:
    """Sign in; returns the cookie's secret."""

    def sign_in(email: str, password: str = PASSWORD, **extra: Any) -> str:
        return identity.sign_in(email, password, **{"address": host, "agent": "Firefox", **extra})

    return sign_in


class Anna:
    """A manager with a password, and her company."""

    def __init__(self, world: World) -> None:
        self.account = world.company()
        self.store = world.store(self.account)
        self.id = world.person(self.account, "manager", self.store, name="Anna")
        self.email = world.password(self.id, PASSWORD)


@pytest.fixture
def anna(shared_desk: World) -> Anna:
    return Anna(shared_desk)


def known(secret: str) -> Person:
    person = identity.load(secret)
    assert person is not None
    return person


def audit(world: World, account: UUID) -> list[str]:
    rows = world.rows("select action from public.audit_log where account_id = %s order by id", account)
    return [row["action"] for row in rows]


def sessions_of(world: World, person: UUID) -> int:
    return int(world.value("select count(*) from private.sessions where person_id = %s", person))


def expire(world: World, person: UUID) -> None:
    """Let the person's sessions run out; this process no longer remembers them, as after ten seconds."""
    world.execute("update private.sessions set expires_at = now() - interval '1 s' where person_id = %s", person)
    identity.sessions.clear()


def everything_stored(world: World) -> Iterator[str]:
    """All rows of all tables, as text."""
    tables = world.rows(
        "select table_schema as s, table_name as t from information_schema.tables "
        "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        query = sql.SQL("select x::text as line from {} x").format(sql.Identifier(table["s"], table["t"]))
        yield from (row["line"] for row in world.admin.execute(query).fetchall())


class CountingHasher:
    """Counts the expensive work."""

    def __init__(self) -> None:
        self.verified = 0
        self.hashed = 0

    def hash(self, password: str) -> str:
        self.hashed += 1
        return QUICK.hash(password)

    def verify(self, password_hash: str, password: str) -> bool:
        self.verified += 1
        return QUICK.verify(password_hash, password)


@pytest.fixture
def hasher(shared_desk: World, monkeypatch: pytest.MonkeyPatch) -> CountingHasher:
    counting = CountingHasher()
    monkeypatch.setattr(passwords, "hasher", lambda: counting)
    passwords.hash_of_nobody()
    counting.hashed = 0
    return counting


class TestSignIn:
    def test_opens_a_session_of_that_person(self, shared_desk, anna, enter, host):
        person = known(enter(anna.email))
        assert (person.id, person.name, person.email) == (anna.id, "Anna", anna.email)
        assert person.address == host
        assert not person.must_change
        assert [(m.account_id, m.role, m.is_demo) for m in person.memberships] == [(anna.account, "manager", False)]
        assert audit(shared_desk, anna.account) == ["signed_in"]

    def test_takes_the_address_in_any_case_and_with_spaces_around(self, anna, enter):
        assert known(enter(f" \u00a0{anna.email.upper()}\t")).id == anna.id

    @pytest.mark.parametrize("who", ["wrong password", "unknown", "no password", "deactivated", "empty"])
    def test_a_refusal_says_and_costs_the_same_whoever_asks(self, shared_desk, anna, enter, hasher, who):
        email, password = anna.email, PASSWORD
        if who == "wrong password":
            password = "wrong horse battery"
        elif who == "unknown":
            email = "nobody@example.test"
        elif who == "no password":
            colleague = shared_desk.person(anna.account, "finance")
            email = f"{colleague}@example.test"
        elif who == "deactivated":
            shared_desk.execute("update public.people set deactivated_at = now() where id = %s", anna.id)
        else:
            email = password = ""
        with pytest.raises(InvalidInput) as refused:
            enter(email, password)
        assert (str(refused.value), refused.value.field) == (WRONG, "password")
        assert (hasher.verified, hasher.hashed) == (1, 0)
        assert sessions_of(shared_desk, anna.id) == 0

    def test_a_right_password_costs_one_check_too(self, anna, enter, hasher):
        enter(anna.email)
        assert (hasher.verified, hasher.hashed) == (1, 0)

    def test_a_failure_is_noted_for_the_companies_of_who_was_meant(self, shared_desk, anna, enter, host):
        with pytest.raises(InvalidInput):
            enter(anna.email, "wrong horse battery")
        (row,) = shared_desk.rows("select * from public.audit_log where account_id = %s", anna.account)
        assert (row["action"], row["person_id"], row["address"]) == ("sign_in_failed", anna.id, host)

    def test_somebody_unknown_leaves_nothing_in_a_log(self, shared_desk, enter):
        before = shared_desk.value("select count(*) from public.audit_log")
        with pytest.raises(InvalidInput):
            enter("nobody@example.test")
        assert shared_desk.value("select count(*) from public.audit_log") == before

    @pytest.mark.parametrize("email", ["a\0b@example.test", "\ud800@example.test"])
    def test_what_the_database_cannot_store_is_refused_with_a_sentence(self, enter, email):
        with pytest.raises(InvalidInput):
            enter(email)

    def test_the_stored_hash_is_argon2id_as_the_library_advises(self):
        made = passwords.hash_password(PASSWORD)
        assert made.startswith("$argon2id$")
        assert not PasswordHasher().check_needs_rehash(made)
        assert PASSWORD not in made

    @pytest.mark.parametrize(("password", "good"), [("x" * 9, False), ("ü" * 10, True), ("x" * 200, True),
                                                   ("x" * 201, False), ("", False)])  # fmt: skip
    def test_a_password_has_ten_to_two_hundred_characters(self, shared_desk, password, good):
        if good:
            assert passwords.matches(passwords.hash_password(password), password)
            return
        with pytest.raises(InvalidInput) as refused:
            passwords.hash_password(password)
        assert refused.value.field == "password"


class TestThrottle:
    def miss(self, enter: Callable[..., str], email: str, **extra: Any) -> None:
        with pytest.raises(InvalidInput):
            enter(email, "wrong horse battery", **extra)

    def test_the_sixth_try_for_an_address_waits_even_with_the_right_password(self, anna, enter):
        for _ in range(5):
            self.miss(enter, anna.email)
        with pytest.raises(TooManyTries) as refused:
            enter(anna.email)
        assert str(refused.value) == "Too many tries. Wait 15 min, then try again."
        assert 880 < refused.value.seconds <= 900

    def test_it_counts_from_everywhere_and_in_any_spelling(self, anna, enter):
        for number, email in enumerate([anna.email, anna.email.upper(), f" {anna.email}", anna.email, anna.email]):
            self.miss(enter, email, address=f"10.9.9.{number}")
        with pytest.raises(TooManyTries):
            enter(anna.email, address="10.9.9.77")

    def test_an_unknown_address_is_treated_alike(self, enter):
        email = f"{uuid4()}@example.test"
        for _ in range(5):
            self.miss(enter, email)
        with pytest.raises(TooManyTries):
            enter(email)

    def test_others_still_sign_in(self, anna, enter):
        for _ in range(6):
            with pytest.raises((InvalidInput, TooManyTries)):
                enter(f"{uuid4().hex[:4]}@example.test", "wrong horse battery")
        assert enter(anna.email)

    def test_thirty_tries_from_one_network_address_are_the_most(self, shared_desk, anna, enter, host):
        for number in range(30):
            self.miss(enter, f"guess-{host}-{number}@example.test")
        with pytest.raises(TooManyTries):
            enter(anna.email)
        assert enter(anna.email, address="10.8.8.8")

    def test_the_wait_shrinks_and_ends(self, shared_desk, anna, enter):
        for _ in range(5):
            self.miss(enter, anna.email)
        shared_desk.execute("update private.sign_in_tries set at = at - interval '601 s'")
        with pytest.raises(TooManyTries, match="Wait 5 min"):
            enter(anna.email)
        shared_desk.execute("update private.sign_in_tries set at = at - interval '300 s'")
        assert enter(anna.email)

    def test_a_success_forgets_the_misses_before_it(self, anna, enter):
        for _ in range(2):
            for _ in range(4):
                self.miss(enter, anna.email)
            assert enter(anna.email)

    def test_many_people_behind_one_network_address_may_sign_in(self, shared_desk, anna, enter, host):
        for _ in range(31):
            enter(anna.email)
        assert tries_from(shared_desk, host) == 0

    def test_own_sign_ins_do_not_wipe_out_guesses_from_the_same_network_address(self, shared_desk, anna, enter, host):
        for number in range(4):
            self.miss(enter, f"guess-{host}-{number}@example.test")
            enter(anna.email)
        assert tries_from(shared_desk, host) == 4

    def test_tries_at_once_are_counted_one_by_one(self, shared_desk, anna, enter):
        def attempt(_: int) -> type[Exception]:
            with pytest.raises((InvalidInput, TooManyTries)) as refused:
                enter(anna.email, "wrong horse battery")
            return refused.type

        with ThreadPoolExecutor(8) as threads:
            kinds = list(threads.map(attempt, range(8)))
        assert (kinds.count(InvalidInput), kinds.count(TooManyTries)) == (5, 3)

    def test_neither_address_is_stored_in_the_clear(self, shared_desk, enter, host):
        email = f"{uuid4()}@example.test"
        self.miss(enter, email)
        assert not any(email in line or host in line for line in everything_stored(shared_desk))


def tries_from(world: World, host: str) -> int:
    query = "select count(*) from private.sign_in_tries where key_hash = private.hash_secret(%s)"
    return int(world.value(query, f"address:{host}"))


class TestSessions:
    def test_only_the_secrets_hash_is_stored(self, shared_desk, anna, enter):
        secret = enter(anna.email)
        assert len(secret) >= 43  # 256 bits
        assert not any(secret in line or PASSWORD in line for line in everything_stored(shared_desk))
        stored = shared_desk.value("select secret_hash from private.sessions where person_id = %s", anna.id)
        assert stored == shared_desk.value("select sha256(%s::bytea)", secret.encode())

    @pytest.mark.parametrize("secret", [None, "", "nonsense", "x" * 5000, "ü", "' or 1=1 --"])
    def test_nobody_has_another_secret(self, shared_desk, anna, enter, secret):
        enter(anna.email)
        assert identity.load(secret) is None

    def test_ends_twelve_hours_after_the_sign_in(self, shared_desk, anna, enter):
        before = datetime.now(UTC)
        secret = enter(anna.email)
        expires = known(secret).expires_at
        assert timedelta(0) <= expires - before - timedelta(hours=12) < timedelta(minutes=1)
        expire(shared_desk, anna.id)
        assert identity.load(secret) is None

    def test_the_hours_are_a_setting(self, anna, enter, monkeypatch):
        monkeypatch.setenv("SESSION_HOURS", "1")
        settings.cache_clear()
        left = known(enter(anna.email)).expires_at - datetime.now(UTC)
        assert timedelta(minutes=59) < left <= timedelta(hours=1)

    def test_a_remembered_session_ends_on_time_too(self, anna, enter):
        secret = enter(anna.email)
        person = known(secret)
        identity.sessions.put(secret, person.model_copy(update={"expires_at": datetime.now(UTC)}))
        assert identity.sessions.get(secret) is None

    def test_signing_out_ends_this_session_at_once_and_no_other(self, shared_desk, anna, enter):
        here, there = enter(anna.email), enter(anna.email)
        known(here), known(there)
        identity.sign_out(here)
        assert identity.load(here) is None
        assert known(there).id == anna.id
        assert audit(shared_desk, anna.account) == ["signed_in", "signed_in", "signed_out"]

    def test_signing_out_everywhere_ends_all_of_the_persons_sessions(self, shared_desk, anna, enter):
        other = Anna(shared_desk)
        mine, others = [enter(anna.email) for _ in range(3)], enter(other.email)
        for secret in [*mine, others]:
            known(secret)
        assert identity.sign_out_everywhere(known(mine[0])) == 3
        assert [identity.load(secret) for secret in mine] == [None, None, None]
        assert known(others).id == other.id
        assert audit(shared_desk, anna.account)[-1] == "signed_out_everywhere"

    def test_another_process_believes_a_session_ten_seconds_at_most(self, shared_desk, anna, enter, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr(identity.time, "monotonic", lambda: now[0])
        secret = enter(anna.email)
        known(secret)
        shared_desk.execute("delete from private.sessions where person_id = %s", anna.id)  # signed out elsewhere
        now[0] += 9.9
        assert known(secret).id == anna.id
        now[0] += 0.2
        assert identity.load(secret) is None

    def test_who_is_deactivated_is_out_within_ten_seconds_and_reads_nothing_at_once(
        self, shared_desk, anna, enter, monkeypatch
    ):
        now = [1000.0]
        monkeypatch.setattr(identity.time, "monotonic", lambda: now[0])
        secret = enter(anna.email)
        person = known(secret)
        assert len(person.database.call("my_stores", p_account_id=anna.account)) == 1
        shared_desk.execute("update public.people set deactivated_at = now() where id = %s", anna.id)
        assert person.database.call("my_stores", p_account_id=anna.account) == []
        assert identity.names(person.database) == {None: "System"}
        with pytest.raises(NotFound):
            person.database.call("profile_dashboard", p_profile_id=anna.store)
        now[0] += 10
        assert identity.load(secret) is None
        with pytest.raises(InvalidInput, match=WRONG):
            enter(anna.email)

    def test_a_deactivated_admin_adds_nobody(self, shared_desk, enter):
        account = shared_desk.company()
        admin = shared_desk.person(account, "admin")
        person = known(enter(shared_desk.password(admin, PASSWORD)))
        shared_desk.execute("update public.people set deactivated_at = now() where id = %s", admin)
        with pytest.raises(NotFound):
            people.invite(person, account, name="Eve", email="eve@example.test", role="admin", profile_ids=[])

    def test_nobody_deactivated_gets_a_session(self, shared_desk, anna, host):
        shared_desk.execute("update public.people set deactivated_at = now() where id = %s", anna.id)
        with pytest.raises(SignedOut):
            identity.open_session(anna.id, address=host, agent="Firefox")

    def test_while_the_database_is_away_a_fresh_yes_still_counts_and_the_rest_cannot_be_told(
        self, anna, enter, monkeypatch
    ):
        seen, unseen = enter(anna.email), enter(anna.email)
        known(seen)
        monkeypatch.setattr(connect, "_current", [])
        assert known(seen).id == anna.id
        with pytest.raises(Unavailable):
            identity.load(unseen)

    def test_only_so_many_sessions_are_remembered(self, anna, enter, monkeypatch):
        monkeypatch.setattr(identity, "SESSION_CACHE_SIZE", 2)
        secrets = [enter(anna.email) for _ in range(3)]
        for secret in secrets:
            known(secret)
        assert [identity.sessions.get(secret) is not None for secret in secrets] == [False, True, True]

    def test_every_company_of_the_person_notes_who_came_from_where(self, shared_desk, anna, enter, host):
        second = shared_desk.company("Zebra Books")
        shared_desk.insert("public.members", account_id=second, person_id=anna.id, role="finance")
        secret = enter(anna.email)
        assert [m.account_name for m in known(secret).memberships] == ["Harbour Bakery", "Zebra Books"]
        identity.sign_out(secret)
        for account in (anna.account, second):
            rows = shared_desk.rows("select * from public.audit_log where account_id = %s order by id", account)
            assert [(r["action"], r["person_id"], r["person_name"], r["address"]) for r in rows] == [
                ("signed_in", anna.id, "Anna", host),
                ("signed_out", anna.id, "Anna", host),
            ]


class TestRenewal:
    def test_the_same_persons_expired_session_goes_on_under_its_secret(self, shared_desk, anna, enter):
        secret = enter(anna.email)
        expire(shared_desk, anna.id)
        assert enter(anna.email, previous=secret, address="10.7.7.7") == secret
        person = known(secret)
        assert person.id == anna.id
        assert person.address == "10.7.7.7", "what is done now comes from here, not from where it began"
        assert sessions_of(shared_desk, anna.id) == 1

    def test_another_person_gets_a_session_of_their_own(self, shared_desk, anna, enter):
        secret = enter(anna.email)
        expire(shared_desk, anna.id)
        other = Anna(shared_desk)
        new = enter(other.email, previous=secret)
        assert new != secret
        assert known(new).id == other.id
        assert identity.load(secret) is None

    def test_after_two_hours_it_is_too_late(self, shared_desk, anna, enter):
        secret = enter(anna.email)
        shared_desk.execute(
            "update private.sessions set expires_at = now() - interval '121 minutes' where person_id = %s", anna.id
        )
        assert enter(anna.email, previous=secret) != secret
        assert identity.load(secret) is None

    def test_a_live_session_is_left_alone(self, anna, enter):
        secret = enter(anna.email)
        new = enter(anna.email, previous=secret)
        assert new != secret
        assert known(secret).id == known(new).id == anna.id

    @pytest.mark.parametrize("way", ["here", "everywhere", "after it ran out"])
    def test_what_was_signed_out_never_comes_back(self, shared_desk, anna, enter, way):
        secret = enter(anna.email)
        if way == "after it ran out":
            expire(shared_desk, anna.id)
        if way == "everywhere":
            identity.sign_out_everywhere(known(secret))
        else:
            identity.sign_out(secret)
        assert enter(anna.email, previous=secret) != secret
        assert identity.load(secret) is None

    @pytest.mark.parametrize("planted", ["", "chosen by an attacker"])
    def test_a_secret_nobody_gave_out_is_not_taken_over(self, anna, enter, planted):
        assert enter(anna.email, previous=planted) != planted
        assert identity.load(planted) is None


class TestPasswords:
    def test_a_change_ends_the_persons_other_sessions(self, shared_desk, anna, enter):
        other = enter(Anna(shared_desk).email)
        here, there, expired = enter(anna.email), enter(anna.email), enter(anna.email)
        for secret in (here, there, other):
            known(secret)
        identity.change_password(known(here), here, "a new long password", present=PASSWORD)
        assert known(here).id == anna.id
        assert identity.load(there) is None
        assert identity.load(other)
        assert enter(anna.email, "a new long password", previous=expired) != expired

    @pytest.mark.parametrize(
        ("new", "present", "field"), [("short", PASSWORD, "password"), ("a new long password", "wrong", "present")]
    )
    def test_what_is_wrong_changes_nothing(self, anna, enter, new, present, field):
        secret = enter(anna.email)
        with pytest.raises(InvalidInput) as refused:
            identity.change_password(known(secret), secret, new, present=present)
        assert refused.value.field == field
        assert known(enter(anna.email)).id == anna.id

    def test_who_has_none_cannot_set_one(self, shared_desk, anna, host):
        demo = shared_desk.person(anna.account, "manager", anna.store)
        secret = identity.open_session(demo, address=host, agent="Firefox")
        with pytest.raises(NotFound, match="no password to change"):
            identity.change_password(known(secret), secret, PASSWORD)


class TestFirstStart:
    FORM = NewCompany(
        company="Harbour Bakery", store="Quay", code="001", city="Bucharest", timezone="Europe/Bucharest",
        name="Ada", email="ada@example.test", password=PASSWORD,
    )  # fmt: skip

    def form(self, **changes: str) -> NewCompany:
        return self.FORM.model_copy(update=changes)

    def test_makes_company_store_and_admin_once(self, desk):
        assert identity.first_start()
        admin = identity.create_company(self.form(), "10.0.0.9")
        assert not identity.first_start()
        person = known(identity.sign_in("ada@example.test", PASSWORD, address="10.0.0.9", agent="Firefox"))
        assert (person.id, person.must_change) == (admin, False)
        (member,) = person.memberships
        assert (member.account_name, member.role, member.timezone) == ("Harbour Bakery", "admin", "Europe/Bucharest")
        (store,) = person.database.call("my_stores", p_account_id=member.account_id)
        assert [store[key] for key in ("name", "code", "city", "timezone", "slug")] == [
            "Quay", "001", "Bucharest", "Europe/Bucharest", "quay",
        ]  # fmt: skip
        rows = desk.rows("select action, person_id, address, subject from public.audit_log order by id")
        assert tuple(rows[0].values()) == ("company_created", admin, "10.0.0.9", "Harbour Bakery")
        with pytest.raises(Conflict, match="already has a company"):
            identity.create_company(self.form(email="eve@example.test", company="Eve's"), None)
        assert desk.value("select count(*) from public.people") == 1

    def test_of_many_at_once_one_wins(self, desk):
        ready = threading.Barrier(6)

        def create(number: int) -> bool:
            ready.wait()
            try:
                identity.create_company(self.form(company=f"Company {number}", email=f"a{number}@example.test"), None)
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(6) as threads:
            assert sorted(threads.map(create, range(6))) == [False] * 5 + [True]
        counts = "select (select count(*) from public.accounts) as a, (select count(*) from auth.users) as u"
        assert desk.rows(counts) == [{"a": 1, "u": 1}]

    def test_the_demo_company_does_not_count_but_its_people_keep_their_addresses(self, desk):
        demo = desk.company("Demo", is_demo=True)
        person = desk.person(demo, "admin")
        assert identity.first_start()
        with pytest.raises(Conflict, match="e-mail address already exists"):
            identity.create_company(self.form(email=f"{person}@example.test"), None)
        assert identity.first_start()
        identity.create_company(self.form(), None)
        assert not identity.first_start()

    def test_names_without_a_latin_letter_are_fine(self, desk):
        identity.create_company(self.form(company="パン屋", store="港", name="愛"), None)
        assert desk.value("select name from public.profiles") == "港"

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"company": " "}, "company"),
            ({"company": "x" * 121}, "company"),
            ({"store": ""}, "store"),
            ({"store": "x" * 121}, "store"),
            ({"name": "\t"}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"code": ""}, "code"),
            ({"code": "store 1"}, "code"),
            ({"code": "1" * 17}, "code"),
            ({"timezone": "Europe/Atlantis"}, "timezone"),
            ({"timezone": ""}, "timezone"),
            ({"email": "ada"}, "email"),
            ({"password": "short"}, "password"),
        ],
    )
    def test_what_is_wrong_is_named(self, shared_desk, changes, field):
        with pytest.raises(InvalidInput) as refused:
            identity.create_company(self.form(**changes), None)
        assert refused.value.field == field

    def test_every_zone_on_offer_is_one_the_database_knows(self, shared_desk):
        query = "select z from unnest(%s::text[]) z where not private.is_timezone(z)"
        assert shared_desk.rows(query, sorted(identity.timezones())) == []


class TestMembership:
    def person(self, *names: str) -> Person:
        members = [
            {"account_id": uuid4(), "account_name": name, "timezone": "UTC", "role": "admin", "is_demo": False}
            for name in names
        ]
        return Person(id=uuid4(), name="Ada", email="a@example.test", expires_at=datetime.now(UTC), memberships=members)

    def test_the_chosen_company_counts_else_the_first(self):
        person = self.person("Bakery", "Zebra")
        bakery, zebra = person.memberships
        assert identity.membership(person, zebra.account_id) is zebra
        assert identity.membership(person, None) is bakery
        assert identity.membership(person, uuid4()) is bakery

    def test_without_a_company_nobody_works(self):
        with pytest.raises(SignedOut, match="do not belong to a company"):
            identity.membership(self.person(), None)


def test_names_are_those_of_colleagues_only(shared_desk, anna):
    boss = shared_desk.person(anna.account, "admin", name="Boss")
    shared_desk.person(shared_desk.company(), "admin", name="Foreign")
    assert identity.names(shared_desk.as_person(anna.id)) == {None: "System", anna.id: "Anna", boss: "Boss"}


@pytest.mark.parametrize(
    ("name", "text"),
    [("Harbour Bakery", "harbour-bakery"), ("  Café №1! ", "caf-1"), ("港", "store"), ("-", "store"),
     ("x" * 80, "x" * 60)],
)  # fmt: skip
def test_a_slug_is_plain(name, text):
    assert identity.slug(name) == text
