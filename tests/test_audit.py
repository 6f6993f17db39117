"""The audit log: who reads it, in which order and by which filters, what it never holds, and its export."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from services import audit
from services.audit import SYSTEM, Entry, Wanted
from services.config import ROOT
from services.database import embedded, supabase
from services.database.door import Database
from services.errors import AppError, NotAllowed, NotFound
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud, rest_door
from tests.fakes.supabase.server import FakeSupabase

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
UTC_DAYS = Wanted(timezone="UTC")


@dataclass
class Log:
    """A company with an admin, and entries as somebody would have caused them."""

    world: World
    door_of: Callable[[UUID | None], Database]
    account: UUID
    admin: UUID

    def note(self, action: str = "seen", at: datetime = NOON, person: UUID | None = None, **values: Any) -> None:
        name = "System" if person is None else self.world.value("select name from public.people where id = %s", person)
        values = {"account_id": self.account, "person_id": person, "person_name": name, **values}
        self.world.insert("public.audit_log", action=action, at=at, **values)

    def read(self, **wanted: Any) -> list[Entry]:
        return audit.page(self.door_of(self.admin), self.account, Wanted(timezone="UTC", **wanted))

    def stored(self) -> str:
        """All that the table holds of the one entry."""
        query = "select to_jsonb(l)::text from public.audit_log l where account_id = %s"
        return str(self.world.value(query, self.account))

    def subjects(self, **wanted: Any) -> list[str | None]:
        return [entry.subject for entry in self.read(**wanted)]


@pytest.fixture(scope="module")
def shared(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template, connections=3) as world:
        yield world


@pytest.fixture(scope="module")
def cloud(shared: World, server: embedded.Server) -> Iterator[FakeSupabase]:
    with fake_cloud(server, shared.value("select current_database()")) as project:
        yield project


@pytest.fixture(params=["postgres", "rest"])
def log(request: pytest.FixtureRequest, shared: World) -> Iterator[Log]:
    """Read over a connection and over REST."""
    account = shared.company()
    admin = shared.person(account, "admin", name="Ada")
    if request.param == "postgres":
        doors = shared.doors
        yield Log(shared, lambda who: doors.person(who) if who else doors.anonymous(), account, admin)
        return
    project = request.getfixturevalue("cloud")
    with supabase.open_http(20) as http:
        yield Log(shared, _over_rest(project, http), account, admin)


def _over_rest(project: FakeSupabase, http: httpx.Client) -> Callable[[UUID | None], Database]:
    return lambda who: rest_door(project, http, who)


@pytest.fixture
def local(shared: World) -> Log:
    """Over a connection only: what does not depend on the way."""
    account = shared.company()
    return Log(shared, shared.doors.person, account, shared.person(account, "admin", name="Ada"))


class TestWhoReads:
    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_other_roles_are_refused(self, log: Log, role: str):
        log.note()
        stores = [log.world.store(log.account)] if role == "manager" else []
        other = log.door_of(log.world.person(log.account, role, *stores))
        for ask in (lambda: audit.page(other, log.account, UTC_DAYS), lambda: audit.choices(other, log.account)):
            with pytest.raises(NotAllowed, match="Only an admin"):
                ask()

    def test_for_another_companys_admin_there_is_nothing(self, log: Log):
        log.note()
        stranger = log.door_of(log.world.person(log.world.company(), "admin"))
        for ask in (lambda: audit.page(stranger, log.account, UTC_DAYS), lambda: audit.choices(stranger, log.account)):
            with pytest.raises(NotFound):
                ask()

    def test_nobody_is_refused(self, log: Log):
        with pytest.raises(AppError):
            audit.page(log.door_of(None), log.account, UTC_DAYS)

    def test_an_admin_reads_the_own_company_only(self, log: Log):
        log.note(subject="mine")
        other = log.world.company()
        log.note(subject="theirs", account_id=other)
        log.note(subject="the installation's", account_id=None)
        assert log.subjects() == ["mine"]


class TestFilters:
    def test_newest_first_and_complete(self, log: Log):
        store = log.world.store(log.account, "Quay")
        log.note("quota_changed", person=log.admin, address="203.0.113.9", profile_id=store, reason="Sale",
                 before={"monthly_quota_usd": "5.00"}, after={"monthly_quota_usd": "9.00"})  # fmt: skip
        log.note(at=NOON - timedelta(days=1), subject="older")
        first, second = log.read()
        assert second.subject == "older"
        assert (first.at, first.person_name, first.address, first.reason) == (NOON, "Ada", "203.0.113.9", "Sale")
        assert first.what == "Changed the monthly quota"
        assert first.store == f"{log.world.value('select code from public.profiles where id = %s', store)} · Quay"
        assert [change.model_dump() for change in first.changes] == [
            {"field": "monthly_quota_usd", "before": "5.00", "after": "9.00"}
        ]

    def test_by_person_action_store_and_day(self, log: Log):
        store = log.world.store(log.account)
        log.note(subject="system's")
        log.note(subject="Ada's", person=log.admin)
        log.note("signed_in", subject="a sign-in")
        log.note(subject="the store's", profile_id=store)
        log.note(subject="the next day's", at=NOON + timedelta(days=1))
        assert log.subjects(person_id=log.admin) == ["Ada's"]
        assert "Ada's" not in log.subjects(person_id=SYSTEM)
        assert len(log.subjects(person_id=SYSTEM)) == 4
        assert log.subjects(action="signed_in") == ["a sign-in"]
        assert log.subjects(profile_id=store) == ["the store's"]
        assert log.subjects(first_day=date(2026, 3, 11)) == ["the next day's"]
        assert len(log.subjects(last_day=date(2026, 3, 10))) == 4
        assert log.subjects(action="signed_in", person_id=log.admin) == []

    def test_days_are_the_zones_own(self, log: Log):
        """On 29 March 2026 clocks in Berlin jump: the day begins at 23:00 UTC and ends at 22:00."""
        for minute, at in enumerate(
            (
                datetime(2026, 3, 28, 22, 59, tzinfo=UTC),
                datetime(2026, 3, 28, 23, 0, tzinfo=UTC),
                datetime(2026, 3, 29, 21, 59, 59, 999999, tzinfo=UTC),
                datetime(2026, 3, 29, 22, 0, tzinfo=UTC),
            )
        ):
            log.note(at=at, subject=str(minute))
        day = date(2026, 3, 29)
        wanted = Wanted(timezone="Europe/Berlin", first_day=day, last_day=day)
        found = audit.page(log.door_of(log.admin), log.account, wanted)
        assert [entry.subject for entry in found] == ["2", "1"]

    @pytest.mark.parametrize(
        "text", ["black", "BLACK fri", "friday, black!", "ada", "203.0.113", "25.00", "mia@example.test", "quota"]
    )
    def test_words_are_found_by_their_beginnings(self, log: Log, text: str):
        log.note("quota_changed", person=log.admin, reason="Black Friday", subject="Mia@Example.test",
                 address="203.0.113.9", after={"usd": "25.00"})  # fmt: skip
        log.note(subject="other")
        assert len(log.read(text=text)) == 1

    @pytest.mark.parametrize("text", ["lack", "black monday", "' or 1=1", "x" * 5000, "blåck"])
    def test_other_words_are_not(self, log: Log, text: str):
        log.note(reason="Black Friday")
        assert log.read(text=text) == []

    @pytest.mark.parametrize("text", ["", "  ", "…!?", "'", "\\"])
    def test_without_a_word_nothing_is_left_out(self, log: Log, text: str):
        log.note()
        assert len(log.read(text=text)) == 1

    def test_an_entry_always_gets_in(self, local: Log):
        """A word longer than an index takes, more words than one takes, and characters of every kind."""
        local.note(subject="w" * 5_000)
        local.note(reason=" ".join(f"w{n}" for n in range(300_000)))
        local.note(reason="'\\:*&|!() \u200b 日本語 Ünïcode", after={"a": ["x", {"b": "'"}]})
        assert len(local.read()) == 3
        assert len(local.read(text="日本 ünï")) == 1

    def test_the_filters_offer_what_the_log_has(self, log: Log):
        left = log.world.person(None, name="Left Long Ago")
        log.note("signed_in", person=left)
        log.note("quota_changed")
        log.note("quota_changed", person=log.admin)
        offered = audit.choices(log.door_of(log.admin), log.account)
        assert offered.actions == ["quota_changed", "signed_in"]
        assert offered.people == {left: "Left Long Ago", SYSTEM: "System", log.admin: "Ada"}

    def test_an_empty_log_offers_nothing(self, log: Log):
        offered = audit.choices(log.door_of(log.admin), log.account)
        assert (offered.actions, offered.people) == ([], {})
        assert log.read() == []


def test_pages_by_key_hold_each_entry_once(log: Log):
    """Also those of the same instant, and while new ones arrive."""
    for number in range(25):
        log.note(at=NOON + timedelta(minutes=number // 5), subject=str(number))
    seen: list[str | None] = []
    after = None
    while entries := audit.page(log.door_of(log.admin), log.account, UTC_DAYS, limit=4, after=after):
        seen += [entry.subject for entry in entries]
        after = entries[-1].key
        log.note(at=NOON + timedelta(days=1), subject="new")
    assert seen == [str(number) for number in reversed(range(25))]


class TestChanges:
    def entry(self, before: Any, after: Any) -> Entry:
        return Entry(
            id=1, at=NOON, person_id=None, person_name="System", address=None, action="x", subject=None, reason=None,
            before=before, after=after, profile_id=None, store=None,
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("before", "after", "changes"),
        [
            (None, None, []),
            ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", "2", "3")]),
            (None, {"role": "admin", "none": None}, [("role", None, "admin")]),
            ({"gone": "x"}, {}, [("gone", "x", None)]),
            ({"on": True}, {"on": False}, [("on", "yes", "no")]),
            ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, [("a.c", "2", "3")]),
            (["x"], ["x", "y"], [("value", "x", "x, y")]),
            (None, {"stores": [], "rows": [1]}, [("stores", None, ""), ("rows", None, "[1]")]),
            ({"key": "[hidden]"}, {"key": "[hidden]"}, [("key", "[hidden]", "[hidden]")]),
        ],
    )
    def test_only_what_differs(self, before: Any, after: Any, changes: list[tuple[str, str | None, str | None]]):
        found = [(c.field, c.before, c.after) for c in self.entry(before, after).changes]
        assert found == changes


# What no entry may hold, in the shapes of vendors' keys; the words before it are those of a careless caller.
PLANTED = {
    "ElevenLabs": "sk_0123456789abcdef0123456789abcdef0123456789abcdef",
    "Gemini": "AIzaSyA-planted_0123456789abcdefghijklm",
    "Postiz": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
    "Supabase": "sb_secret_plantedPlanted123",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.cGxhbnRlZA",
}


class TestSecrets:
    @pytest.mark.parametrize("secret", PLANTED.values(), ids=PLANTED)
    def test_a_keys_shape_is_hidden_wherever_it_stands(self, local: Log, secret: str):
        local.note(
            subject=f"Key {secret} saved", reason=f"because {secret}", before={"note": secret},
            after={"deep": [{"list": [f"({secret})"]}], "url": f"https://api.test/x?a=1&key={secret}&b=2"},
        )  # fmt: skip
        stored = local.stored()
        assert secret not in stored
        assert "&b=2" in stored
        assert "Key [hidden] saved" in stored
        assert local.read(text=secret) == []

    @pytest.mark.parametrize("secret", PLANTED.values(), ids=PLANTED)
    @pytest.mark.parametrize("place", ["subject", "reason", "before", "after"])
    def test_one_place_is_enough(self, local: Log, secret: str, place: str):
        text = f"first line\n{secret}"
        local.note(**{place: text if place in ("subject", "reason") else {"note": {"lines": [text]}}})
        stored = local.stored()
        assert secret not in stored
        assert "[hidden]" in stored

    @pytest.mark.parametrize(
        "field",
        ["key", "api_key", "apiKey", "API-KEY", "secret", "password", "new_password", "access_token", "ciphertext",
         "Authorization", "passphrase", "cookie", "credential"],
    )  # fmt: skip
    @pytest.mark.parametrize("value", ["hunter2", "1234", 1234, ["hunter2"], {"inner": "hunter2"}])
    def test_a_key_like_field_is_never_shown(self, local: Log, field: str, value: Any):
        local.note("credential_saved", before={field: value}, after={"outer": [{field: value}], "enabled": True})
        stored = local.stored()
        assert "hunter2" not in stored
        assert '1234"' not in stored
        assert ": 1234" not in stored
        (entry,) = local.read()
        assert next((change.field, change.before) for change in entry.changes) == (field, "[hidden]")

    @pytest.mark.parametrize(
        ("reason", "kept"),
        [("password=hunter2 for now", "password=[hidden] for now"), ("Bearer hunter2", "Bearer [hidden]"),
         ("postgres://ada:hunter2@db/x", "postgres://[hidden]@db/x")],
    )  # fmt: skip
    def test_a_secret_behind_its_name_is_hidden(self, local: Log, reason: str, kept: str):
        local.note(reason=reason)
        assert local.read()[0].reason == kept

    def test_what_is_no_secret_stays(self, local: Log):
        job = "speech 0d8f5a8e-1f4a-4c1e-9a51-4c8b8d4f1f2a"
        after = {"key": "…1f0a", "key_set": True, "secret_last4": "1f0a", "usd": "0.10", "units": 100, "token": None}
        local.note(subject=job, reason="Kundenbeziehungsmanagementsysteme, see https://a.test/b@c", after=after)
        (entry,) = local.read()
        assert (entry.subject, entry.after) == (job, after)
        assert entry.reason == "Kundenbeziehungsmanagementsysteme, see https://a.test/b@c"


@pytest.mark.parametrize("role", ["service_role", "clipdesk_admin", "postgres"])
@pytest.mark.parametrize(
    "change",
    ["update public.audit_log set reason = 'x'", "delete from public.audit_log", "truncate public.audit_log",
     "truncate public.audit_log cascade", "update public.audit_log set id = default"],
)  # fmt: skip
def test_nobody_changes_history(local: Log, role: str, change: str):
    """Neither the worker, nor the table's owner, nor a superuser."""
    local.note()
    assert local.world.value("select tableowner from pg_tables where tablename = 'audit_log'") == "clipdesk_admin"
    before = local.world.rows("select * from public.audit_log order by id")
    with psycopg.connect(local.world.url) as connection:
        connection.execute(f"set role {role}")
        with pytest.raises(psycopg.Error) as refused:
            connection.execute(change)
    assert refused.value.sqlstate == ("42501" if role == "service_role" else "PT403")
    assert local.world.rows("select * from public.audit_log order by id") == before


def rows_of(file: bytes) -> list[list[str]]:
    assert file.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(file.decode("utf-8-sig"), newline="")))


class TestExport:
    def test_it_holds_everything_of_what_the_filters_leave(self, log: Log):
        reason = "Long " * 100 + 'with "quotes", and\nlines'
        log.note("quota_changed", person=log.admin, reason=reason, before={"usd": "5"}, after={"usd": "9", "same": 1})
        log.note("signed_in")
        wanted = Wanted(timezone="Europe/Berlin", action="quota_changed")
        header, row = rows_of(audit.csv_file(log.door_of(log.admin), log.account, wanted))
        cells = dict(zip(header, row, strict=True))
        assert cells["Time (UTC)"] == "2026-03-10T12:00:00+00:00"
        assert cells["Local time"] == "2026-03-10T13:00:00+01:00"
        assert (cells["Time zone"], cells["Person"], cells["Person's id"]) == ("Europe/Berlin", "Ada", str(log.admin))
        assert (cells["Action"], cells["What"]) == ("quota_changed", "Changed the monthly quota")
        assert cells["Reason"] == reason
        assert (cells["Before"], cells["After"]) == ('{"usd": "5"}', '{"usd": "9", "same": 1}')

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t=", "\r", "\n="])
    def test_formulas_are_made_text(self, local: Log, start: str):
        local.note(subject="x", reason=f"{start}HYPERLINK(1)", person_name=f"{start}cmd", address=f"{start}1")
        header, row = rows_of(audit.csv_file(local.door_of(local.admin), local.account, UTC_DAYS))
        cells = dict(zip(header, row, strict=True))
        assert [cells[name][0] for name in ("Reason", "Person", "Network address")] == ["'"] * 3

    def test_more_than_an_answer_holds_is_read_in_pages(self, local: Log):
        local.world.execute(
            "insert into public.audit_log (account_id, person_name, action, at)"
            " select %s, 'System', 'seen', now() - n * interval '1 minute' from generate_series(1, 2345) n",
            local.account,
        )
        door = local.door_of(local.admin)
        rows = rows_of(audit.csv_file(door, local.account, UTC_DAYS))[1:]
        assert len({row[0] for row in rows}) == len(rows) == 2345
        cut = rows_of(audit.csv_file(door, local.account, UTC_DAYS, most=2000))[1:]
        assert cut[:-1] == rows[:2000]
        assert cut[-1] == ["Cut after 2,000 entries. Choose days to export the older ones."]
        assert len(rows_of(audit.csv_file(door, local.account, UTC_DAYS, most=2345))) == 2346

    def test_an_empty_one_has_its_columns(self, local: Log):
        assert rows_of(audit.csv_file(local.door_of(local.admin), local.account, UTC_DAYS)) == [list(audit.COLUMNS)]


NOTED = re.compile(r"private\.audit(?:_everywhere)?\([^,;]*,\s*(case .*?\bend\b|'[a-z_]+')", re.DOTALL)
NAMED = re.compile(r"(?:then |else |^)'([a-z_]+)'")


def test_every_action_has_words():
    files = [*(ROOT / "supabase" / "migrations").glob("*.sql"), *Path(ROOT / "services").rglob("*.sql")]
    noted = [argument for file in files for argument in NOTED.findall(file.read_text("utf-8"))]
    actions = {action for argument in noted for action in NAMED.findall(argument)}
    assert actions >= {"quota_changed", "signed_in", "person_added"}
    assert actions - audit.WORDS.keys() == set()
    assert audit.words("something_new") == "something_new"
