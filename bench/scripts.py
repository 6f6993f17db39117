"""What the pipeline adds to a bare SDK call; and a store's runs at a thousand and at a hundred thousand."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

from google import genai
from google.genai import types

from bench.measure import Spread, in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world, short_folder
from services.costs.assistants import of_assistants
from services.database.embedded import Server
from services.media.folder import Folder
from services.scripts import phases, runs
from services.scripts.connect import for_store
from services.scripts.phases import Draft
from services.scripts.runs import Listed
from tests.builders import World
from tests.fakes.gemini import FakeGemini
from tests.scripts.newsroom import BRIEFING, MODEL, Newsroom, draft, story

SMALL, LARGE = 1_000, 100_000  # runs of one store
STEPS = 4  # of the run that is timed: a draft, two reviews, an improvement

# Two assistants, one writes a tenth; of a hundred runs one failed; four charged steps a run.
LOAD = """
    insert into public.pipeline_runs (id, account_id, profile_id, assistant_id, assistant, briefing, briefing_hash,
                                      status, total_cost_usd, best_score, started_at, ended_at)
    select gen_random_uuid(), %(account)s, %(store)s,
           case when n %% 10 = 0 then %(second)s::uuid else %(first)s::uuid end, '{"name": "Ann"}',
           repeat('Our bakery opens at six. ', 40), 'x', case when n %% 100 = 0 then 'failed' else 'completed' end,
           0.04, 90, now() - n * interval '5 minutes', now() - n * interval '5 minutes' + interval '1 minute'
    from generate_series(1, %(count)s) n
"""
STEPS_OF_RUNS = """
    insert into public.pipeline_steps (id, account_id, profile_id, run_id, place, phase, round, status, provider, model,
                                       input, output, input_tokens, output_tokens, cost_usd, started_at, ended_at)
    select gen_random_uuid(), r.account_id, r.profile_id, r.id, p.place - 1, p.phase, p.place / 3, 'completed',
           'gemini', 'gemini-3.8-flash', '{"prompt": "x"}', '{"score": 90}', 3000, 2500, 0.01, r.started_at, r.ended_at
    from public.pipeline_runs r,
         unnest(array['prompt_generation', 'prompt_analysis', 'prompt_improvement', 'prompt_analysis'])
         with ordinality p (phase, place)
"""
ENTRIES = """
    insert into public.cost_entries (id, account_id, seq, profile_id, profile_name, request_id, service, operation,
                                     model, category, units, unit_prices, cost_usd, occurred_at, settled_at,
                                     booked_on, run_id, step_id)
    select s.id, s.account_id, row_number() over (), s.profile_id, 'Quay', gen_random_uuid(), 'gemini', s.phase,
           s.model, 'text', '{"input_tokens": 3000, "output_tokens": 2500}', '{}', 0.01, s.ended_at, s.ended_at,
           s.ended_at::date, s.run_id, s.id
    from public.pipeline_steps s
"""


def run(full: bool) -> None:
    with fresh_server() as server:
        print("\nScripts: a step of a run, beside a bare call of the SDK (the vendor is a fake that answers at once)")
        overhead(server, rounds=30 if full else 8)
        print(f"\nRuns: a store with {SMALL:,} and with {LARGE:,} of them")
        with ExitStack() as stack:
            worlds = [stack.enter_context(fresh_world(server, f"runs_{size}")) for size in (SMALL, LARGE)]
            small, large = (load(world, size) for world, size in zip(worlds, (SMALL, LARGE), strict=True))
            compare(small, large, rounds=30 if full else 10)


# Overhead -------------------------------------------------------------------------------------------------------------


def overhead(server: Server, rounds: int) -> None:
    with fresh_world(server, "newsroom") as world, short_folder() as data, FakeGemini() as fake:
        room = Newsroom.open(world, server, Folder(data / "media"), fake, quota="1000")
        access = for_store(world.as_worker(), room.options, room.account, room.store)
        order = phases.generation(BRIEFING, assistant_of(room))
        client = genai.Client(api_key=fake.key, http_options=types.HttpOptions(base_url=fake.url, api_version="v1"))
        asked = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Draft,
                                            system_instruction=order.system)  # fmt: skip

        def bare() -> None:
            fake.say(draft())
            client.models.generate_content(model=MODEL, contents=order.prompt, config=asked)

        def adapter() -> None:
            fake.say(draft())
            access.writer.write(order)

        def whole() -> None:
            fake.say(*story())
            room.order(briefing=f"{BRIEFING} {uuid4().hex}")
            assert room.work()["status"] == "completed"

        times = in_turns({"bare": bare, "adapter": adapter, "whole": whole}, rounds=rounds, warm_up=2)
    show_times("the SDK's call, bare", times["bare"])
    show_times("the adapter's call (a connection of its own, guarded)", times["adapter"])
    show_times(f"a run of {STEPS} steps, from its order to its version", times["whole"])
    of_steps = Spread(tuple(seconds * STEPS for seconds in times["bare"].values))
    show_ratio(f"a run ÷ {STEPS} bare calls", ratio(times["whole"], of_steps))


def assistant_of(room: Newsroom) -> phases.Assistant:
    row = room.world.rows("select * from public.assistants where id = %s", room.assistant)[0]
    return phases.Assistant.model_validate({name: row[name] for name in phases.Assistant.model_fields})


# Lists ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    world: World
    account: UUID
    store: UUID
    second: UUID  # assistant
    person: UUID
    size: int

    def questions(self) -> dict[str, Callable[[], object]]:
        door = self.world.doors.person(self.person)
        ask = partial(runs.find, door, self.store)
        middle = self.middle()
        return {
            "first page": ask,
            "deep page": partial(ask, after=middle.key),
            "of an assistant": partial(ask, assistant_id=self.second),
            "failed": partial(ask, status="failed"),
            "one with its steps and costs": lambda: (
                runs.get(door, middle.id), runs.steps(door, middle.id), runs.breakdown(door, middle.id)
            ),
            "what each assistant cost": partial(of_assistants, door, self.account, self.store),
        }  # fmt: skip

    def middle(self) -> Listed:
        """A run with as many older as newer ones."""
        (row,) = self.world.rows(
            "select started_at from public.pipeline_runs order by started_at desc offset %s limit 1", self.size // 2
        )
        return runs.find(self.world.doors.person(self.person), self.store, limit=1, after=(row["started_at"], uuid4()))[
            0
        ]


def load(world: World, size: int) -> Desk:
    account = world.company()
    store = world.store(account)
    person = world.person(account, "manager", store)
    first, second = uuid4(), uuid4()
    world.execute("set session_replication_role = replica")  # sums of the ledger play no part here
    world.admin.execute(LOAD, {"account": account, "store": store, "first": first, "second": second, "count": size})
    world.execute(STEPS_OF_RUNS)
    world.execute(ENTRIES)
    world.execute("reset session_replication_role")
    world.execute("vacuum analyze")
    return Desk(world, account, store, second, person, size)


def compare(small: Desk, large: Desk, rounds: int) -> None:
    ways = {(what, desk.size): ask for desk in (small, large) for what, ask in desk.questions().items()}
    times = in_turns(ways, rounds=rounds, calls=5, warm_up=2)
    for (what, size), spread in times.items():
        show_times(f"{what}, {size:,} runs", spread)
    for what in small.questions():
        show_ratio(f"{what}, {LARGE:,} ÷ {SMALL:,}", ratio(times[what, LARGE], times[what, SMALL]))
