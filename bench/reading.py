"""Reading costs the same however long the ledger grows: two ledgers side by side, and the naive sum beside both."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from uuid import UUID, uuid4

import psycopg

from bench.measure import duration, in_turns, ratio, show, show_ratio, show_times, timed
from bench.place import fresh_server, fresh_world
from tests.builders import World, entry, speech

SMALL = 10_000  # ledger rows; a fifth of them in this month, the rest in the eleven months before
LARGE, LARGE_IN_SMALL = 5_000_000, 500_000
MONTHS = 12

# Entries as settle_cost writes them, in the order of their days; ids in order, too, which loads faster.
LOAD = """
    insert into public.cost_entries (id, account_id, seq, request_id, profile_id, profile_name, user_id, user_name,
        service, operation, model, category, units, unit_prices, cost_usd, occurred_at, booked_on, settled_at)
    select lpad(to_hex(n), 32, '0')::uuid, %(account)s, n, lpad(to_hex(n), 32, 'a')::uuid, %(store)s, 'Quay',
           %(person)s, 'Manager', (array['practice', 'elevenlabs', 'gemini', 'hibari'])[1 + n %% 4], 'tts',
           (array['premium', 'flash'])[1 + n %% 2], 'speech', '{"characters": 100}',
           '{"characters": {"usd": "0.30", "per_units": 1000}}', 0.03, b.day + interval '1 hour', b.day, now()
    from generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s::bigint - 1) n
    cross join lateral (select %(from_day)s::date + ((n - %(first)s::bigint) * %(days)s / %(count)s)::integer as day) b
"""
CLIPS = """
    insert into public.clips (id, account_id, profile_id, project_id, name, final_status, created_at)
    select gen_random_uuid(), %s, %s, %s, 'Clip ' || n, 'completed', now() - n * interval '3 hours'
    from generate_series(1, 300) n
"""


@dataclass(frozen=True)
class Ledger:
    world: World
    store: UUID
    person: UUID
    rows: int

    @property
    def label(self) -> str:
        return f"{self.rows:,} rows"

    def ask(self, function: str, **params: object) -> object:
        return self.world.doors.person(self.person).call(function, p_profile_id=self.store, **params)


def run(full: bool) -> None:
    sizes = (SMALL, LARGE if full else LARGE_IN_SMALL)
    print(f"\nReading: one store with a ledger of {sizes[0]:,} and of {sizes[1]:,} rows")
    with fresh_server() as server, ExitStack() as stack:
        worlds = [stack.enter_context(fresh_world(server, f"rows_{rows}")) for rows in sizes]
        small, large = (load(world, rows) for world, rows in zip(worlds, sizes, strict=True))
        compare(small, large, rounds=30 if full else 10)
        beside_naive(large, rounds=5 if full else 3)


def load(world: World, rows: int) -> Ledger:
    company = world.company(quota="50000000")
    store = world.store(company, quota="10000000")
    person = world.person(company, "manager", store)
    ledger = Ledger(world, store, person, rows)
    show(f"{ledger.label}: loading", duration(timed(partial(fill, ledger, company))))
    show(f"{ledger.label}: rebuilding the sums of {MONTHS} months", duration(timed(partial(rebuild, ledger, company))))
    return ledger


def fill(ledger: Ledger, company: UUID) -> None:
    world, rows = ledger.world, ledger.rows
    this_month = world.value("select date_trunc('month', now() at time zone 'UTC')::date")
    today = world.value("select (now() at time zone 'UTC')::date")
    start = world.value("select (%s::date - interval '11 months')::date", this_month)
    ids = {"account": company, "store": ledger.store, "person": ledger.person}
    before = rows * 4 // 5
    old = {"first": 1, "count": before, "from_day": start, "days": (this_month - start).days}
    new = {"first": before + 1, "count": rows - before, "from_day": this_month, "days": (today - this_month).days + 1}
    for part in (old, new):
        world.admin.execute(LOAD, {**ids, **part})
    world.execute("insert into private.ledger_counters (account_id, last_seq) values (%s, %s)", company, rows)
    world.execute(CLIPS, company, ledger.store, world.project(ledger.store))
    world.execute("vacuum analyze")


def rebuild(ledger: Ledger, company: UUID) -> None:
    ledger.world.execute(
        "select public.rebuild_cost_rollups(%s, (now() at time zone 'UTC' - n * interval '1 month')::date)"
        " from generate_series(0, %s) n", company, MONTHS - 1,
    )  # fmt: skip


READS: dict[str, Callable[[Ledger], object]] = {
    "quota check (speech_quote)": lambda ledger: ledger.ask("speech_quote", p_speech=speech()),
    "profile_dashboard, 30 days": lambda ledger: ledger.ask("profile_dashboard", p_range="30d"),
    "profile_dashboard, all": lambda ledger: ledger.ask("profile_dashboard", p_range="all"),
}


def compare(small: Ledger, large: Ledger, rounds: int) -> None:
    calls = {**READS, "hold + settle": hold_and_settle}
    ways = {(what, ledger.rows): partial(call, ledger) for what, call in calls.items() for ledger in (small, large)}
    times = in_turns(ways, rounds=rounds, calls=10, warm_up=2)
    for (what, rows), spread in times.items():
        show_times(f"{what}, {rows:,} rows", spread)
    for what in calls:
        grown = ratio(times[what, large.rows], times[what, small.rows])
        show_ratio(f"{what}: {large.rows:,} ÷ {small.rows:,} rows", grown, "≤ 1.2")


def hold_and_settle(ledger: Ledger) -> None:
    request_id = uuid4()
    worker = ledger.world.doors.worker()
    worker.call("hold_cost", p_request_id=request_id, p_profile_id=ledger.store,
                p_estimate_usd=Decimal("0.03"), p_service="practice", p_user_id=ledger.person)  # fmt: skip
    worker.call("settle_cost", p_request_id=request_id, p_entries=[entry()])


def beside_naive(ledger: Ledger, rounds: int) -> None:
    ways = {**{what: partial(call, ledger) for what, call in READS.items()}, "naive": partial(add_in_python, ledger)}
    times = in_turns(ways, rounds=rounds)
    in_month = ledger.world.value(MONTHS_ROWS.format("count(*)"), ledger.store)
    show_times(f"fetching {in_month:,} rows of the month, adding in Python", times["naive"])
    for what in READS:
        show_ratio(f"fetching and adding ÷ {what}", ratio(times["naive"], times[what]), "≥ 500 at 1 million")


MONTHS_ROWS = (
    "select {} from public.cost_entries"
    " where profile_id = %s and booked_on >= date_trunc('month', now() at time zone 'UTC')::date"
)


def add_in_python(ledger: Ledger) -> Decimal:
    """On a plain connection: the door's row cap would take a round trip for each thousand rows."""
    with psycopg.connect(ledger.world.url) as connection:
        rows = connection.execute(MONTHS_ROWS.format("cost_usd"), (ledger.store,)).fetchall()
    return sum((usd for (usd,) in rows), Decimal(0))
