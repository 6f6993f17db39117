"""People of a company with local accounts: links, roles and stores, the last admin, and who may do what to whom."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from psycopg import sql

from services import identity, people
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, SignedOut
from services.identity import Person
from services.people import Link, Member
from tests.builders import World

PASSWORD = "correct horse battery"
OTHER = "battery staple correct"
WHY = "The rota changed"
_hosts = count(1)


def host() -> str:
    """A network address no other test comes from: tries are counted by it."""
    number = next(_hosts)
    return f"10.7.{number // 250}.{number % 250}"


def enter(email: str, password: str = PASSWORD) -> Person:
    return known(identity.sign_in(email, password, address=host(), agent="Firefox"))


def known(secret: str) -> Person:
    person = identity.load(secret)
    assert person is not None
    return person


def session(person: UUID) -> str:
    return identity.open_session(person, address=None, agent="Firefox")


class Bakery:
    """A company with two stores, an admin Ada and a manager Mia of the first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.quay, self.hill = (world.store(self.account, name, code=name) for name in ("Quay", "Hill"))
        self.ada_id = world.person(self.account, "admin", name="Ada")
        self.mia = world.person(self.account, "manager", self.quay, name="Mia")
        self.emails = {one: world.password(one, PASSWORD) for one in (self.ada_id, self.mia)}
        self.ada = known(session(self.ada_id))

    def door(self, person: UUID | None = None):
        return self.world.as_person(person or self.ada_id)

    def member(self, person: UUID) -> Member:
        return next(m for m in people.of_company(self.door(), self.account) if m.id == person)

    def add(self, **changes: Any) -> people.Outcome:
        values = {"name": "Ben", "email": f"ben-{uuid4()}@example.test", "role": "manager", "profile_ids": [self.quay]}
        return people.invite(self.ada, self.account, **{**values, **changes})

    def invited(self, **changes: Any) -> tuple[UUID, Link]:
        email = changes.setdefault("email", f"ben-{uuid4()}@example.test")
        made = self.add(**changes)
        assert made.link
        return self.world.value("select id from public.people where email = %s", email), made.link

    def log(self, action: str) -> list[dict[str, Any]]:
        query = "select * from public.audit_log where account_id = %s and action = %s order by id"
        return self.world.rows(query, self.account, action)

    def roles(self) -> dict[UUID, str]:
        rows = self.world.rows("select person_id, role from public.members where account_id = %s", self.account)
        return {row["person_id"]: row["role"] for row in rows}


@pytest.fixture
def bakery(shared_desk: World) -> Bakery:
    return Bakery(shared_desk)


def parts(link: Link) -> tuple[str, str]:
    """Token and kind, as the page gets them from the address."""
    address = urlsplit(link.path.get_secret_value())
    assert address.path == "/welcome"
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert asked.keys() == {"token_hash", "type"}
    return asked["token_hash"], asked["type"]


def accept(link: Link, password: str = PASSWORD) -> Person:
    return known(identity.accept(*parts(link), password, address=host(), agent="Firefox"))


def everything_stored(world: World) -> Iterator[str]:
    """All rows of all tables, as text."""
    tables = world.rows(
        "select table_schema as s, table_name as t from information_schema.tables "
        "where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
    )
    for table in tables:
        query = sql.SQL("select x::text as line from {} x").format(sql.Identifier(table["s"], table["t"]))
        yield from (row["line"] for row in world.admin.execute(query).fetchall())


def at_once(*runs: Callable[[], object]) -> list[str]:
    """Run all in threads that start together; what became of each, as the class of its error or "done"."""
    ready = threading.Barrier(len(runs))

    def one(run: Callable[[], object]) -> str:
        ready.wait(10)
        try:
            run()
        except AppError as exc:
            return type(exc).__name__
        return "done"

    with ThreadPoolExecutor(len(runs)) as threads:
        return list(threads.map(one, runs))


class TestInvite:
    def test_who_follows_the_link_chooses_a_password_and_works(self, bakery):
        email = f"Ben-{uuid4()}@Example.test"
        made = bakery.add(name=" Ben Frost ", email=f"\t{email} ")
        assert not made.mailed
        ben = accept(made.link)
        assert (ben.name, ben.email, ben.must_change) == ("Ben Frost", email, False)
        assert [m.role for m in ben.memberships] == ["manager"]
        stores = ben.database.call("my_stores", p_account_id=bakery.account)
        assert [row["id"] for row in stores] == [str(bakery.quay)]
        assert enter(email).id == ben.id
        (row,) = bakery.log("person_added")
        assert (row["person_id"], row["subject"]) == (bakery.ada_id, email)
        assert row["after"] == {"role": "manager", "stores": ["Quay · Quay"]}
        assert [row["person_id"] for row in bakery.log("invitation_accepted")] == [ben.id]

    def test_the_link_lives_for_seven_days(self, bakery):
        person, link = bakery.invited()
        days = "select extract(epoch from %s - now()) / 86400"
        assert 6.99 < bakery.world.value(days, link.expires_at) <= 7
        assert bakery.member(person).invited_until == link.expires_at

    def test_only_a_hash_of_it_is_stored(self, bakery):
        secrets = [parts(bakery.invited()[1])[0] for _ in range(2)]
        assert secrets[0] != secrets[1]
        assert min(map(len, secrets)) >= 43
        lines = list(everything_stored(bakery.world))
        assert not any(secret in line for secret in secrets for line in lines)

    def test_before_that_nobody_signs_in_as_them(self, bakery):
        email = f"{uuid4()}@example.test"
        bakery.invited(email=email)
        for guess in ("", PASSWORD):
            with pytest.raises(InvalidInput):
                enter(email, guess)

    @pytest.mark.parametrize("role", ["admin", "finance"])
    def test_only_managers_are_put_into_stores(self, bakery, role):
        person, _ = bakery.invited(role=role)
        assert bakery.member(person).profile_ids == ()

    @pytest.mark.parametrize("spelling", [str.lower, str.upper, lambda email: f" {email} "])
    def test_a_taken_address_is_refused_beside_it_and_nothing_is_half_made(self, bakery, spelling):
        before = bakery.roles()
        with pytest.raises(Conflict, match="e-mail address already exists"):
            bakery.add(email=spelling(bakery.emails[bakery.mia]))
        assert bakery.roles() == before

    def test_twice_at_once_is_one_person(self, bakery):
        email = f"{uuid4()}@example.test"
        assert sorted(at_once(*[lambda: bakery.add(email=email)] * 4)) == ["Conflict"] * 3 + ["done"]
        assert len(bakery.roles()) == 3

    def test_a_store_of_another_company_is_not_found_and_nothing_is_half_made(self, bakery):
        email = f"{uuid4()}@example.test"
        foreign = bakery.world.store(bakery.world.company())
        with pytest.raises(NotFound):
            bakery.add(email=email, profile_ids=[bakery.quay, foreign])
        assert bakery.world.rows("select from auth.users where email = %s", email) == []
        assert bakery.world.rows("select from public.people where email = %s", email) == []

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": "  "}, "name"),
            ({"name": "x" * 121}, "name"),
            ({"email": "ben"}, "email"),
            ({"email": "ben@example"}, "email"),
            ({"email": "ben frost@example.test"}, "email"),
            ({"email": "x" * 250 + "@example.test"}, "email"),
            ({"profile_ids": []}, "stores"),
            ({"role": "service_role"}, "role"),
        ],
    )
    def test_what_is_wrong_is_named(self, bakery, changes, field):
        with pytest.raises(InvalidInput) as refused:
            bakery.add(**changes)
        assert refused.value.field == field

    @pytest.mark.parametrize(
        ("place", "field"),
        [({"role": "owner", "profile_ids": []}, "role"), ({"role": "manager", "profile_ids": []}, "stores"),
         ({"role": None}, "role")],
    )  # fmt: skip
    def test_the_database_checks_too(self, bakery, place, field):
        with pytest.raises(InvalidInput) as refused:
            bakery.door().call("add_or_invite", p_account_id=bakery.account,
                               p_person={"name": "B", "email": f"{uuid4()}@x.test", **place})  # fmt: skip
        assert refused.value.field == field

    def test_somebody_of_another_company_keeps_their_password_and_needs_no_link(self, bakery):
        other = Bakery(bakery.world)
        made = bakery.add(email=other.emails[other.mia], role="finance")
        assert (made.link, made.mailed) == (None, False)
        assert {m.account_id for m in enter(other.emails[other.mia]).memberships} == {bakery.account, other.account}
        assert bakery.member(other.mia).state == "active"

    def test_an_admin_gets_no_link_for_who_awaits_another_companys(self, bakery):
        """It would open that company too."""
        other = Bakery(bakery.world)
        email = f"{uuid4()}@example.test"
        person, link = other.invited(email=email)
        with pytest.raises(NotAllowed, match="another company too"):
            bakery.add(email=email)
        assert person not in bakery.roles()
        assert accept(link).id == person

    def test_links_of_the_former_admin_open_no_second_company(self, bakery):
        other = Bakery(bakery.world)
        link = people.reset_password(other.ada, other.account, other.mia).link
        bakery.add(email=other.emails[other.mia])
        with pytest.raises(InvalidInput, match="withdrawn"):
            accept(link)

    def test_by_file_without_links_people_wait_for_one(self, bakery):
        """As an import adds them."""
        values = {"name": "Ben", "email": f"{uuid4()}@example.test", "role": "finance"}
        made = bakery.door().call("add_or_invite", p_account_id=bakery.account, p_person=values)
        person = UUID(made["person_id"])
        assert not made["link"]
        assert bakery.member(person).state == "expired"
        assert accept(people.renew_invitation(bakery.ada, bakery.account, person).link).id == person
        assert bakery.member(person).state == "active"


class TestLinks:
    """Every state of a link, as whoever follows it is told."""

    def refused(self, link: Link, words: str) -> None:
        for attempt in (lambda: identity.look_at_link(*parts(link)), lambda: accept(link)):
            with pytest.raises(InvalidInput, match=words) as told:
                attempt()
            assert told.value.field is None

    def test_looking_uses_nothing_up(self, bakery):
        _, link = bakery.invited()
        for _ in range(3):
            identity.look_at_link(*parts(link))
        assert accept(link)

    def test_used(self, bakery):
        _, link = bakery.invited()
        accept(link)
        self.refused(link, "used before")

    def test_used_by_one_of_many_at_once(self, bakery):
        _, link = bakery.invited()
        token, kind = parts(link)
        runs = [
            lambda word=word: identity.accept(token, kind, f"{word} {PASSWORD}", address=None, agent="")
            for word in ("one", "two", "six")
        ]
        assert sorted(at_once(*runs)) == ["InvalidInput", "InvalidInput", "done"]

    def test_run_out(self, bakery):
        person, link = bakery.invited()
        bakery.world.execute("update private.invitations set expires_at = now() where person_id = %s", person)
        self.refused(link, "has run out")
        assert bakery.member(person).state == "expired"

    def test_withdrawn(self, bakery):
        person, link = bakery.invited()
        people.remove(bakery.door(), bakery.account, person, bakery.member(person).version, WHY)
        self.refused(link, "withdrawn")
        assert person not in {m.id for m in people.of_company(bakery.door(), bakery.account)}
        assert [row["before"]["role"] for row in bakery.log("invitation_withdrawn")] == ["manager"]

    def test_replaced_by_a_newer_one(self, bakery):
        person, link = bakery.invited()
        newer = people.renew_invitation(bakery.ada, bakery.account, person).link
        self.refused(link, "withdrawn or replaced")
        assert accept(newer).id == person

    def test_of_somebody_deactivated_until_they_are_reactivated(self, bakery):
        person, link = bakery.invited()
        people.deactivate(bakery.door(), bakery.account, person, bakery.member(person).version, WHY)
        self.refused(link, "not active")
        people.reactivate(bakery.door(), bakery.account, person, bakery.member(person).version, WHY)
        assert accept(link).id == person

    @pytest.mark.parametrize("mangle", [lambda t, k: (t[:-1], k), lambda t, k: ("", k), lambda t, k: (t, "recovery"),
                                        lambda t, k: (t, "magic"), lambda t, k: (t, "")])  # fmt: skip
    def test_not_complete(self, bakery, mangle):
        _, link = bakery.invited()
        with pytest.raises(InvalidInput, match="not complete"):
            identity.accept(*mangle(*parts(link)), PASSWORD, address=None, agent="")
        assert accept(link)

    def test_a_short_password_leaves_it_good(self, bakery):
        _, link = bakery.invited()
        with pytest.raises(InvalidInput) as refused:
            accept(link, "short")
        assert refused.value.field == "password"
        assert accept(link)

    def test_only_the_app_itself_may_use_links(self, bakery):
        _, link = bakery.invited()
        for door in (bakery.door(), bakery.world.doors.anonymous(), bakery.world.as_worker()):
            with pytest.raises(AppError):
                door.call("use_link", p_token_hash="0" * 64, p_kind="invite", p_hash="x")
        assert accept(link)

    def test_withdrawn_and_invited_again(self, bakery):
        email = f"{uuid4()}@example.test"
        person, _ = bakery.invited(email=email)
        people.remove(bakery.door(), bakery.account, person, bakery.member(person).version, WHY)
        again, link = bakery.invited(email=email, role="finance")
        assert again == person
        assert [m.role for m in accept(link).memberships] == ["finance"]


class TestResetPassword:
    def test_the_link_sets_a_new_one_and_ends_all_sessions(self, bakery):
        open_before = session(bakery.mia)
        link = people.reset_password(bakery.ada, bakery.account, bakery.mia).link
        assert parts(link)[1] == "recovery"
        hours = "select extract(epoch from %s - now()) / 3600"
        assert 23.9 < bakery.world.value(hours, link.expires_at) <= 24
        assert enter(bakery.emails[bakery.mia]), "the present password holds until then"
        assert accept(link, OTHER).id == bakery.mia
        identity.sessions.clear()
        assert identity.load(open_before) is None
        assert enter(bakery.emails[bakery.mia], OTHER).id == bakery.mia
        with pytest.raises(InvalidInput):
            enter(bakery.emails[bakery.mia], PASSWORD)
        assert [row["subject"] for row in bakery.log("password_reset_requested")] == [bakery.emails[bakery.mia]]

    def test_ones_own_change_ends_the_link(self, bakery):
        link = people.reset_password(bakery.ada, bakery.account, bakery.mia).link
        secret = session(bakery.mia)
        identity.change_password(known(secret), secret, OTHER, present=PASSWORD)
        with pytest.raises(InvalidInput, match="withdrawn"):
            accept(link)

    def test_is_refused_for_who_works_elsewhere_too(self, bakery):
        other = bakery.world.company()
        bakery.world.insert("public.members", account_id=other, person_id=bakery.mia, role="finance")
        with pytest.raises(NotAllowed, match="another company too"):
            people.reset_password(bakery.ada, bakery.account, bakery.mia)

    def test_is_no_way_around_ones_own_password(self, bakery):
        with pytest.raises(NotAllowed):
            people.reset_password(bakery.ada, bakery.account, bakery.ada_id)

    def test_what_does_not_fit_the_persons_state_is_said(self, bakery):
        person, _ = bakery.invited()
        demo = bakery.world.person(bakery.account, "finance")
        with pytest.raises(Conflict, match="not accepted the invitation"):
            people.reset_password(bakery.ada, bakery.account, person)
        with pytest.raises(Conflict, match="accepted the invitation already"):
            people.renew_invitation(bakery.ada, bakery.account, bakery.mia)
        with pytest.raises(Conflict, match="without a password"):
            people.reset_password(bakery.ada, bakery.account, demo)
        people.deactivate(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        with pytest.raises(Conflict, match="Reactivate them first"):
            people.reset_password(bakery.ada, bakery.account, bakery.mia)

    def test_there_is_no_other_kind_and_none_without_a_hash(self, bakery):
        door, values = bakery.door(), {"p_account_id": bakery.account, "p_person_id": bakery.mia}
        with pytest.raises(InvalidInput, match="no such link"):
            door.call("send_link", **values, p_kind="magic", p_token_hash="0" * 64)
        with pytest.raises(InvalidInput):
            door.call("send_link", **values, p_kind="recovery", p_token_hash="no hash")
        with pytest.raises(NotAllowed, match="handed over"):
            door.call("send_link", **values, p_kind="recovery")


class TestList:
    def test_says_who_they_are_and_how_they_stand(self, bakery):
        person, link = bakery.invited(name="ben")
        found = people.of_company(bakery.door(), bakery.account)
        assert [(m.name, m.role, m.state) for m in found] == [
            ("Ada", "admin", "active"), ("ben", "manager", "invited"), ("Mia", "manager", "active"),
        ]  # fmt: skip
        ada, ben, mia = found
        assert (mia.id, mia.email, mia.profile_ids) == (bakery.mia, bakery.emails[bakery.mia], (bakery.quay,))
        assert (mia.signed_in_at, mia.deactivated_at, mia.invited_until) == (None, None, None)
        assert ada.signed_in_at
        assert (ben.id, ben.invited_until, ben.awaited) == (person, link.expires_at, True)

    def test_the_last_sign_in_is_the_newest(self, bakery):
        bakery.world.execute("insert into private.sign_ins values (%s, '2020-01-01')", bakery.mia)
        enter(bakery.emails[bakery.mia])
        assert bakery.member(bakery.mia).signed_in_at.year >= 2025

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_is_for_admins(self, bakery, role):
        person = bakery.world.person(bakery.account, role, *([bakery.quay] if role == "manager" else []))
        with pytest.raises(NotAllowed):
            people.of_company(bakery.door(person), bakery.account)


class TestChange:
    def change(self, bakery, person, *, role="manager", stores=(), version=None, door=None):
        version = version or bakery.member(person).version
        people.change(
            door or bakery.door(), bakery.account, person, role=role, profile_ids=stores, version=version, reason=WHY
        )  # fmt: skip

    def test_stores_and_role_with_before_and_after(self, bakery):
        self.change(bakery, bakery.mia, stores=[bakery.hill])
        assert bakery.member(bakery.mia).profile_ids == (bakery.hill,)
        self.change(bakery, bakery.mia, role="finance", stores=[bakery.hill])
        assert (bakery.member(bakery.mia).role, bakery.member(bakery.mia).profile_ids) == ("finance", ())
        first, second = bakery.log("person_changed")
        assert first["before"] == {"role": "manager", "stores": ["Quay · Quay"]}
        assert first["after"] == second["before"] == {"role": "manager", "stores": ["Hill · Hill"]}
        assert second["after"] == {"role": "finance", "stores": []}
        assert (second["person_id"], second["subject"]) == (bakery.ada_id, bakery.emails[bakery.mia])

    def test_counts_at_once(self, bakery):
        door = bakery.door(bakery.mia)
        self.change(bakery, bakery.mia, stores=[bakery.hill])
        assert [row["id"] for row in door.call("my_stores", p_account_id=bakery.account)] == [str(bakery.hill)]

    def test_the_second_of_two_savings_is_told(self, bakery):
        seen = bakery.member(bakery.mia).version
        self.change(bakery, bakery.mia, stores=[bakery.hill], version=seen)
        for late in (lambda: self.change(bakery, bakery.mia, role="finance", version=seen),
                     lambda: people.deactivate(bakery.door(), bakery.account, bakery.mia, seen, WHY),
                     lambda: people.remove(bakery.door(), bakery.account, bakery.mia, seen, WHY)):  # fmt: skip
            with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
                late()
        assert bakery.member(bakery.mia).profile_ids == (bakery.hill,)

    @pytest.mark.parametrize("version", [None, 0, 7])
    def test_a_version_is_needed(self, bakery, version):
        with pytest.raises(Conflict):
            bakery.door().call("set_member", p_account_id=bakery.account, p_person_id=bakery.mia, p_role="finance",
                               p_profile_ids=[], p_version=version, p_reason=WHY)  # fmt: skip

    def test_nobody_changes_their_own(self, bakery):
        second = bakery.world.person(bakery.account, "admin")
        for person in (bakery.ada_id, second):
            with pytest.raises(NotAllowed, match="their own role"):
                self.change(bakery, person, role="finance", door=bakery.door(person))
            with pytest.raises(NotAllowed, match="their own role"):
                self.change(bakery, person, role="admin", door=bakery.door(person))

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_no_other_role_changes_anybody(self, bakery, role):
        person = bakery.world.person(bakery.account, role, *([bakery.quay] if role == "manager" else []))
        door, before = bakery.door(person), bakery.roles()
        for target in (person, bakery.mia, bakery.ada_id):
            version = bakery.member(target).version
            for run in (lambda t=target, v=version: self.change(bakery, t, role="admin", version=v, door=door),
                        lambda t=target, v=version: people.deactivate(door, bakery.account, t, v, WHY),
                        lambda t=target, v=version: people.reactivate(door, bakery.account, t, v, WHY),
                        lambda t=target, v=version: people.remove(door, bakery.account, t, v, WHY),
                        lambda t=target: people.sign_out(door, bakery.account, t),
                        lambda: people.invite(known(session(person)), bakery.account, name="E", email="e@x.test",
                                              role="admin", profile_ids=[]),
                        lambda t=target: people.reset_password(known(session(person)), bakery.account, t)):  # fmt: skip
                with pytest.raises(NotAllowed):
                    run()
        assert bakery.roles() == before

    @pytest.mark.parametrize("who", ["stranger", "foreign admin", "deactivated admin", "removed admin"])
    def test_for_others_the_company_does_not_exist(self, bakery, who):
        world = bakery.world
        theirs = {"stranger": None, "foreign admin": world.company()}.get(who, bakery.account)
        person = world.person(theirs, "admin")
        asker = known(session(person))
        if who == "deactivated admin":
            people.deactivate(bakery.door(), bakery.account, person, 1, WHY)
        elif who == "removed admin":
            people.remove(bakery.door(), bakery.account, person, 1, WHY)
        door = bakery.door(person)
        for run in (lambda: people.of_company(door, bakery.account),
                    lambda: self.change(bakery, bakery.mia, role="admin", door=door),
                    lambda: people.deactivate(door, bakery.account, bakery.mia, 1, WHY),
                    lambda: people.reactivate(door, bakery.account, person, 2, WHY),
                    lambda: people.remove(door, bakery.account, bakery.mia, 1, WHY),
                    lambda: people.sign_out(door, bakery.account, bakery.mia),
                    lambda: people.invite(asker, bakery.account, name="E", email="e@x.test", role="admin",
                                          profile_ids=[]),
                    lambda: people.renew_invitation(asker, bakery.account, bakery.mia),
                    lambda: people.reset_password(asker, bakery.account, bakery.mia)):  # fmt: skip
            with pytest.raises(NotFound, match="Company not found"):
                run()
        assert bakery.roles()[bakery.mia] == "manager"

    def test_nobody_without_a_session_gets_anywhere(self, bakery):
        nobody = bakery.world.doors.anonymous()
        with pytest.raises(NotAllowed):
            people.of_company(nobody, bakery.account)
        with pytest.raises(NotAllowed):
            people.deactivate(nobody, bakery.account, bakery.mia, 1, WHY)

    @pytest.mark.parametrize("who", ["foreign", "nobody", "removed"])
    def test_somebody_who_does_not_work_here_is_not_found(self, bakery, who):
        person = {"foreign": bakery.world.person(bakery.world.company()), "nobody": uuid4(), "removed": bakery.mia}[who]
        people.remove(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        for run in (lambda: self.change(bakery, person, stores=[bakery.hill], version=1),
                    lambda: people.deactivate(bakery.door(), bakery.account, person, 1, WHY),
                    lambda: people.remove(bakery.door(), bakery.account, person, 1, WHY),
                    lambda: people.sign_out(bakery.door(), bakery.account, person),
                    lambda: people.reset_password(bakery.ada, bakery.account, person)):  # fmt: skip
            with pytest.raises(NotFound, match="does not work for the company"):
                run()

    @pytest.mark.parametrize("stores", ["foreign", "none"])
    def test_stores_are_the_companys_own(self, bakery, stores):
        wanted = [bakery.hill, bakery.world.store(bakery.world.company())] if stores == "foreign" else []
        with pytest.raises(NotFound if stores == "foreign" else InvalidInput):
            self.change(bakery, bakery.mia, stores=wanted)
        assert bakery.member(bakery.mia).profile_ids == (bakery.quay,)


def acts(bakery: Bakery, person: UUID, door: Any, reason: Any) -> dict[str, Callable[[], None]]:
    """Everything that changes a member, by what the log calls it."""
    seen = {"version": bakery.member(person).version, "reason": reason}
    change = partial(people.change, door, bakery.account, person, role="finance", profile_ids=[])
    others = {"deactivated": people.deactivate, "reactivated": people.reactivate, "removed": people.remove}
    return {"person_changed": partial(change, **seen)} | {
        f"person_{does}": partial(act, door, bakery.account, person, **seen) for does, act in others.items()
    }


ACTS = ("person_changed", "person_deactivated", "person_reactivated", "person_removed")


class TestReason:
    def rows(self, bakery: Bakery) -> list[Any]:
        tables = ("public.members", "public.profile_members", "public.audit_log", "private.former_members")
        query = "select x::text from {} x where account_id = %s order by 1"
        return [bakery.world.rows(query.format(table), bakery.account) for table in tables]

    @pytest.mark.parametrize("reason", ["", "  \n ", None, "x" * 501])
    @pytest.mark.parametrize("act", ACTS)
    def test_without_a_good_one_nothing_is_changed(self, bakery, act, reason):
        before = self.rows(bakery)
        with pytest.raises(InvalidInput, match=r"Say why|at most 500") as refused:
            acts(bakery, bakery.mia, bakery.door(), reason)[act]()
        assert refused.value.field == "reason"
        assert self.rows(bakery) == before

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize(("typed", "kept"), [("  The rota\nchanged ", "The rota changed"), ("x" * 500, "x" * 500)])
    def test_it_stands_in_the_log(self, bakery, act, typed, kept):
        acts(bakery, bakery.mia, bakery.door(), typed)[act]()
        (row,) = bakery.log(act)
        assert (row["reason"], row["person_id"]) == (kept, bakery.ada_id)

    def test_withdrawing_an_invitation_needs_one_too(self, bakery):
        person, _ = bakery.invited()
        with pytest.raises(InvalidInput, match="Say why"):
            people.remove(bakery.door(), bakery.account, person, 1, "")
        people.remove(bakery.door(), bakery.account, person, 1, WHY)
        assert [row["reason"] for row in bakery.log("invitation_withdrawn")] == [WHY]

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize(("who", "refusal"), [("manager", NotAllowed), ("stranger", NotFound),
                                                  ("nobody", NotAllowed)])  # fmt: skip
    def test_who_may_not_change_anybody_is_asked_for_none(self, bakery, act, who, refusal):
        world = bakery.world
        door = {"manager": lambda: bakery.door(bakery.mia), "nobody": world.doors.anonymous,
                "stranger": lambda: bakery.door(world.person(world.company(), "admin"))}[who]()  # fmt: skip
        for reason in ("", WHY):
            with pytest.raises(refusal):
                acts(bakery, bakery.mia, door, reason)[act]()
        assert bakery.roles()[bakery.mia] == "manager"

    @pytest.mark.parametrize(("typed", "kept"), [("", None), ("  ", None), (" Holiday  cover ", "Holiday cover")])
    def test_letting_somebody_in_may_have_one(self, bakery, typed, kept):
        bakery.invited(reason=typed)
        assert [row["reason"] for row in bakery.log("person_added")] == [kept]

    def test_one_that_is_too_long_lets_nobody_in(self, bakery):
        before = self.rows(bakery)
        with pytest.raises(InvalidInput, match="at most 500") as refused:
            bakery.add(reason="x" * 501)
        assert (refused.value.field, self.rows(bakery)) == ("reason", before)


class TestDeactivate:
    def test_ends_everything_at_once_and_can_be_undone(self, bakery):
        secret, door = session(bakery.mia), bakery.door(bakery.mia)
        assert identity.load(secret)
        people.deactivate(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        assert bakery.member(bakery.mia).state == "deactivated"
        assert identity.load(secret) is None
        assert door.call("my_stores", p_account_id=bakery.account) == []
        with pytest.raises(SignedOut, match="not active"):
            enter(bakery.emails[bakery.mia])
        people.reactivate(bakery.door(), bakery.account, bakery.mia, bakery.member(bakery.mia).version, WHY)
        assert [row["id"] for row in door.call("my_stores", p_account_id=bakery.account)] == [str(bakery.quay)]
        assert enter(bakery.emails[bakery.mia]).id == bakery.mia
        assert [row["after"] for row in bakery.log("person_deactivated")] == [{"active": False}]
        assert [row["before"] for row in bakery.log("person_reactivated")] == [{"active": False}]

    def test_a_session_that_ran_out_is_not_renewed(self, bakery):
        secret = session(bakery.mia)
        bakery.world.execute("update private.sessions set expires_at = now() where person_id = %s", bakery.mia)
        people.deactivate(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        with pytest.raises(SignedOut):
            identity.sign_in(bakery.emails[bakery.mia], PASSWORD, address=host(), agent="", previous=secret)

    @pytest.mark.parametrize("end", [people.deactivate, people.remove])
    def test_touches_this_company_only(self, bakery, end):
        other = Bakery(bakery.world)
        bakery.world.insert("public.members", account_id=other.account, person_id=bakery.mia, role="finance")
        secret = session(bakery.mia)
        end(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        person = known(secret)
        assert [m.account_id for m in person.memberships] == [other.account]
        assert len(person.database.call("my_stores", p_account_id=other.account)) == 2
        assert person.database.call("my_stores", p_account_id=bakery.account) == []
        assert enter(bakery.emails[bakery.mia]).id == bakery.mia
        assert other.member(bakery.mia).state == "active"
        for place, times in ((bakery, 1), (other, 2)):  # the second sign-in is no business of the first company
            assert [row["person_id"] for row in place.log("signed_in")].count(bakery.mia) == times

    def test_whom_the_installation_stopped_is_not_let_in_again_by_a_company(self, bakery):
        bakery.world.execute("update public.people set deactivated_at = now() where id = %s", bakery.mia)
        assert bakery.member(bakery.mia).state == "deactivated"
        with pytest.raises(Conflict, match="in all companies"):
            people.reactivate(bakery.door(), bakery.account, bakery.mia, 1, WHY)


class TestRemove:
    def test_history_keeps_the_name(self, bakery):
        secret = session(bakery.mia)
        people.remove(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        assert identity.load(secret) is None
        assert bakery.mia not in {m.id for m in people.of_company(bakery.door(), bakery.account)}
        assert identity.names(bakery.door())[bakery.mia] == "Mia"
        assert [row["person_name"] for row in bakery.log("signed_in")] == ["Ada", "Mia"]
        (row,) = bakery.log("person_removed")
        assert (row["subject"], row["before"]["stores"]) == (bakery.emails[bakery.mia], ["Quay · Quay"])
        with pytest.raises(SignedOut, match="not active"):
            enter(bakery.emails[bakery.mia])

    def test_invited_again_they_come_back_with_their_password(self, bakery):
        people.remove(bakery.door(), bakery.account, bakery.mia, 1, WHY)
        made = bakery.add(email=bakery.emails[bakery.mia], role="finance")
        assert (made.link, made.mailed) == (None, False)
        assert [m.role for m in enter(bakery.emails[bakery.mia]).memberships] == ["finance"]

    def test_the_demo_takes_whom_it_had_removed_with_it(self, desk):
        demo = Bakery(desk)
        desk.execute("update public.accounts set is_demo = true where id = %s", demo.account)
        people.remove(demo.door(), demo.account, demo.mia, 1, WHY)
        demo.door().call("erase_demo", p_account_id=demo.account)
        for table in ("public.people", "auth.users", "private.former_members", "private.invitations",
                      "private.sign_ins"):  # fmt: skip
            assert desk.rows(f"select from {table}") == [], table

    @pytest.mark.parametrize("also_removed_from_the_demo", [False, True])
    def test_another_company_that_had_removed_them_keeps_whom_the_demo_takes(self, desk, also_removed_from_the_demo):
        demo, real = Bakery(desk), Bakery(desk)
        desk.execute("update public.accounts set is_demo = true where id = %s", demo.account)
        real.add(email=demo.emails[demo.mia])
        people.remove(real.door(), real.account, demo.mia, 1, WHY)
        if also_removed_from_the_demo:
            people.remove(demo.door(), demo.account, demo.mia, 1, WHY)
        demo.door().call("erase_demo", p_account_id=demo.account)
        assert identity.names(real.door())[demo.mia] == "Mia"
        assert demo.ada_id not in {row["id"] for row in desk.rows("select id from public.people")}
        with pytest.raises(SignedOut, match="not active"):
            enter(demo.emails[demo.mia])
        real.add(email=demo.emails[demo.mia], role="finance")
        assert enter(demo.emails[demo.mia]).id == demo.mia

    def test_nobody_comes_in_by_way_of_the_demo(self, desk):
        demo = Bakery(desk)
        desk.execute("update public.accounts set is_demo = true where id = %s", demo.account)
        before = desk.value("select count(*) from auth.users")
        with pytest.raises(NotAllowed, match="made up"):
            demo.invited()
        with pytest.raises(NotAllowed, match="made up"):
            people.reset_password(demo.ada, demo.account, demo.mia)
        assert desk.value("select count(*) from auth.users") == before


class TestLastAdmin:
    def test_stays(self, bakery):
        for end in (people.deactivate, people.remove):
            with pytest.raises(Conflict, match="no active admin left"):
                end(bakery.door(), bakery.account, bakery.ada_id, 1, WHY)
        with pytest.raises(NotAllowed):
            people.change(
                bakery.door(), bakery.account, bakery.ada_id, role="finance", profile_ids=[], version=1, reason=WHY
            )
        assert bakery.roles()[bakery.ada_id] == "admin"

    @pytest.mark.parametrize("second", ["active", "invited", "deactivated", "stopped everywhere"])
    def test_may_go_only_when_another_can_do_the_work(self, bakery, second):
        if second == "invited":
            bakery.invited(role="admin")
        else:
            other = bakery.world.person(bakery.account, "admin")
        if second == "deactivated":
            people.deactivate(bakery.door(), bakery.account, other, 1, WHY)
        elif second == "stopped everywhere":
            bakery.world.execute("update public.people set deactivated_at = now() where id = %s", other)
        if second == "active":
            people.remove(bakery.door(), bakery.account, bakery.ada_id, 1, WHY)
            assert bakery.ada_id not in bakery.roles()
            return
        with pytest.raises(Conflict, match="no active admin left"):
            people.remove(bakery.door(), bakery.account, bakery.ada_id, 1, WHY)

    @pytest.mark.parametrize("how", ["demote", "deactivate", "remove"])
    def test_of_two_admins_who_end_each_other_at_once_exactly_one_succeeds(self, shared_desk, how):
        for _ in range(5):
            bakery = Bakery(shared_desk)
            ada, bob = bakery.ada_id, shared_desk.person(bakery.account, "admin")
            results = at_once(*[partial(self.end, bakery, how, *pair) for pair in ((ada, bob), (bob, ada))])
            assert results.count("done") == 1, results
            left = [m for m in (ada, bob) if bakery.roles().get(m) == "admin"]
            stopped = "select count(*) from public.members where account_id = %s and deactivated_at is not null"
            assert len(left) - shared_desk.value(stopped, bakery.account) == 1

    def end(self, bakery: Bakery, how: str, asker: UUID, target: UUID) -> None:
        door, account = bakery.door(asker), bakery.account
        if how == "demote":
            people.change(door, account, target, role="finance", profile_ids=[], version=1, reason=WHY)
        else:
            {"deactivate": people.deactivate, "remove": people.remove}[how](door, account, target, 1, WHY)

    def test_of_many_who_leave_at_once_one_stays(self, bakery):
        admins = [bakery.ada_id, *(bakery.world.person(bakery.account, "admin") for _ in range(4))]
        runs = [lambda a=a: people.remove(bakery.door(a), bakery.account, a, 1, WHY) for a in admins]
        assert sorted(at_once(*runs)) == ["Conflict"] + ["done"] * 4
        assert sum(role == "admin" for role in bakery.roles().values()) == 1


def test_signing_somebody_out_ends_all_their_sessions_and_only_theirs(bakery):
    theirs, mine = [session(bakery.mia) for _ in range(2)], session(bakery.ada_id)
    for secret in theirs:
        known(secret)
    assert people.sign_out(bakery.door(), bakery.account, bakery.mia) == 2
    assert [identity.load(secret) for secret in theirs] == [None, None]
    assert known(mine).id == bakery.ada_id
    assert [row["after"] for row in bakery.log("person_signed_out")] == [{"sessions": 2}]
    assert enter(bakery.emails[bakery.mia]).id == bakery.mia


def test_where_passwords_are_kept_here_nothing_is_mailed(bakery):
    bakery.invited()
    people.reset_password(bakery.ada, bakery.account, bakery.mia)
    assert bakery.world.rows("select from public.jobs where account_id = %s", bakery.account) == []
