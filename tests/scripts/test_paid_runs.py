"""Runs that somebody bills: each phase paid once, booked under its name, and never lost, whoever is killed."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs.assistants import of_assistants
from services.database.embedded import Server
from services.errors import QuotaExceeded
from services.jobs import queue
from services.media.folder import Folder
from services.scripts import models, runs, versions
from services.speech import decisions
from tests.builders import World
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_wire import Turn
from tests.fakes.web import HANG_UP
from tests.scripts.newsroom import MODEL, Newsroom, cost, draft, story

PHASES = ["prompt_generation", "prompt_analysis", "prompt_improvement", "prompt_analysis"]
KEPT = ["intended", "spooled", "settled"]  # before the call, or with its answer on disk or in the books
LOST = ["sent", "answered"]  # nobody can tell


@pytest.fixture
def room(world: World, server: Server, folder: Folder, fake: FakeGemini) -> Newsroom:
    return Newsroom.open(world, server, folder, fake)


def test_a_run_is_booked_phase_by_phase(room: Newsroom) -> None:
    room.fake.say(*story())
    run_id = room.order()
    assert room.work()["status"] == "completed"
    run, steps = runs.get(room.door, run_id), runs.steps(room.door, run_id)
    assert (run.status, run.ended_because, run.best_score) == ("completed", "target", 90)
    assert room.phases(run_id) == [step.phase for step in steps] == PHASES
    assert [step.cost_usd for step in steps] == [cost(charge) for charge in room.fake.bill]
    assert run.total_cost_usd == sum(map(cost, room.fake.bill)) > 0
    assert run.output_tokens == room.fake.billed()["output_tokens"]
    assert {(row["user_id"], row["profile_id"]) for row in room.entries()} == {(room.manager, room.store)}
    assert [row["step_id"] for row in room.entries()] == [step.id for step in steps]
    assert versions.get(room.door, run.version_id).content == "Fresh bread at six, text 1."
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0
    room.assert_books_equal_the_bill()


def test_the_best_text_is_kept_when_rounds_run_out(room: Newsroom) -> None:
    room.fake.say(*story(scores=(70, 60, 65)))
    run_id = room.order(room.hire(max_rounds=2))
    room.work()
    run = runs.get(room.door, run_id)
    assert (run.ended_because, run.best_score) == ("rounds", 70)
    assert versions.get(room.door, run.version_id).content == "Fresh bread at six."


@pytest.mark.parametrize("place", KEPT)
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_worker_killed_at_a_phase_pays_none_again(room: Newsroom, place: str, number: int) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at(f"{place}:{number}")
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == 4
    assert room.phases(run_id) == PHASES
    room.assert_books_equal_the_bill()


@pytest.mark.parametrize("place", LOST)
@pytest.mark.parametrize("number", [1, 3])
def test_a_call_nobody_can_tell_about_waits_for_a_person(room: Newsroom, place: str, number: int) -> None:
    turns = story()
    room.fake.say(*turns)
    run_id = room.order()
    room.die_at(f"{place}:{number}")
    ended = room.finish(run_id)
    assert ended["status"] == "failed"
    assert "nobody can tell" in ended["error"]
    assert runs.get(room.door, run_id).status == "failed"
    assert room.world.value("select count(*) from public.cost_holds where state = 'committed'") == 1
    if place == "answered":
        room.fake._turns.insert(0, turns[number - 1])
    decisions.buy_again(room.door, run_id)
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == (5 if place == "answered" else 4)
    assert room.phases(run_id) == PHASES
    unclear = room.world.value("select id from public.purchases where state = 'unclear'")
    admin = room.world.as_person(room.world.person(room.account, "admin"))
    decisions.decide(admin, unclear, billed=place == "answered", reason="The usage page says so")
    assert len(room.entries()) == len(room.fake.bill)
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0


def test_a_spool_out_of_reach_is_no_licence_to_pay_again(room: Newsroom) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at("spooled:2")
    room.forget_spool()
    assert room.finish(run_id)["status"] == "failed"
    assert len(room.fake.bill) == 2


def test_an_answer_lost_on_its_way_is_not_asked_for_again(room: Newsroom) -> None:
    room.fake.say(draft(), Turn(lost=lambda _: HANG_UP))
    run_id = room.order()
    assert room.work()["status"] == "failed"
    assert len(room.fake.bill) == 2
    assert room.world.value("select state from public.purchases where place = 1") == "unclear"
    assert [step.status for step in runs.steps(room.door, run_id)] == ["completed", "failed"]


@pytest.mark.parametrize("turn", [Turn("not JSON"), Turn(block="SAFETY"), Turn('{"title": "Br', finish="MAX_TOKENS")])
def test_an_answer_that_is_no_use_is_booked_and_said(room: Newsroom, turn: Turn) -> None:
    room.fake.say(turn)
    run_id = room.order()
    ended = room.work()
    assert ended["status"] == "failed"
    (step,) = runs.steps(room.door, run_id)
    assert (step.status, step.error) == ("failed", ended["error"])
    room.assert_books_equal_the_bill()
    assert runs.get(room.door, run_id).total_cost_usd == cost(room.fake.bill[0])
    room.fake.say(*story())
    queue.retry(room.door, run_id)
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == 5
    room.assert_books_equal_the_bill()


def test_killed_after_a_useless_answer_was_booked_it_buys_no_other_unasked(room: Newsroom) -> None:
    room.fake.say(Turn("not JSON"))
    run_id = room.order()
    room.die_at("settled:1")
    ended = room.finish(run_id)
    (step,) = runs.steps(room.door, run_id)
    assert (ended["status"], ended["error"]) == ("failed", step.error)
    assert len(room.fake.bill) == 1
    room.fake.say(*story())
    queue.retry(room.door, run_id)
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == 5
    room.assert_books_equal_the_bill()


def test_a_run_that_cannot_pay_its_next_phase_keeps_what_it_has(room: Newsroom) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at("settled:2")
    room.world.execute("update public.profiles set monthly_quota_usd = 0.01 where id = %s", room.store)
    assert room.finish(run_id)["status"] == "completed"
    run = runs.get(room.door, run_id)
    assert (run.status, run.ended_because, run.best_score) == ("completed", "limit", 60)
    assert len(room.fake.bill) == 2


def test_a_run_that_the_month_does_not_cover_is_not_begun(
    world: World, server: Server, folder: Folder, fake: FakeGemini
) -> None:
    room = Newsroom.open(world, server, folder, fake, quota="0.02")
    with pytest.raises(QuotaExceeded) as refused:
        room.order()
    assert refused.value.refusal
    assert refused.value.refusal.estimate > Decimal("0.02")
    assert room.world.value("select count(*) from public.pipeline_runs") == 0


def test_a_run_is_cancelled_between_two_steps(room: Newsroom) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at("settled:1")
    queue.cancel(room.door, run_id)
    assert room.finish(run_id)["status"] == "cancelled"
    run = runs.get(room.door, run_id)
    assert (run.status, run.total_cost_usd) == ("cancelled", cost(room.fake.bill[0]))
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0
    queue.retry(room.door, run_id)
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == 4


def stopped_after_its_draft(room: Newsroom, run_id: UUID, said: str) -> None:
    """The run ends with this sentence, keeps what it paid for, and holds nothing."""
    ended = room.finish(run_id)
    assert ended["status"] == "failed"
    assert said in ended["error"]
    run = runs.get(room.door, run_id)
    assert (run.status, run.total_cost_usd) == ("failed", cost(room.fake.bill[0]))
    assert [step.status for step in runs.steps(room.door, run_id)][:1] == ["completed"]
    assert room.world.value("select sum(held_usd) from public.cost_holds") == 0
    assert len(room.fake.bill) == 1


def retried_to_its_end(room: Newsroom, run_id: UUID) -> None:
    """Without paying for the draft again."""
    queue.retry(room.door, run_id)
    assert room.finish(run_id)["status"] == "completed"
    assert len(room.fake.bill) == 4
    room.assert_books_equal_the_bill()


def test_a_model_that_retires_in_the_middle_of_a_run(room: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at("settled:1")
    gone = models.BY_ID[MODEL].model_copy(update={"retires_on": models.today(), "successor": "gemini-3.7-flash"})
    with monkeypatch.context() as patch:
        patch.setattr(models, "BY_ID", {**models.BY_ID, MODEL: gone})
        stopped_after_its_draft(room, run_id, "Choose Gemini 3.7 Flash (gemini-3.7-flash) instead.")
    retried_to_its_end(room, run_id)


def test_a_key_that_is_revoked_between_two_phases(room: Newsroom) -> None:
    room.fake.say(*story())
    run_id = room.order()
    room.die_at("settled:1")
    room.fake.keys.clear()
    stopped_after_its_draft(room, run_id, "Gemini does not accept the key any more.")
    room.fake.keys.add(room.fake.key)
    retried_to_its_end(room, run_id)


def test_parallel_runs_of_several_stores_never_mix(room: Newsroom) -> None:
    stores = [room.store, *(room.world.store(room.account, quota="10") for _ in range(4))]
    admin = room.world.as_person(room.world.person(room.account, "admin"))
    ordered = {}
    for number in range(50):
        store = stores[number % 5]
        ordered[runs.start(admin, uuid4(), room.hire(store, admin, max_rounds=0), f"Briefing {number}.")] = store
    with ThreadPoolExecutor(8) as workers:
        ended = list(workers.map(lambda _: room.work(), range(50)))
    assert {row["status"] for row in ended} == {"completed"}
    for run_id, store in ordered.items():
        entries = room.entries(run_id)
        assert [row["operation"] for row in entries] == PHASES[:2]
        assert {row["profile_id"] for row in entries} == {store}
    room.assert_books_equal_the_bill()
    totals: dict[str, Any] = {row["operation"]: row["usd"] for row in room.world.rows(
        "select operation, sum(cost_usd) as usd from public.cost_entries group by operation")}  # fmt: skip
    breakdown = room.world.rows(
        "select phase, sum(cost_usd) as usd from public.v_pipeline_cost_breakdown group by phase"
    )
    assert {row["phase"]: row["usd"] for row in breakdown} == totals
    seen = {row["assistant_id"]: row for row in room.world.rows("select * from public.v_costs_by_assistant")}
    summed = of_assistants(admin, room.account, None)
    assert len(summed) == 50 == sum(line.runs for line in summed)
    for line in summed:
        view = seen[line.assistant_id]
        assert (line.cost_usd, line.tokens, line.last_activity) == (
            view["cost_usd"], view["input_tokens"] + view["output_tokens"], view["last_activity"],
        )  # fmt: skip
        assert line.phases["prompt_analysis"].average == view["average_analysis_usd"]
    assert {line.profile_id for line in of_assistants(room.door, room.account, None)} == {room.store}
