"""A run from briefing to version, with the practice writer: each phase once, whatever happens in between."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.jobs import attempt
from services.media.folder import Folder
from services.scripts import assistants, pipeline, runs, versions
from services.scripts.assistants import Values
from services.scripts.phases import Assistant, PhaseModels
from services.scripts.practice import MODEL as PRACTICE
from tests import kill
from tests.builders import World
from tests.jobs.fixtures import Shop

Work = Callable[..., dict[str, Any]]

BRIEFING = "Fresh rye bread from Friday on. It costs 4 euros. Come to Harbour Street 5. Kids get a roll for free."
MODELS = PhaseModels(prompt_generation=PRACTICE, prompt_analysis=PRACTICE, prompt_improvement=PRACTICE)


def assistant_of(shop: Shop, **changes: Any) -> UUID:
    made = uuid4()
    values = Assistant(name="Baker", **{"models": MODELS, **changes})
    assistants.save(shop.database, made, shop.store, Values(assistant=values, external_id=None))
    return made


@pytest.fixture
def work(world: World, folder: Folder) -> Callable[..., dict[str, Any]]:
    """Take up the oldest waiting run once, in this thread; returns its job's row."""

    def once(**settings: Any) -> dict[str, Any]:
        context = kill.claim(world, folder, "script", **settings)
        attempt.run(context, pipeline.write)
        return kill.job_row(world, context.job.id)

    return once


def order(shop: Shop, assistant_id: UUID, briefing: str = BRIEFING) -> UUID:
    return runs.start(shop.database, uuid4(), assistant_id, briefing)


def test_a_briefing_becomes_a_version(shop: Shop, work: Work) -> None:
    writer = assistant_of(shop)
    run_id = order(shop, writer)
    assert work()["status"] == "completed"
    run, (version,) = runs.get(shop.database, run_id), versions.of_assistant(shop.database, writer)
    assert (run.status, run.version_id, run.error) == ("completed", version.id, None)
    assert (version.number, version.status, version.run_id) == (1, "draft", run_id)
    assert "rye bread" in version.content
    assert run.best_score == version.final_score
    steps = runs.steps(shop.database, run_id)
    assert [step.phase for step in steps[:2]] == ["prompt_generation", "prompt_analysis"]
    assert {step.status for step in steps} == {"completed"}
    assert run.total_cost_usd == sum(step.cost_usd for step in steps) == 0


def test_the_same_text_again_makes_no_new_version(shop: Shop, work: Work) -> None:
    writer = assistant_of(shop)
    for _ in range(2):
        order(shop, writer)
        assert work()["status"] == "completed"
    assert len(versions.of_assistant(shop.database, writer)) == 1
    assert len({run.version_id for run in runs.find(shop.database, shop.store)}) == 1
