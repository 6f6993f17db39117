"""Versions: numbered without gaps or doubles, one deployed at most, an identical text once; compared and priced."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.errors import Conflict, InvalidInput, NotAllowed, NotFound
from services.scripts import assistants, runs, versions
from services.scripts.versions import Difference, Version
from tests.builders import World
from tests.jobs.fixtures import Shop
from tests.scripts.test_assistants import made

THREADS = 8


def add(world: World, assistant: UUID, content: str, **told: Any) -> UUID:
    """As a run that ends does, in a connection and transaction of its own."""
    version = json.dumps({"title": "Bread", "content": content, **told})
    with psycopg.connect(world.url) as own:
        own.execute("select from public.assistants where id = %s for no key update", (assistant,))
        query = "select private.add_version(a, %s) from public.assistants a where a.id = %s"
        row = own.execute(query, (version, assistant)).fetchone()
    assert row
    return UUID(str(row[0]))


@pytest.fixture
def writer(shop: Shop) -> UUID:
    return made(shop)


def test_versions_that_end_at_once_are_numbered_one_after_the_other(world: World, shop: Shop, writer: UUID) -> None:
    texts = [f"Text {number // 2}" for number in range(THREADS * 4)]  # each one twice
    with ThreadPoolExecutor(THREADS) as pool:
        ids = list(pool.map(lambda text: add(world, writer, text), texts))
    found = versions.of_assistant(shop.database, writer)
    assert sorted(one.number for one in found) == list(range(1, len(set(texts)) + 1))
    assert {one.id for one in found} == set(ids)
    assert len(set(ids)) == len(set(texts))


def test_at_most_one_is_deployed_however_many_click(world: World, shop: Shop, writer: UUID) -> None:
    ids = [add(world, writer, f"Text {number}") for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda id_: versions.set_status(world.as_person(shop.manager), id_, "deployed"), ids))
    found = versions.of_assistant(shop.database, writer)
    assert sorted(one.status for one in found) == ["deployed"] + ["final"] * (THREADS - 1)
    assert [one.status == "deployed" for one in found] == [one.deployed_at is not None for one in found]


def test_the_same_text_is_the_version_that_is_there(world: World, shop: Shop, writer: UUID) -> None:
    first = add(world, writer, "Fresh bread.", score=80)
    assert add(world, writer, "Fresh bread.", score=90) == first
    assert add(world, made(shop, name="Other"), "Fresh bread.") != first
    assert [str(one.final_score) for one in versions.listed(shop.database, writer)] == ["80.00"]


def test_an_earlier_one_is_brought_back_by_deploying_it(world: World, shop: Shop, writer: UUID) -> None:
    first, second = add(world, writer, "One"), add(world, writer, "Two")
    for id_ in (first, second, first):
        versions.set_status(shop.database, id_, "deployed")
        (offered,) = versions.deployed(shop.database, shop.store)
        assert offered.id == id_
    assert versions.get(shop.database, second).status == "final"
    versions.set_status(shop.database, first, "archived")
    assert versions.deployed(shop.database, shop.store) == []
    assert versions.get(shop.database, first).deployed_at is None


def test_a_deployed_one_is_no_draft_again_at_once(world: World, shop: Shop, writer: UUID) -> None:
    version = add(world, writer, "One")
    versions.set_status(shop.database, version, "deployed")
    with pytest.raises(Conflict, match="final or archived"):
        versions.set_status(shop.database, version, "draft")
    with pytest.raises(InvalidInput):
        shop.database.call("set_version_status", p_version_id=version, p_status="published")


def test_the_injection_file_is_made_of_the_template(world: World, shop: Shop) -> None:
    told = "<{title}|{version}|{assistant}|{score}>{content}"
    writer = made(shop, external_id="a-1", template=told)
    version = versions.get(shop.database, add(world, writer, "Say {title} & {content}", score="91.5"))
    assert version.injection_content == "<Bread|v1|Baker|91.5>Say {title} & {content}"
    assert version.injection_path == "a-1-v1.txt"


def test_who_may_change_versions(world: World, shop: Shop, writer: UUID) -> None:
    version = add(world, writer, "One")
    finance = world.as_person(world.person(shop.account, "finance"))
    stranger = world.as_person(world.person(shop.account, "manager", world.store(shop.account)))
    assert versions.get(finance, version).content == "One"
    for change in (
        lambda door: versions.set_status(door, version, "deployed"),
        lambda door: versions.set_notes(door, version, "Mine"),
    ):
        for door, error in ((finance, NotAllowed), (stranger, NotFound), (world.doors.anonymous(), NotAllowed)):
            with pytest.raises(error):
                change(door)
    with pytest.raises(NotFound):
        versions.get(stranger, version)
    admin = world.as_person(world.person(shop.account, "admin"))
    versions.set_status(admin, version, "deployed")
    versions.set_notes(admin, version, "Good")
    saved = versions.get(shop.database, version)
    assert (saved.status, saved.notes) == ("deployed", "Good")
    assert world.value("select count(*) from public.audit_log where action = 'version_deployed'") == 1


def test_notes_have_an_end(world: World, shop: Shop, writer: UUID) -> None:
    with pytest.raises(InvalidInput) as caught:
        versions.set_notes(shop.database, add(world, writer, "One"), "x" * 5_001)
    assert caught.value.field == "notes"


def test_versions_page_by_number(world: World, shop: Shop, writer: UUID) -> None:
    for number in range(5):
        add(world, writer, f"Text {number}")
    first = versions.listed(shop.database, writer, limit=3)
    rest = versions.listed(shop.database, writer, limit=3, after=first[-1].number)
    assert [one.number for one in [*first, *rest]] == [5, 4, 3, 2, 1]


# Comparing --------------------------------------------------------------------------------------------------------


def test_lines_that_differ() -> None:
    found = versions.difference("Good morning.\nBread costs 4.", "Good morning.\nBread costs 5.\nCome.")
    assert found == [
        Difference("equal", ["Good morning."], ["Good morning."]),
        Difference("changed", ["Bread costs 4."], ["Bread costs 5.", "Come."]),
    ]


def test_words_that_differ_side_by_side() -> None:
    (line,) = versions.side_by_side("Bread costs 4 euros today.", "Bread costs 5 euros now.")
    assert [piece.text for piece in line.before if piece.differs] == ["4 ", "today."]
    assert [piece.text for piece in line.after if piece.differs] == ["5 ", "now."]
    assert "".join(piece.text for piece in line.after) == "Bread costs 5 euros now."


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "One\nTwo"), ("One\n\nTwo", ""), ("One", "One"), ("a " * 20_000, "a " * 19_999)],
    ids=["nothing before", "nothing after", "the same", "one word, 20,000 times"],
)
def test_side_by_side_all_of_both_texts_is_there(before: str, after: str) -> None:
    lines = list(versions.side_by_side(before, after))
    for side, text in (([line.before for line in lines], before), ([line.after for line in lines], after)):
        assert "".join(piece.text for pieces in side for piece in pieces) == "".join(text.splitlines())


def priced(score: str | None, cost: str) -> Version:
    known = {"final_score": score and Decimal(score), "cost_usd": Decimal(cost)}
    return Version.model_construct(**known)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(priced("60", "1"), priced("80", "0.5"), Decimal("0.025")), (priced("80", "1"), priced("80", "1"), None),
     (priced("80", "1"), priced("60", "1"), None), (priced(None, "1"), priced("60", "1"), None)],
)  # fmt: skip
def test_what_a_point_gained_cost(before: Version, after: Version, expected: Decimal | None) -> None:
    assert versions.cost_a_point(before, after) == expected


# Runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_found_by_store_assistant_and_state_page_by_page(world: World, shop: Shop, writer: UUID) -> None:
    other = made(shop, name="Other")
    ids = [runs.start(shop.database, uuid4(), one, "Bread.") for one in (writer, writer, other)]
    world.execute("update public.jobs set status = 'failed', error = 'It broke.' where id = %s", ids[0])
    assert {run.id for run in runs.find(shop.database, shop.store)} == set(ids)
    assert {run.id for run in runs.find(shop.database, shop.store, assistant_id=other)} == {ids[2]}
    (failed,) = runs.find(shop.database, shop.store, status="failed")
    assert (failed.id, failed.error) == (ids[0], "It broke.")
    seen: list[UUID] = []
    after = None
    while page := runs.find(shop.database, shop.store, limit=2, after=after):
        seen += [run.id for run in page]
        after = page[-1].key
    assert sorted(seen) == sorted(ids)


def test_who_may_order_and_see_runs(world: World, shop: Shop, writer: UUID) -> None:
    run = runs.start(shop.database, uuid4(), writer, "Bread.")
    assert runs.start(shop.database, run, writer, "Bread.") == run
    assert len(runs.find(shop.database, shop.store)) == 1
    finance = world.as_person(world.person(shop.account, "finance"))
    assert runs.get(finance, run).briefing == "Bread."
    stranger = world.as_person(world.person(shop.account, "manager", world.store(shop.account)))
    for door, error in ((finance, NotAllowed), (stranger, NotFound), (world.doors.anonymous(), NotAllowed)):
        with pytest.raises(error):
            runs.start(door, uuid4(), writer, "Bread.")
    assert runs.find(stranger, shop.store) == []
    with pytest.raises(NotFound):
        runs.get(stranger, run)
    with pytest.raises(NotFound):
        runs.quote(stranger, writer, "Bread.")


@pytest.mark.parametrize("briefing", ["", " \n ", "x" * 600_001])
def test_a_briefing_has_something_and_an_end(shop: Shop, writer: UUID, briefing: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        runs.start(shop.database, uuid4(), writer, briefing)
    assert caught.value.field == "briefing"
    assert runs.find(shop.database, shop.store) == []


def test_an_archived_assistant_writes_no_more(shop: Shop, writer: UUID) -> None:
    assistants.archive(shop.database, writer)
    with pytest.raises(Conflict, match="Bring it back"):
        runs.start(shop.database, uuid4(), writer, "Bread.")
