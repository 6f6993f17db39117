"""The Costs page's data: 200 stores, a small ledger beside a large one, and what a settlement pays for the sums."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

from bench.measure import duration, in_turns, ratio, show, show_ratio, show_times, timed
from bench.place import fresh_server, fresh_world
from services.costs.desk import Desk, Line, PersonLine, StoreLine
from tests.builders import World

SMALL, SMALL_IN_SMALL = 50_000, 20_000  # ledger rows
LARGE, LARGE_IN_SMALL = 5_000_000, 500_000
STORES, PEOPLE, MONTHS = 200, 300, 12
ENTRIES_A_CLIP = 10
PIECE = 500_000  # rows of one insert

# A store's work is done by one of its people (or by nobody, one in ten); each clip belongs to one store and month.
LOAD = """
    insert into public.cost_entries (id, account_id, seq, request_id, profile_id, profile_name, user_id, user_name,
        project_id, clip_id, service, operation, model, category, units, unit_prices, cost_usd, occurred_at, booked_on,
        settled_at)
    select lpad(to_hex(n), 32, '0')::uuid, %(account)s, n, lpad(to_hex(n), 32, 'a')::uuid,
           (%(stores)s::uuid[])[1 + c.place %% %(many)s], 'Store',
           case when n %% 10 > 0 then (%(people)s::uuid[])[1 + (c.place + n %% 2 * 200) %% 300] end, 'Person',
           lpad(to_hex(1 + c.place / 20), 32, 'b')::uuid, lpad(to_hex(c.place), 32, 'c')::uuid,
           (array['practice', 'elevenlabs', 'gemini'])[1 + n %% 3], (array['tts', 'analyse'])[1 + n %% 2],
           (array['premium', 'flash'])[1 + n / 3 %% 2], (array['speech', 'text'])[1 + n %% 2], '{"characters": 100}',
           '{"characters": {"usd": "0.30", "per_units": 1000}}', 0.03 + n %% 7 * 0.001, b.day + interval '1 hour',
           b.day, now()
    from generate_series(%(first)s::bigint, %(last)s::bigint) n
    cross join lateral (select (n / %(clip)s)::integer as place) c
    cross join lateral (select %(from_day)s::date + (n * %(days)s / (%(count)s::bigint + 1))::integer as day) b
"""


@dataclass(frozen=True)
class Ledger:
    world: World
    account: UUID
    stores: list[UUID]
    admin: UUID
    manager: UUID  # of three stores
    rows: int

    def desk(self, first: date, last: date, store: UUID | None = None, manager: bool = False) -> object:
        door = self.world.doors.person(self.manager if manager else self.admin)
        return door.call("costs_desk", p_account_id=self.account, p_profile_id=store, p_from=first, p_to=last)

    def entries(self, first: date, last: date, **filters: str) -> object:
        return self.world.doors.person(self.admin).call(
            "cost_entries_page", p_account_id=self.account, p_profile_id=None, p_from=first, p_to=last,
            p_filters=filters,
        )  # fmt: skip


def run(full: bool) -> None:
    sizes = (SMALL, LARGE) if full else (SMALL_IN_SMALL, LARGE_IN_SMALL)
    print(f"\nCosts: {STORES} stores with a ledger of {sizes[0]:,} and of {sizes[1]:,} rows")
    with fresh_server() as server, ExitStack() as stack:
        small, large = (load(stack.enter_context(fresh_world(server, f"costs_{rows}")), rows) for rows in sizes)
        for ledger in (small, large):
            show(f"{ledger.rows:,} rows: sums that differ from a plain one", differing(ledger))
        compare(small, large, rounds=15 if full else 5)


def load(world: World, rows: int) -> Ledger:
    account = world.company(quota="50000000")
    stores = [world.store(account, f"Store {n}", quota="100000") for n in range(STORES)]
    people = [world.person(account, "manager", name=f"Person {n}") for n in range(PEOPLE)]
    manager = world.person(account, "manager", *stores[:3])
    ledger = Ledger(world, account, stores, world.person(account, "admin"), manager, rows)
    show(f"{rows:,} rows: loading", duration(timed(partial(fill, ledger, people))))
    show(f"{rows:,} rows: rebuilding {MONTHS} months", duration(timed(partial(rebuild, ledger))))
    world.execute("vacuum analyze")
    return ledger


def fill(ledger: Ledger, people: list[UUID]) -> None:
    first, last = year()
    values = {
        "account": ledger.account, "stores": ledger.stores, "people": people, "many": STORES, "clip": ENTRIES_A_CLIP,
        "from_day": first, "days": (last - first).days + 1, "count": ledger.rows,
    }  # fmt: skip
    for begins in range(1, ledger.rows + 1, PIECE):
        piece = {"first": begins, "last": min(begins + PIECE - 1, ledger.rows)}
        ledger.world.admin.execute(LOAD, {**values, **piece})
    ledger.world.execute(
        "insert into private.ledger_counters (account_id, last_seq) values (%s, %s)", ledger.account, ledger.rows
    )
    ledger.world.execute("vacuum analyze public.cost_entries")


def year() -> tuple[date, date]:
    """From the first day of the month eleven months ago to today."""
    today = datetime.now(UTC).date()
    month = today.year * 12 + today.month - MONTHS
    return date(month // 12, month % 12 + 1, 1), today


def rebuild(ledger: Ledger) -> None:
    first, _ = year()
    for n in range(MONTHS):
        month = first.month - 1 + n
        ledger.world.execute(
            "select public.rebuild_cost_rollups(%s, %s)",
            ledger.account,
            date(first.year + month // 12, month % 12 + 1, 1),
        )


def differing(ledger: Ledger) -> int:
    """How many of the page's sums over a year are not, to the sixth decimal, what adding all entries up gives."""
    first, last = year()
    desk = Desk.model_validate(ledger.desk(first, last))
    cuts: dict[str, Sequence[Line | StoreLine | PersonLine]] = {
        "service": desk.cuts["service"], "operation": desk.cuts["operation"], "category": desk.cuts["category"],
        "profile_id": desk.stores, "user_id": desk.people,
    }  # fmt: skip
    wrong = int(desk.total != ledger.world.value("select sum(cost_usd) from public.cost_entries"))
    for column, lines in cuts.items():
        rows = ledger.world.rows(f"select {column} as key, sum(cost_usd) as usd from public.cost_entries group by 1")
        plain = {row["key"]: row["usd"] for row in rows}
        wrong += sum(plain.get(line.key) != line.usd for line in lines) + abs(len(plain) - len(lines))
    return wrong


def ways() -> dict[str, Callable[[Ledger], object]]:
    first, today = year()
    month, week = today.replace(day=1), today - timedelta(days=6)
    return {
        "all stores, this month": lambda ledger: ledger.desk(month, today),
        "all stores, 12 months": lambda ledger: ledger.desk(first, today),
        "all stores, 7 days": lambda ledger: ledger.desk(week, today),
        "one store, 12 months": lambda ledger: ledger.desk(first, today, ledger.stores[7]),
        "a manager's three stores, 12 months": lambda ledger: ledger.desk(first, today, manager=True),
        "entries, all": lambda ledger: ledger.entries(first, today),
        "entries of a model": lambda ledger: ledger.entries(first, today, service="gemini", model="flash"),
    }


def compare(small: Ledger, large: Ledger, rounds: int) -> None:
    calls = ways()
    asked = {(what, ledger.rows): partial(call, ledger) for what, call in calls.items() for ledger in (small, large)}
    times = in_turns(asked, rounds=rounds, calls=3, warm_up=2)
    for (what, rows), spread in times.items():
        show_times(f"{what}, {rows:,} rows", spread)
    for what in calls:
        grown = ratio(times[what, large.rows], times[what, small.rows])
        show_ratio(f"{what}: {large.rows:,} ÷ {small.rows:,} rows", grown, "≤ 1.3")
