"""What every door to data does, whatever lies behind it; then what only a connection to Postgres can show."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import psycopg_pool
import pytest

from services.database import embedded, postgres, retries, supabase
from services.database.connect import Doors
from services.database.door import ROW_CAP, Database, Filter, Order
from services.errors import (
    AppError,
    AttemptLost,
    Busy,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    PriceMissing,
    QuotaExceeded,
    SchemaMismatch,
    SignedOut,
    StoreSuspended,
    TimedOut,
    TooManyTries,
    Unavailable,
)
from tests.builders import World, fresh_world
from tests.cloud import LiveProject, fake_cloud, rest_door
from tests.database.playground import PLAYGROUND, Item, Number, fill, wait_until
from tests.fakes.supabase.server import FakeSupabase

DoorOf = Callable[[UUID | None], Database]
TimeOuts = Callable[[str, str], None]
AN_HOUR = datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC)


@pytest.fixture(scope="module")
def local(server: embedded.Server, template: str) -> Iterator[World]:
    """The playground on the tests' own server."""
    with fresh_world(server, template, connections=3) as world:
        world.admin.execute(PLAYGROUND)
        database = world.value("select current_database()")
        world.execute(f"alter database {database} set deadlock_timeout = '50ms'")
        yield world


@pytest.fixture(scope="module")
def cloud(local: World, server: embedded.Server) -> Iterator[FakeSupabase]:
    with fake_cloud(server, local.value("select current_database()")) as project:
        yield project


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[World, LiveProject]]:
    """The playground in a real project, whose settings are given for this."""
    project = LiveProject.from_environment()
    if project is None:
        pytest.skip(f"a real project is tested where {', '.join(LiveProject.SETTINGS)} are set")
    with project.playground(PLAYGROUND) as world:
        yield world, project


@pytest.fixture(scope="module", params=["postgres", "supabase", "supabase-live"])
def door_kind(request: pytest.FixtureRequest) -> str:
    """Which adapter is under test: over a connection, over the test project, over a real one."""
    return str(request.param)


@pytest.fixture(scope="module")
def playground(door_kind: str, request: pytest.FixtureRequest) -> World:
    """The database behind the door, as its owner sees it."""
    world: World = (
        request.getfixturevalue("live")[0] if door_kind == "supabase-live" else request.getfixturevalue("local")
    )
    return world


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with supabase.open_http(20) as client:
        yield client


@pytest.fixture
def door_of(door_kind: str, request: pytest.FixtureRequest, playground: World, http: httpx.Client) -> DoorOf:
    """The door of a person, or of nobody."""
    if door_kind == "postgres":
        doors = playground.doors
        return lambda person: doors.person(person) if person else doors.anonymous()
    if door_kind == "supabase":
        project = request.getfixturevalue("cloud")
        return lambda person: rest_door(project, http, person)
    _, real = request.getfixturevalue("live")
    return lambda person: real.door(http, person)


@pytest.fixture
def own_server(door_kind: str) -> None:
    if door_kind == "supabase-live":
        pytest.skip("a real project's connections and time-outs are its own")


@pytest.fixture
def time_outs(own_server: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TimeOuts:
    """Set the server's "statement" or "lock" time-out for people."""
    stack = request.getfixturevalue("cloud").stack

    def set_to(kind: str, duration: str) -> None:
        if kind == "statement":
            monkeypatch.setitem(postgres.STATEMENT_TIMEOUT, "authenticated", duration)
            monkeypatch.setitem(stack.statement_timeout, "authenticated", duration)
        else:
            monkeypatch.setattr(postgres, "LOCK_TIMEOUT", duration)
            monkeypatch.setattr(stack, "lock_timeout", duration)

    return set_to


@pytest.fixture
def person() -> UUID:
    return uuid4()


@pytest.fixture
def door(door_of: DoorOf, person: UUID) -> Database:
    return door_of(person)


@pytest.fixture
def shelf(playground: World, person: UUID) -> UUID:
    """Six items of the person: places 1 to 6, worth 1 to 6 dollars (10 of them: 10 times as much)."""
    for place, (label, amount) in enumerate(
        [("Rye", "10"), ("rye bread", "9"), ("Oat", "100"), (None, "2"), ("50% rye", "1.5"), ("Spelt", "0")], 1
    ):
        playground.insert(
            "public.shelf_items", owner=person, place=place, label=label, amount=Decimal(amount),
            put_at=AN_HOUR, extra={"place": place}, kept=None if place > 4 else place % 2 == 0,
        )  # fmt: skip
    return person


def places(rows: list[Any]) -> list[int]:
    return [row.place for row in rows]


# Calls ------------------------------------------------------------------------------------------------------


def test_a_stable_function_cannot_write(door: Database) -> None:
    with pytest.raises(NotAllowed):
        door.call("shelf_peek", p_place=1)
    assert door.count(Item) == 0


def test_a_volatile_function_writes_and_answers_none_for_void(door: Database) -> None:
    assert door.call("shelf_add", p_place=1) is None
    assert places(door.select(Item)) == [1]


def test_a_null_answer_is_none(door: Database) -> None:
    assert door.call("shelf_nothing") is None


def test_a_set_comes_as_dicts_and_is_cut_silently(door: Database) -> None:
    assert door.call("shelf_numbers", p_count=2)[1] == {"n": 2, "half": Decimal(1)}
    assert len(door.call("shelf_numbers", p_count=ROW_CAP + 1)) == ROW_CAP == 1000


def test_an_unknown_function_means_another_schema_version(door: Database) -> None:
    with pytest.raises(SchemaMismatch):
        door.call("not_there_yet", p_x=1)


def test_json_travels_with_amounts_ids_and_times(door: Database) -> None:
    name = uuid4()
    sent = {
        "amount": Decimal("123456789012.123456"), "id": name, "at": AN_HOUR, "day": AN_HOUR.date(), "many": [1, None],
        "text": "Zoë’s 🥐 \n\t \\ \" ''",
    }  # fmt: skip
    got = door.call("echo", p_json=sent)["json"]
    assert got == {
        "amount": "123456789012.123456", "id": str(name), "at": "2026-02-28T23:59:59.999999+00:00",
        "day": "2026-02-28", "many": [1, None], "text": "Zoë’s 🥐 \n\t \\ \" ''",
    }  # fmt: skip


@pytest.mark.parametrize("value", [[1, "two"], [], {}, "text", 7, True, None])
def test_json_of_every_shape_travels(door: Database, value: object) -> None:
    assert door.call("echo", p_json=value)["json"] == value


@pytest.mark.parametrize("number", [3, 3.0, Decimal(3), 0.1, 1e-7, 10**20])
def test_numbers_of_every_type_fit_every_number(door: Database, number: Any) -> None:
    assert door.call("twice", p_number=number) == Decimal(str(number)) * 2
    assert float(door.call("half", p_number=number)) == float(number) / 2


def test_json_refuses_what_has_no_form(door: Database) -> None:
    with pytest.raises(TypeError, match="set cannot travel"):
        door.call("echo", p_json={"x": {1}})


@pytest.mark.parametrize("text", ["a\x00b", "half a pair \ud800"])
def test_text_the_database_cannot_store_is_invalid_input(door: Database, text: str) -> None:
    for param in ("p_json", "p_text"):
        with pytest.raises(InvalidInput):
            door.call("echo", **{"p_json": 1, param: text})
    with pytest.raises(InvalidInput):
        door.select(Item, [("label", "eq", text)])


# Reading ----------------------------------------------------------------------------------------------------


def test_money_is_exact(door: Database, playground: World, person: UUID) -> None:
    amount = Decimal("123456789012.123456")
    playground.insert("public.shelf_items", owner=person, place=1, amount=amount)
    (item,) = door.select(Item)
    assert (item.amount, type(item.amount)) == (amount, Decimal)
    assert door.call("shelf_worth") == amount


def test_a_row_has_the_model_s_columns_and_types(door: Database, shelf: UUID) -> None:
    (item,) = door.select(Item, [("place", "eq", 1)])
    assert (item.label, item.put_at, item.extra) == ("Rye", AN_HOUR, {"place": 1})


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("place", "eq", 3), [3]),
        (("place", "neq", 3), [1, 2, 4, 5, 6]),
        (("amount", "gt", Decimal(9)), [1, 3]),
        (("amount", "gte", Decimal(9)), [1, 2, 3]),
        (("amount", "lt", Decimal("1.5")), [6]),
        (("amount", "lte", Decimal("1.5")), [5, 6]),
        (("place", "in", [1, 3, 99]), [1, 3]),
        (("place", "in", []), []),
        (("label", "in", ["Rye", "Oat"]), [1, 3]),
        (("label", "is", None), [4]),
        (("kept", "is", True), [2, 4]),
        (("kept", "is", False), [1, 3]),
        (("kept", "is", None), [5, 6]),
        (("kept", "eq", True), [2, 4]),
        (("label", "ilike", "%rye%"), [1, 2, 5]),
        (("label", "ilike", "rye"), [1]),
        (("put_at", "lte", AN_HOUR), [1, 2, 3, 4, 5, 6]),
        (("put_at", "gt", AN_HOUR), []),
        (("label", "eq", "'; drop table shelf_items; --"), []),
    ],
)
def test_each_operator(door: Database, shelf: UUID, wanted: Filter, expected: list[int]) -> None:
    assert places(door.select(Item, [wanted], order=[("place", "asc")])) == expected
    assert door.count(Item, [wanted]) == len(expected)


ODD = [
    "a,b", 'say "so"', "(a)", "a)", "back\\slash", "\\", '\\"', "{a}", "a.b", "a:b", "*", "a*b", "50%", "a_b", "", " ",
    " a ", "null", "NULL", "true", "it's", "a&b=c", "a+b", "#", "%20", "new\nline", "tab\t", "Zoë 🥐", "in.(a)",
    ".^$[x]|?", "not.a",
]  # fmt: skip


@pytest.fixture
def odd(playground: World, person: UUID) -> list[str]:
    """Labels of every kind of character, each at the place of its index."""
    for place, label in enumerate(ODD):
        playground.insert("public.shelf_items", owner=person, place=place, label=label)
    return ODD


def test_values_may_have_any_characters(door: Database, odd: list[str]) -> None:
    for place, label in enumerate(odd):
        assert places(door.select(Item, [("label", "eq", label)])) == [place], label
        assert places(door.select(Item, [("label", "in", [label, "absent"])])) == [place], label
        assert places(door.select(Item, [("label", "in", [label])])) == [place], label
    assert places(door.select(Item, [("label", "in", odd)], order=[("place", "asc")])) == list(range(len(odd)))


def test_patterns_may_have_any_characters(door: Database, odd: list[str]) -> None:
    for label in odd:
        literal = label.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        expected = [n for n, other in enumerate(odd) if other.lower() == label.lower()]
        assert places(door.select(Item, [("label", "ilike", literal)], order=[("place", "asc")])) == expected, label
    assert places(door.select(Item, [("label", "ilike", "A*%")])) == [odd.index("a*b")]
    assert places(door.select(Item, [("label", "ilike", "_*_")])) == [odd.index("a*b")]


def test_pages_by_a_key_of_any_characters_reach_every_row_once(door: Database, odd: list[str]) -> None:
    key: list[Order] = [("label", "asc"), ("place", "asc")]
    whole, seen = door.select(Item, order=key), []
    page = door.select(Item, order=key, limit=4)
    while page:
        seen += page
        page = door.select(Item, order=key, limit=4, after=[page[-1].label, page[-1].place])
    assert seen == whole
    assert sorted(places(seen)) == list(range(len(odd)))


def test_long_lists_of_values_are_found_whole(door: Database, playground: World, person: UUID) -> None:
    fill(playground, person, 600)
    ids = [item.id for item in door.select(Item)]
    asked = [("id", "in", [*ids, *ids, uuid4()]), ("place", "gt", 0)]
    assert sorted(places(door.select(Item, asked))) == list(range(1, 601))
    assert len(door.select(Item, asked, limit=250)) == 250
    assert door.count(Item, asked) == 600


def test_ids_filter_one_and_several(door: Database, shelf: UUID) -> None:
    ids = [item.id for item in door.select(Item)]
    assert len(door.select(Item, [("id", "in", ids[:2])])) == 2
    assert door.count(Item, [("id", "eq", ids[0])]) == 1


def test_filters_add_up(door: Database, shelf: UUID) -> None:
    assert places(door.select(Item, [("place", "gt", 1), ("label", "ilike", "%rye%"), ("place", "lt", 5)])) == [2]


def test_money_is_ordered_by_amount_not_by_text(door: Database, shelf: UUID) -> None:
    amounts = [item.amount for item in door.select(Item, order=[("amount", "asc")])]
    assert amounts == [Decimal(text) for text in ("0", "1.5", "2", "9", "10", "100")]


def test_rows_without_a_value_come_last_and_first_in_reverse(door: Database, shelf: UUID) -> None:
    rising = places(door.select(Item, order=[("kept", "asc"), ("place", "asc")]))
    assert rising == [1, 3, 2, 4, 5, 6]
    assert places(door.select(Item, order=[("kept", "desc"), ("place", "desc")])) == rising[::-1]


def test_order_and_limit(door: Database, shelf: UUID) -> None:
    assert places(door.select(Item, order=[("place", "desc")], limit=2)) == [6, 5]


def test_rows_beyond_the_cap_are_silently_left_out_but_counted(door: Database, playground: World, person: UUID) -> None:
    fill(playground, person, 2503)
    assert places(door.select(Number, order=[("place", "asc")], limit=5000)) == list(range(1, 1001))
    assert door.count(Number) == 2503


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_paging_by_key_reaches_every_row_once(door: Database, playground: World, person: UUID, direction: Any) -> None:
    fill(playground, person, 2503)
    key = [("owner", direction), ("place", direction)]
    seen: list[int] = []
    page = door.select(Number, order=key)
    while page:
        seen += places(page)
        page = door.select(Number, order=key, after=[person, seen[-1]])
    assert seen == sorted(range(1, 2504), reverse=direction == "desc")


def test_paging_goes_on_behind_a_key_though_rows_come_before_it(
    door: Database, playground: World, person: UUID
) -> None:
    fill(playground, person, 4)
    first = door.select(Number, order=[("place", "desc")], limit=2)
    playground.insert("public.shelf_items", owner=person, place=5)
    after = [first[-1].place]
    assert places(door.select(Number, order=[("place", "desc")], limit=2, after=after)) == [2, 1]


def test_paging_by_a_mixed_key_is_a_mistake_of_the_program(door: Database) -> None:
    with pytest.raises(ValueError, match="one direction"):
        door.select(Number, order=[("owner", "asc"), ("place", "desc")], after=[uuid4(), 1])
    with pytest.raises(ValueError, match="a value for each"):
        door.select(Number, order=[("place", "asc")], after=[1, 2])


# Changing ---------------------------------------------------------------------------------------------------


def test_insert_update_delete(door: Database, person: UUID) -> None:
    name = uuid4()
    door.insert("shelf_items", {"id": name, "owner": person, "place": 1, "amount": Decimal("0.1"), "extra": {"a": [1]}})
    changes = {"label": "new", "amount": Decimal("0.2"), "extra": {"at": AN_HOUR}}
    assert door.update("shelf_items", changes, [("id", "eq", name)]) == 1
    (item,) = door.select(Item)
    assert (item.label, item.amount, item.extra) == ("new", Decimal("0.2"), {"at": AN_HOUR.isoformat()})
    assert door.delete("shelf_items", [("id", "eq", name)]) == 1
    assert door.count(Item) == 0


def test_a_column_may_be_filtered_and_changed_at_once(door: Database, shelf: UUID) -> None:
    assert door.update("shelf_items", {"label": "Barley"}, [("label", "eq", "Oat")]) == 1
    assert places(door.select(Item, [("label", "eq", "Barley")])) == [3]


def test_rows_that_row_security_hides_are_neither_changed_nor_counted(door_of: DoorOf, shelf: UUID) -> None:
    stranger = door_of(uuid4())
    assert (stranger.select(Item), stranger.count(Item)) == ([], 0)
    assert stranger.update("shelf_items", {"label": "mine"}, [("place", "gt", 0)]) == 0
    assert stranger.delete("shelf_items", [("place", "gt", 0)]) == 0
    assert door_of(shelf).count(Item, [("label", "neq", "mine")]) == 5


def test_what_may_be_added_need_not_be_readable(door: Database, playground: World, person: UUID) -> None:
    door.insert("shelf_wishes", {"owner": person, "label": "rye"})
    assert playground.value("select label from public.shelf_wishes where owner = %s", person) == "rye"


def test_a_row_of_somebody_else_cannot_be_added(door: Database) -> None:
    with pytest.raises(NotAllowed):
        door.insert("shelf_items", {"owner": uuid4(), "place": 1})


def test_a_change_needs_a_filter(door: Database, shelf: UUID) -> None:
    with pytest.raises(InvalidInput):
        door.update("shelf_items", {"label": "all"}, [])
    with pytest.raises(InvalidInput):
        door.delete("shelf_items", [])
    assert door.count(Item) == 6


# Who asks ---------------------------------------------------------------------------------------------------


def test_nobody_is_refused(door_of: DoorOf) -> None:
    nobody = door_of(None)
    for refused in (
        lambda: nobody.select(Item),
        lambda: nobody.count(Item),
        lambda: nobody.insert("shelf_items", {"owner": uuid4(), "place": 1}),
        lambda: nobody.update("shelf_items", {"place": 1}, [("place", "eq", 1)]),
        lambda: nobody.delete("shelf_items", [("place", "eq", 1)]),
    ):
        with pytest.raises(NotAllowed):
            refused()


def test_claims_never_mix(door_of: DoorOf) -> None:
    def ask(person: UUID) -> set[str]:
        return {door_of(person).call("who")["id"] for _ in range(50)}

    people = [uuid4() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, people))
    assert answers == [{str(person)} for person in people]


# Errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("PT400", InvalidInput), ("PT401", SignedOut), ("PT402", QuotaExceeded), ("PT403", NotAllowed),
        ("PT404", NotFound), ("PT409", Conflict), ("PT412", AttemptLost), ("PT422", PriceMissing),
        ("PT423", StoreSuspended), ("PT429", TooManyTries), ("PT503", Unavailable),
    ],
)  # fmt: skip
def test_our_own_errors_keep_their_sentence(door: Database, state: str, kind: type[AppError]) -> None:
    with pytest.raises(AppError) as caught:
        door.call("fails", p_state=state, p_message="Said in SQL.", p_detail="")
    assert (type(caught.value), str(caught.value)) == (kind, "Said in SQL.")


@pytest.mark.parametrize("state", ["3F000", "42703", "42883", "42P01"])
def test_what_the_database_does_not_know_means_another_schema_version(door: Database, state: str) -> None:
    with pytest.raises(SchemaMismatch) as caught:
        door.call("fails", p_state=state, p_message="secret relation name", p_detail="")
    assert str(caught.value) == SchemaMismatch.sentence


@pytest.mark.parametrize("state", ["XX000", "22012", "0A000", "P0001"])
def test_other_errors_say_nothing_of_the_server(door: Database, state: str) -> None:
    with pytest.raises(AppError) as caught:
        door.call("fails", p_state=state, p_message="secret relation name", p_detail='{"field": "secret"}')
    assert (type(caught.value), str(caught.value)) == (AppError, AppError.sentence)


def test_facts_travel_in_the_detail(door: Database) -> None:
    with pytest.raises(InvalidInput) as invalid:
        door.call("fails", p_state="PT400", p_message="Too long.", p_detail='{"field": "text"}')
    with pytest.raises(TooManyTries) as tries:
        door.call("fails", p_state="PT429", p_message="Wait.", p_detail='{"seconds": 42}')
    with pytest.raises(PriceMissing):
        door.call("fails", p_state="PT422", p_message="No price.", p_detail="not json")
    assert (invalid.value.field, tries.value.seconds) == ("text", 42)


def test_constraints_speak_in_our_words(door: Database, shelf: UUID) -> None:
    cases: list[tuple[type[AppError], dict[str, Any]]] = [
        (Conflict, {"owner": shelf, "place": 1}),
        (InvalidInput, {"owner": shelf, "place": 9, "label": "forbidden"}),
        (InvalidInput, {"owner": shelf, "place": None}),
        (InvalidInput, {"owner": shelf, "place": 9, "amount": Decimal(10) ** 12}),
        (InvalidInput, {"owner": "not an id", "place": 9}),
    ]
    for kind, values in cases:
        with pytest.raises(kind) as caught:
            door.insert("shelf_items", values)
        assert str(caught.value) == kind.sentence


# Time-outs, locks and lost connections ----------------------------------------------------------------------


def test_a_slow_statement_times_out_and_is_not_tried_again(door: Database, time_outs: TimeOuts) -> None:
    time_outs("statement", "50ms")
    with pytest.raises(TimedOut):
        door.call("naps", p_seconds=30)


@pytest.fixture
def tries(playground: World) -> Callable[[], int]:
    """How often a function that counts its tries was begun, rolled back or not."""
    playground.execute("alter sequence public.tries restart")
    return lambda: playground.value("select case when is_called then last_value else 0 end from public.tries")


def test_rows_held_for_too_long_are_busy_after_a_bounded_number_of_tries(
    door: Database, shelf: UUID, playground: World, tries: Callable[[], int], time_outs: TimeOuts
) -> None:
    time_outs("lock", "50ms")
    with psycopg.connect(playground.url) as holder:
        holder.execute("select from public.shelf_items where owner = %s for update", (shelf,))
        with pytest.raises(Busy):
            door.call("relabel", p_place=1, p_label="x")
        holder.rollback()
    assert tries() == retries.TRIES


def test_a_lock_that_is_given_back_in_time_is_waited_for(
    door: Database, shelf: UUID, playground: World, tries: Callable[[], int], time_outs: TimeOuts
) -> None:
    time_outs("lock", "300ms")
    with psycopg.connect(playground.url) as holder, ThreadPoolExecutor(1) as thread:
        holder.execute("select from public.shelf_items where owner = %s for update", (shelf,))
        call = thread.submit(door.call, "relabel", p_place=1, p_label="at last")
        wait_until(lambda: tries() >= 2)
        holder.rollback()
        call.result(timeout=10)
    assert door.count(Item, [("label", "eq", "at last")]) == 1


def test_a_deadlock_is_solved_by_trying_again(door: Database, shelf: UUID, tries: Callable[[], int]) -> None:
    start = threading.Barrier(2)

    def relabel(first: int, second: int) -> None:
        start.wait(timeout=10)
        door.call("relabel_two", p_first=first, p_second=second)

    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(relabel, 1, 2), threads.submit(relabel, 2, 1)]
        for call in calls:
            call.result(timeout=20)
    assert tries() > 2, "the calls never met"
    assert door.count(Item, [("label", "in", ["first", "second"])]) == 2


@pytest.mark.usefixtures("own_server")
def test_an_idle_connection_that_was_killed_is_replaced(door: Database, playground: World) -> None:
    kill(playground, door.call("backend"))
    assert door.call("shelf_worth") == 0
    kill(playground, door.call("backend"))
    door.call("shelf_add", p_place=1)


@pytest.mark.usefixtures("own_server")
def test_a_read_whose_connection_is_lost_is_tried_again(
    door: Database, playground: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supabase, "READS", {"reads_when_free"})
    with ThreadPoolExecutor(1) as thread:
        call = kill_while_it_waits(thread, playground, lambda: door.call("reads_when_free"))
        assert call.result(timeout=10) == 7


@pytest.mark.usefixtures("own_server")
def test_a_write_whose_connection_is_lost_is_not_repeated(door: Database, playground: World) -> None:
    with ThreadPoolExecutor(1) as thread:
        call = kill_while_it_waits(thread, playground, lambda: door.call("writes_when_free"))
        with pytest.raises(Unavailable) as caught:
            call.result(timeout=10)
    assert type(caught.value) is Unavailable
    assert door.call("writes_when_free") == 7


def kill(world: World, backend: int) -> None:
    """End a server process and wait until it is gone."""
    world.execute("select pg_terminate_backend(%s, 5000)", backend)


def kill_while_it_waits(thread: ThreadPoolExecutor, world: World, call: Callable[[], Any]) -> Any:
    """Start the call, which waits for lock 77, and kill its backend there; then give the lock free."""
    waiting = "select pid from pg_locks where locktype = 'advisory' and objid = 77 and not granted"
    with psycopg.connect(world.url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(77)")
        future = thread.submit(call)
        wait_until(lambda: len(world.rows(waiting)) == 1)
        kill(world, world.value(waiting))
        holder.execute("select pg_advisory_unlock(77)")
    return future


# Only a connection can show ---------------------------------------------------------------------------------


def test_role_claims_and_address_reach_the_database(local: World, person: UUID) -> None:
    asked = local.doors.person(person, address="203.0.113.9").call("who")
    assert asked == {"id": str(person), "role": "authenticated", "address": "203.0.113.9"}
    assert local.doors.anonymous().call("who") == {"id": None, "role": "anon", "address": None}


def test_a_function_with_a_time_out_of_its_own_may_take_it(
    local: World, person: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.STATEMENT_TIMEOUT, "authenticated", "50ms")
    door = local.doors.person(person)
    assert door.call("naps_in_peace") is None
    with pytest.raises(TimedOut):
        door.call("naps", p_seconds=30)


def test_after_a_call_the_connection_has_no_claims(local: World, person: UUID) -> None:
    doors = Doors(postgres.open_pool(local.doors.app_pool.conninfo, 1), None)
    try:
        door = doors.person(person, address="203.0.113.9")
        door.call("who")
        with pytest.raises(InvalidInput):
            door.call("fails", p_state="PT400", p_message="x", p_detail="")
        with doors.app_pool.connection() as connection:
            (left,) = connection.execute(
                "select current_user as role, current_setting('request.jwt.claims', true) as claims,"
                " current_setting('request.headers', true) as headers,"
                " current_setting('statement_timeout') as timeout,"
                " current_setting('transaction_read_only') as read_only"
            ).fetchall()
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select from public.accounts")
    finally:
        doors.close()
    assert left == {"role": "clipdesk_app", "claims": "", "headers": "", "timeout": "0", "read_only": "off"}


def test_a_role_without_claims_sees_nothing(local: World) -> None:
    local.insert("public.shelf_items", owner=uuid4(), place=1)
    unclaimed = postgres.Postgres(pool=local.doors.app_pool, role="authenticated")
    assert (unclaimed.select(Item), unclaimed.call("who")["id"]) == ([], None)


def test_the_app_cannot_become_the_worker(local: World) -> None:
    forged = postgres.Postgres(pool=local.doors.app_pool, role="service_role")
    with pytest.raises(NotAllowed):
        forged.call("who")


def test_time_outs_are_the_cloud_s(local: World) -> None:
    assert postgres.STATEMENT_TIMEOUT == {"anon": "3s", "authenticated": "8s", "service_role": "8s", "none": "8s"}
    assert postgres.LOCK_TIMEOUT == "3s"


def test_a_server_that_is_away_is_unavailable(short_folder: Any, person: UUID) -> None:
    pool = postgres.open_pool(f"postgresql://clipdesk_app@/x?host={short_folder}/nowhere", 1)
    pool.timeout = 0.1
    try:
        with pytest.raises(Unavailable) as caught:
            Doors(pool, None).person(person).call("away_function")
        assert str(caught.value) == Unavailable.sentence
        with pytest.raises(Unavailable):
            Doors(pool, None).person(person).select(Item)
    finally:
        pool.close()


def test_a_process_without_the_worker_s_login_says_so(local: World) -> None:
    with pytest.raises(Unavailable, match=r"services\.jobs\.worker"):
        Doors(local.doors.app_pool, None).worker()


def test_a_database_that_is_away_is_asked_once(local: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def none_left(*_: Any, **__: Any) -> Any:
        asked.append(1)
        raise psycopg_pool.PoolTimeout

    door = local.doors.anonymous()
    door.call("schema_version")
    monkeypatch.setattr(local.doors.app_pool, "connection", none_left)
    with pytest.raises(Unavailable):
        door.call("schema_version")
    assert len(asked) == 1
