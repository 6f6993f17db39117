"""What only the door over REST can show: people apart on one client, cut answers, faults on the way, keys."""

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from services.database import embedded, lines, retries, supabase
from services.database.door import Database, Row
from services.database.supabase import READS, Supabase
from services.errors import AppError, InvalidInput, NotAllowed, SchemaMismatch, SettingsInvalid, SignedOut, Unavailable
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud, rest_door
from tests.database.playground import PLAYGROUND, Item, Number, fill, wait_until
from tests.fakes.supabase.server import FakeSupabase
from tests.fakes.supabase.stack import Kind, sign

EXTRA = """
create function public.shelf_amounts() returns table (label text, amount numeric) language sql stable as
    $$ select label, amount from public.shelf_items order by place $$;
create function public.shelf_as_json() returns jsonb language sql stable as
    $$ select jsonb_agg(jsonb_build_object('amount', amount::text, 'place', place, 'share', 0.5) order by place)
       from public.shelf_items $$;
create function public.tries_made() returns bigint language sql as $$ select nextval('public.tries') $$;
"""


@pytest.fixture(scope="module")
def playground(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template, connections=1) as world:
        world.admin.execute(PLAYGROUND + EXTRA)
        yield world


@pytest.fixture
def project(playground: World, server: embedded.Server) -> Iterator[FakeSupabase]:
    with fake_cloud(server, playground.value("select current_database()")) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with supabase.open_http(10) as client:
        yield client


@pytest.fixture
def patient() -> Iterator[httpx.Client]:
    """For tests that keep a slow machine busy."""
    with supabase.open_http(60) as client:
        yield client


@pytest.fixture
def person() -> UUID:
    return uuid4()


@pytest.fixture
def door(project: FakeSupabase, http: httpx.Client, person: UUID) -> Supabase:
    return rest_door(project, http, person)


@pytest.fixture
def tries(playground: World) -> Callable[[], int]:
    """How often a function that counts its tries was run."""
    playground.execute("alter sequence public.tries restart")
    return lambda: playground.value("select case when is_called then last_value else 0 end from public.tries")


# People -----------------------------------------------------------------------------------------------------


class Owned(Row):
    """An item and whose it is."""

    table: ClassVar[str] = "shelf_items"
    owner: UUID
    place: int


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads change every 0.2 ms instead of 5 ms: what they share by mistake is found out."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_of_600_requests_of_50_people_none_gets_another_s_rows(
    project: FakeSupabase, patient: httpx.Client, playground: World
) -> None:
    people = [uuid4() for _ in range(50)]
    for person in people:
        fill(playground, person, 3)

    def ask(turn: int) -> tuple[UUID, set[str]]:
        person = people[turn % 50]
        door = rest_door(project, patient, person)
        if turn % 3 == 0:
            return person, {door.call("who")["id"]}
        if turn % 3 == 1:
            return person, {str(row.owner) for row in door.select(Owned, order=[("place", "asc")])}
        changed = door.update("shelf_items", {"label": str(person)}, [("place", "gt", 0)])
        return person, {str(person)} if changed == door.count(Owned) == 3 else {f"{changed} rows"}

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, range(600)))
    assert answers == [(person, {str(person)}) for person, _ in answers]
    assert len(answers) == 600
    labels = playground.rows("select distinct owner::text, label from public.shelf_items where owner = any(%s)", people)
    assert sorted(row["owner"] for row in labels) == sorted(map(str, people))
    assert all(row["owner"] == row["label"] for row in labels)


def test_one_door_serves_several_threads(door: Supabase, person: UUID) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: door.call("twice", p_number=number), range(80)))
    assert found == [2 * number for number in range(80)]


def test_role_token_and_address_reach_the_server(project: FakeSupabase, http: httpx.Client, person: UUID) -> None:
    token = project.stack.token(person)
    door = Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token, address="203.0.113.9")
    assert door.call("who")["role"] == "authenticated"
    headers = project.stack.seen[-1].headers
    assert headers["apikey"] == project.stack.publishable_key
    assert headers["authorization"] == f"Bearer {token}"
    assert headers["x-clipdesk-address"] == "203.0.113.9"


def test_without_a_token_the_key_says_who_asks(project: FakeSupabase, http: httpx.Client) -> None:
    keys = {"anon": project.stack.publishable_key, "service_role": project.stack.secret_key}
    for role, key in keys.items():
        assert Supabase(url=project.url, key=key, http=http).call("who")["role"] == role


# Complete answers -------------------------------------------------------------------------------------------


@pytest.fixture
def stocked(playground: World, person: UUID) -> UUID:
    """A thousand items, one cent each; every label twenty times."""
    playground.execute(
        "insert into public.shelf_items (owner, place, label, amount)"
        " select %s, i, 'label ' || i %% 50, 0.01 from generate_series(1, 1000) i", person,
    )  # fmt: skip
    return person


@pytest.mark.parametrize("row_limit", [10, 7, 999, 1000])
def test_lists_and_sums_are_complete_however_short_the_server_s_answers(
    door: Supabase, project: FakeSupabase, stocked: UUID, row_limit: int
) -> None:
    project.stack.row_limit = row_limit
    assert [row.place for row in door.select(Item, order=[("place", "asc")])] == list(range(1, 1001))
    assert sorted(row.place for row in door.select(Number)) == list(range(1, 1001))
    assert len(door.select(Item, limit=25)) == 25
    assert door.count(Item) == 1000
    assert door.call("shelf_worth") == Decimal(10)


def test_rows_that_tie_come_once_each_when_answers_are_cut(
    door: Supabase, project: FakeSupabase, stocked: UUID
) -> None:
    project.stack.row_limit = 10
    rows = door.select(Item, [("place", "gt", 900)], order=[("label", "desc")])
    assert sorted(row.place for row in rows) == list(range(901, 1001))
    assert [row.label for row in rows] == sorted((row.label for row in rows if row.label), reverse=True)


def test_paging_by_key_is_complete_when_answers_are_cut(door: Supabase, project: FakeSupabase, stocked: UUID) -> None:
    project.stack.row_limit = 10
    page = door.select(Number, order=[("place", "desc")], limit=300)
    seen = [row.place for row in page]
    while page:
        page = door.select(Number, order=[("place", "desc")], limit=300, after=[seen[-1]])
        seen += [row.place for row in page]
    assert seen == list(range(1000, 0, -1))


def test_a_whole_answer_costs_one_request(
    door: Supabase, project: FakeSupabase, playground: World, person: UUID
) -> None:
    fill(playground, person, 1500)
    for limit in (1, 25, 1000):
        assert len(door.select(Item, order=[("place", "asc")], limit=limit)) == limit
    assert len(door.select(Item, [("place", "lte", 3)])) == 3
    assert door.select(Item, [("place", "gt", 5000)]) == []
    assert len(project.stack.seen) == 5


def test_no_address_is_longer_than_gateways_allow(
    door: Supabase, project: FakeSupabase, playground: World, person: UUID
) -> None:
    fill(playground, person, 1000)
    ids = [item.id for item in door.select(Item)]
    assert len(door.select(Item, [("id", "in", ids)])) == 1000
    assert max(len(seen.query) for seen in project.stack.seen) < 5_000
    with pytest.raises(ValueError, match="cannot be combined"):
        door.select(Item, [("id", "in", ids)], order=[("place", "asc")])
    with pytest.raises(InvalidInput):
        door.select(Item, [("label", "eq", "x" * 9_000)])


# Values -----------------------------------------------------------------------------------------------------

AMOUNTS = ["0.1", "12345678.123456", "0", "999999999999.999999", "-0.000001", "3"]


def test_amounts_are_exact_wherever_they_come_from(door: Supabase, playground: World, person: UUID) -> None:
    for place, amount in enumerate(AMOUNTS):
        playground.insert("public.shelf_items", owner=person, place=place, amount=Decimal(amount))
    expected = [Decimal(amount) for amount in AMOUNTS]
    assert [item.amount for item in door.select(Item, order=[("place", "asc")])] == expected
    assert [row["amount"] for row in door.call("shelf_amounts")] == expected
    assert door.call("shelf_worth") == sum(expected)
    assert [Decimal(row["amount"]) for row in door.call("shelf_as_json")] == expected


def test_amounts_travel_as_json_numbers_unless_they_are_cast(
    door: Supabase, project: FakeSupabase, http: httpx.Client, playground: World, person: UUID
) -> None:
    """The trap that the casts are for is set: without them a client would make floats of amounts."""
    playground.insert("public.shelf_items", owner=person, place=1, amount=Decimal("12345678.123456"))
    headers = {"apikey": project.stack.publishable_key, "Authorization": f"Bearer {project.stack.token(person)}"}
    bare = http.get(f"{project.url}/rest/v1/shelf_items?select=amount", headers=headers)
    cast = http.get(f"{project.url}/rest/v1/shelf_items?select=amount::text", headers=headers)
    assert (bare.text, cast.text) == ('[{"amount":12345678.123456}]', '[{"amount":"12345678.123456"}]')


def test_numbers_inside_json_are_what_they_are_over_postgres(door: Supabase, playground: World, person: UUID) -> None:
    playground.insert("public.shelf_items", owner=person, place=1, extra={"speed": 1.5, "deep": [{"x": 0.1}], "n": 2})
    (item,) = door.select(Item)
    assert item.extra == {"speed": 1.5, "deep": [{"x": 0.1}], "n": 2}
    assert type(item.extra["speed"]) is type(item.extra["deep"][0]["x"]) is float
    assert type(door.call("echo", p_json={"speed": 1.5})["json"]["speed"]) is float


def test_times_are_aware(door: Supabase, person: UUID) -> None:
    at = datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)
    zone_east = at.astimezone(tz=None)
    door.insert("shelf_items", {"owner": person, "place": 1, "put_at": zone_east})
    (item,) = door.select(Item, [("put_at", "eq", at)])
    assert item.put_at is not None
    assert (item.put_at, item.put_at.utcoffset()) == (at, timedelta(0))


# Faults on the way ------------------------------------------------------------------------------------------

PASSING: list[Kind] = ["200_html", "500", "502_html", "503", "cut", "lost_answer"]


def reads(door: Database) -> list[Callable[[], Any]]:
    return [lambda: door.select(Number), lambda: door.count(Number), lambda: door.call("schema_version")]


@pytest.mark.parametrize("kind", PASSING)
def test_a_read_survives_a_fault_that_passes(door: Supabase, project: FakeSupabase, kind: Kind) -> None:
    for read in reads(door):
        project.stack.seen.clear()
        project.stack.faults.next("/rest/v1/", kind)
        read()
        assert len(project.stack.seen) == 2


@pytest.mark.parametrize("kind", PASSING)
def test_a_read_is_given_up_after_a_bounded_number_of_tries(door: Supabase, project: FakeSupabase, kind: Kind) -> None:
    project.stack.faults.next("/rest/v1/", kind, times=retries.TRIES)
    with pytest.raises(Unavailable) as caught:
        door.select(Number)
    assert (type(caught.value), str(caught.value)) == (Unavailable, Unavailable.sentence)
    assert len(project.stack.seen) == retries.TRIES
    assert door.select(Number) == []


@pytest.mark.parametrize("kind", PASSING)
def test_what_may_have_been_done_is_never_repeated(
    door: Supabase, project: FakeSupabase, tries: Callable[[], int], kind: Kind
) -> None:
    project.stack.faults.next("/rest/v1/rpc/tries_made", kind)
    with pytest.raises(Unavailable):
        door.call("tries_made")
    assert len(project.stack.seen) == 1
    assert tries() == (1 if kind == "lost_answer" else 0)


@pytest.mark.parametrize("kind", ["cut", "lost_answer", "502_html"])
def test_changes_of_rows_are_never_repeated(
    door: Supabase, project: FakeSupabase, playground: World, person: UUID, kind: Kind
) -> None:
    fill(playground, person, 1)
    changes: list[Callable[[], Any]] = [
        lambda: door.insert("shelf_items", {"owner": person, "place": 2}),
        lambda: door.update("shelf_items", {"label": "x"}, [("place", "eq", 1)]),
        lambda: door.delete("shelf_items", [("place", "eq", 1)]),
    ]
    for change in changes:
        project.stack.seen.clear()
        project.stack.faults.next("/rest/v1/", kind)
        with pytest.raises(Unavailable):
            change()
        assert len(project.stack.seen) == 1


def test_a_server_that_hangs_is_given_up_in_time_and_asked_once(project: FakeSupabase, person: UUID) -> None:
    with supabase.open_http(0.3) as impatient:
        door = rest_door(project, impatient, person)
        for ask in [*reads(door), lambda: door.call("tries_made")]:
            project.stack.seen.clear()
            project.stack.faults.next("/rest/v1/", "hang")
            with pytest.raises(Unavailable):
                ask()
            assert len(project.stack.seen) == 1
        assert door.select(Number) == []


def test_a_gateway_that_wants_fewer_requests_gets_no_more(door: Supabase, project: FakeSupabase) -> None:
    project.stack.faults.next("/rest/v1/", "429")
    with pytest.raises(Unavailable):
        door.select(Number)
    assert len(project.stack.seen) == 1


def test_reads_are_not_tried_again_for_ever(
    door: Supabase, project: FakeSupabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supabase, "RETRY_SECONDS", 0.0)
    project.stack.faults.next("/rest/v1/", "cut")
    with pytest.raises(Unavailable):
        door.select(Number)
    assert len(project.stack.seen) == 1


def test_no_server_at_all_is_unavailable(http: httpx.Client) -> None:
    with pytest.raises(Unavailable) as caught:
        Supabase(url="http://127.0.0.1:9", key="sb_publishable_x", http=http).call("schema_version")
    assert str(caught.value) == Unavailable.sentence


def test_after_the_process_s_client_was_closed_the_door_says_so(project: FakeSupabase, person: UUID) -> None:
    with supabase.open_http(5) as http:
        door = rest_door(project, http, person)
    with pytest.raises(Unavailable):
        door.select(Number)


def test_a_request_waits_for_a_free_connection_only_so_long(
    project: FakeSupabase, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CONNECTIONS", 1)
    hurried = httpx.Timeout(2, pool=0.1)
    with httpx.Client(transport=lines.Lines(), timeout=hurried) as http, ThreadPoolExecutor(1) as thread:
        door = rest_door(project, http, person)
        project.stack.faults.next("/rest/v1/rpc/tries_made", "hang")
        stuck = thread.submit(door.call, "tries_made")
        wait_until(lambda: len(project.stack.seen) == 1)
        with pytest.raises(Unavailable):
            rest_door(project, http, person).select(Number)
        with pytest.raises(Unavailable):
            stuck.result(timeout=10)
        assert door.select(Number) == []


def test_the_environment_s_proxy_is_used(project: FakeSupabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", project.url)
    monkeypatch.setenv("no_proxy", "inside.test")
    for host, came in (("cloud.test", 1), ("inside.test", 0)):
        project.stack.seen.clear()
        with supabase.open_http(5) as http, pytest.raises(Unavailable):
            Supabase(url=f"http://{host}", key="sb_publishable_x", http=http).call("tries_made")
        assert len(project.stack.seen) == came
    project.stack.refused.clear()


def test_a_proxy_without_a_scheme_is_one_for_http(project: FakeSupabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", project.url.removeprefix("http://"))
    with supabase.open_http(5) as http, pytest.raises(Unavailable):
        Supabase(url="http://cloud.test", key="sb_publishable_x", http=http).call("tries_made")
    assert len(project.stack.seen) == 1
    project.stack.refused.clear()


def test_a_connection_that_cannot_be_made_leaves_its_place_to_another(
    project: FakeSupabase, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "CONNECTIONS", 1)
    with httpx.Client(transport=lines.Lines(), timeout=httpx.Timeout(2, pool=0.1)) as http:
        with monkeypatch.context() as odd:
            odd.setenv("http_proxy", "gopher://proxy.test")
            with pytest.raises(ValueError, match="scheme"):
                http.get("http://cloud.test")
        assert rest_door(project, http, person).select(Number) == []


def test_what_is_asked_again_only_reads(shared_world: World) -> None:
    stable = shared_world.rows(
        "select proname from pg_proc where pronamespace = 'public'::regnamespace and provolatile <> 'v'"
    )
    assert {row["proname"] for row in stable} == READS


# Keys and tokens --------------------------------------------------------------------------------------------


def legacy_key(role: str) -> str:
    return jwt.encode({"role": role, "iss": "supabase"}, "a secret of thirty-two characters", algorithm="HS256")


@pytest.mark.parametrize("key", ["sb_publishable_wrong", "sb_secret_wrong", legacy_key("anon")])
def test_a_key_that_the_project_does_not_know_names_its_setting(
    project: FakeSupabase, http: httpx.Client, person: UUID, key: str
) -> None:
    for token in (None, project.stack.token(person)):
        with pytest.raises(SettingsInvalid, match=r"SUPABASE_PUBLISHABLE_KEY.*SUPABASE_SECRET_KEY"):
            Supabase(url=project.url, key=key, http=http, token=token).call("schema_version")


def test_a_revoked_key_names_its_setting(project: FakeSupabase, door: Supabase) -> None:
    door.call("schema_version")
    project.stack.publishable_key = "sb_publishable_new"
    with pytest.raises(SettingsInvalid, match="API keys"):
        door.call("schema_version")


def test_swapped_keys_open_nothing(project: FakeSupabase, http: httpx.Client, person: UUID) -> None:
    worker = Supabase(url=project.url, key=project.stack.publishable_key, http=http)
    with pytest.raises(NotAllowed):
        worker.call("tidy")
    token = project.stack.token(person)
    swapped = Supabase(url=project.url, key=project.stack.secret_key, http=http, token=token)
    assert swapped.call("who")["role"] == "authenticated"


@pytest.mark.parametrize("seconds", [-40, -3600])
def test_a_token_that_has_run_out_is_signed_out(
    project: FakeSupabase, http: httpx.Client, person: UUID, seconds: float
) -> None:
    token = project.stack.token(person, seconds=seconds)
    door = Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token)
    for ask in (*reads(door), lambda: door.insert("shelf_items", {"owner": person, "place": 1})):
        project.stack.seen.clear()
        with pytest.raises(SignedOut) as caught:
            ask()
        assert str(caught.value) == SignedOut.sentence
        assert len(project.stack.seen) == 1


@pytest.mark.parametrize("token", ["no-token", "a.b.c", sign("another secret of thirty-two letters", uuid4())])
def test_a_token_that_is_none_is_signed_out(project: FakeSupabase, http: httpx.Client, token: str) -> None:
    door = Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token)
    with pytest.raises(SignedOut):
        door.select(Number)


def test_a_clock_that_is_a_little_fast_is_forgiven(project: FakeSupabase, http: httpx.Client, person: UUID) -> None:
    token = project.stack.token(person, seconds=-5)
    door = Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token)
    assert door.call("who")["id"] == str(person)


@pytest.mark.parametrize("kind", ["502_html", "cut", "hang", None])
def test_no_key_or_token_shows_in_logs_errors_or_names(
    project: FakeSupabase, person: UUID, caplog: pytest.LogCaptureFixture, kind: Kind | None
) -> None:
    caplog.set_level(logging.DEBUG)
    token = project.stack.token(person)
    with supabase.open_http(0.5) as http:
        wrong = Supabase(url=project.url, key="sb_secret_wrong", http=http, token=token)
        right = Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token)
        said = [repr(wrong), str(right)]
        for door in (wrong, right):
            if kind:
                project.stack.faults.next("/rest/v1/", kind)
            with pytest.raises(AppError) as caught:
                door.call("fails", p_state="XX000", p_message="inside", p_detail="")
            said += traceback.format_exception(caught.value)
    everything = "\n".join([*said, caplog.text])
    assert "no answer" in everything or "answered" in everything or "inside" in everything
    for secret in (token, token.split(".")[2], "sb_secret_wrong", project.stack.publishable_key):
        assert secret not in everything


def test_an_older_or_newer_database_is_named_as_such(door: Supabase) -> None:
    class Elsewhere(Row):
        table: ClassVar[str] = "not_there_yet"
        id: UUID

    class Wider(Row):
        table: ClassVar[str] = "shelf_items"
        not_there_yet: int

    for ask in (
        lambda: door.select(Elsewhere),
        lambda: door.select(Wider),
        lambda: door.insert("shelf_items", {"not_there_yet": 1}),
        lambda: door.call("twice", p_other=1),
    ):
        with pytest.raises(SchemaMismatch):
            ask()


# The test project itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "extra"),
    [
        ("GET", "/rest/v1/", {}),
        ("HEAD", "/rest/v1/shelf_items?select=id", {}),
        ("GET", "/rest/v1/shelf_items?select=*", {}),
        ("GET", "/rest/v1/shelf_items?select=id&place=ov.{1}", {}),
        ("GET", "/rest/v1/shelf_items?select=id&or=(place.eq.1)", {}),
        ("GET", "/rest/v1/shelf_items?select=id&order=place.desc.nullslast", {}),
        ("GET", "/rest/v1/shelf_items?select=id", {"Prefer": "count=planned"}),
        ("GET", "/rest/v1/rpc/who", {}),
        ("POST", "/rest/v1/shelf_items", {"Prefer": "return=representation"}),
        ("PATCH", "/rest/v1/shelf_items", {"Prefer": "return=minimal,count=exact"}),
        ("DELETE", "/rest/v1/shelf_items", {"Prefer": "return=minimal,count=exact"}),
        ("POST", "/graphql/v1", {}),
    ],
)
def test_a_request_that_is_not_covered_is_refused_and_noted(
    project: FakeSupabase, http: httpx.Client, person: UUID, method: str, path: str, extra: dict[str, str]
) -> None:
    headers = {"apikey": project.stack.publishable_key, "Authorization": f"Bearer {project.stack.token(person)}"}
    answer = http.request(method, project.url + path, headers={**headers, **extra}, content=b"{}")
    assert answer.status_code == 501
    assert len(project.stack.refused) == 1
    assert project.stack.refused.pop().startswith(f"{method} /")
