"""A measured run of the prompt builder that this replaces: its tokens and amounts, phase by phase and in total.

At $15 and $75 a million tokens read and written. Source: requirements.md, M29.
"""

from decimal import Decimal
from uuid import uuid4

from services.costs.assistants import of_assistants
from services.jobs.context import Claimed
from services.media.folder import Folder
from services.scripts import assistants, runs
from services.scripts.assistants import Values
from services.scripts.phases import Assistant, PhaseModels
from tests import kill
from tests.builders import World
from tests.jobs.fixtures import Shop

MODEL = "gemini-3.8-flash"
PHASES = {
    "prompt_generation": (10_451, 2_839, "0.3697"),
    "prompt_analysis": (3_532, 2_415, "0.2341"),
    "prompt_improvement": (15_726, 6_120, "0.6949"),
}


def test_the_reference_run_comes_to_its_known_amounts(world: World, shop: Shop, folder: Folder) -> None:
    for kind, usd in {"input_tokens": "15", "cached_tokens": "1.5", "output_tokens": "75"}.items():
        world.price(shop.account, "gemini", MODEL, usd, kind=kind, per=1_000_000)
    assistant, run_id = uuid4(), uuid4()
    models = PhaseModels(prompt_generation=MODEL, prompt_analysis=MODEL, prompt_improvement=MODEL)
    assistants.save(shop.database, assistant, shop.store, Values(assistant=Assistant(name="Ann", models=models)))
    runs.start(shop.database, run_id, assistant, "The briefing.")
    worker = world.as_worker()
    found = worker.call("claim_job", p_worker="hand", p_kinds=["script"], p_lease_seconds=600)
    context = kill.Context(Claimed.model_validate(found), worker, folder, kill.options())
    for place, (phase, (read, written, _)) in enumerate(PHASES.items()):
        step = {"place": place, "phase": phase, "round": place // 2, "model": MODEL, "input": {"prompt": phase}}
        units = {"input_tokens": read, "output_tokens": written}
        purchase = context.write("begin_step", p_step=step, p_units=units)
        context.write("send_purchase", p_purchase_id=purchase["id"], p_seconds=Decimal(60), p_key_id=None)
        context.tell("settle_call", p_purchase_id=purchase["id"], p_units=units, p_vendor_id=phase,
                     p_answer={"output": {"script": phase}, "model_version": MODEL, "model_billed": MODEL})  # fmt: skip
    context.finish("save_script", p_end={"title": "Bread", "content": "Fresh bread.", "score": "90", "rounds": 1,
                                         "because": "target"})  # fmt: skip

    lines = {line.phase: line for line in runs.breakdown(shop.database, run_id)}
    for phase, (read, written, usd) in PHASES.items():
        line = lines[phase]
        assert (line.calls, line.input_tokens, line.output_tokens) == (1, read, written)
        assert round(line.cost_usd, 4) == Decimal(usd)
    run = runs.get(shop.database, run_id)
    assert (run.input_tokens, run.output_tokens) == (29_709, 11_374)
    assert round(run.total_cost_usd, 4) == Decimal("1.2987") == sum(Decimal(usd) for *_, usd in PHASES.values())
    (own,) = world.rows("select * from public.v_costs_by_assistant where assistant_id = %s", assistant)
    assert (own["runs"], own["cost_usd"], own["average_analysis_usd"]) == (
        1,
        run.total_cost_usd,
        lines["prompt_analysis"].cost_usd,
    )
    (line,) = of_assistants(shop.database, shop.account, shop.store)
    assert (line.runs, line.cost_usd, line.phases["prompt_analysis"].average) == (
        1, own["cost_usd"], own["average_analysis_usd"],
    )  # fmt: skip
    (daily,) = world.rows("select * from public.v_daily_costs_by_account where account_id = %s", shop.account)
    assert (daily["runs"], daily["output_tokens"], daily["cost_usd"]) == (1, 11_374, run.total_cost_usd)
    assert world.money_differences() == []
