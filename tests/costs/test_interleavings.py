"""Random interleavings over month edges: sums equal the ledger, and nobody gets a cent past the limit in force."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from services.errors import QuotaExceeded
from tests.builders import World
from tests.costs.till import Till, item

# What the clock may show: the last and first instants of months, a leap day, a year's end.
EDGES = [
    datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2027, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC),
    datetime(2028, 2, 29, 12, tzinfo=UTC), datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2028, 3, 1, tzinfo=UTC),
]  # fmt: skip
CENT = Decimal("0.01")
AMOUNTS = st.one_of(st.integers(0, 600), st.sampled_from([1, 499, 500, 501])).map(lambda cents: cents * CENT)
QUOTAS = st.sampled_from([Decimal(0), Decimal("2.5"), Decimal(5), Decimal(9)])
BOUNDED = settings(deadline=None, suppress_health_check=list(HealthCheck))


def month_of(instant: datetime) -> date:
    return instant.date().replace(day=1)


@dataclass
class Held:
    """A hold as the model knows it."""

    till: Till
    occurred: datetime
    rest: Decimal
    booked: Decimal = Decimal(0)
    bought: list[dict[str, Any]] = field(default_factory=list)

    @property
    def month(self) -> date:
        return month_of(self.occurred)


class Sum:
    """Settled, held and overrun dollars of a store or company in a month."""

    def __init__(self) -> None:
        self.settled = self.held = self.overrun = Decimal(0)

    def covers(self, estimate: Decimal, limit: Decimal) -> bool:
        return limit == 0 or (self.settled + self.held + estimate <= limit and self.settled < limit)


class Interleaving(RuleBasedStateMachine):
    """Two stores of one company beside a model in Python that says what every answer must be."""

    world: World
    requests: Bundle[UUID] = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        first = Till.opened(self.world, "5", company="8")
        self.tills = [first, first.beside("5")]
        self.limits = {self.tills[0].store: Decimal(5), self.tills[1].store: Decimal(5), first.account: Decimal(8)}
        self.sums: dict[tuple[UUID, date], Sum] = defaultdict(Sum)
        self.holds: dict[UUID, Held] = {}
        self.now = EDGES[0]
        self.world.set_clock(self.now)

    def teardown(self) -> None:
        self.world.set_clock(None)

    @rule(instant=st.sampled_from(EDGES))
    def moves_the_clock(self, instant: datetime) -> None:
        self.now = instant
        self.world.set_clock(instant)

    @rule(usd=QUOTAS, scope=st.integers(0, 2))
    def changes_a_limit(self, usd: Decimal, scope: int) -> None:
        table = "accounts" if scope == 2 else "profiles"
        key = self.tills[0].account if scope == 2 else self.tills[scope].store
        self.world.execute(f"update public.{table} set monthly_quota_usd = %s where id = %s", usd, key)
        self.limits[key] = usd

    def both(self, till: Till, month: date) -> list[tuple[UUID, Sum]]:
        return [(scope, self.sums[scope, month]) for scope in (till.store, till.account)]

    @rule(target=requests, usd=AMOUNTS, store=st.integers(0, 1))
    def holds_money(self, usd: Decimal, store: int) -> UUID:
        till, request = self.tills[store], uuid4()
        sums = self.both(till, month_of(self.now))
        expected = all(one.covers(usd, self.limits[scope]) for scope, one in sums)
        try:
            left = till.ask(usd, request)
        except QuotaExceeded:
            assert not expected, "refused though it fits"
            return request
        assert expected, "granted though it does not fit"
        for _, one in sums:
            one.held += usd
        limited = [self.limits[scope] - one.settled - one.held for scope, one in sums if self.limits[scope]]
        assert left == min(limited, default=None)
        self.holds[request] = Held(till, self.now, usd)
        return request

    @rule(request=requests, usd=AMOUNTS, final=st.booleans(), again=st.booleans())
    def settles(self, request: UUID, usd: Decimal, final: bool, again: bool) -> None:
        if not (held := self.holds.get(request)):
            return
        bought = held.bought[-1] if again and held.bought else item(usd)
        new = Decimal(0) if bought in held.bought else usd
        assert held.till.settle(request, bought, final=final) == held.booked + new
        freed = held.rest if final else min(held.rest, new)
        for _, one in self.both(held.till, held.month):
            one.settled += new
            one.held -= freed
            one.overrun += max(Decimal(0), new - held.rest)
        held.rest -= freed
        held.booked += new
        held.bought.append(bought)

    @rule(request=requests)
    def releases(self, request: UUID) -> None:
        if not (held := self.holds.get(request)):
            return
        held.till.release(request)
        for _, one in self.both(held.till, held.month):
            one.held -= held.rest
        held.rest = Decimal(0)

    @rule()
    def rebuilds(self) -> None:
        rebuild(self.tills[0], self.now)

    @invariant()
    def counters_are_the_model_s(self) -> None:
        rows = self.world.rows("select * from public.quota_counters where account_id = %s", self.tills[0].account)
        stored = {(r["scope_id"], r["month"]): (r["settled_usd"], r["held_usd"], r["overrun_usd"]) for r in rows}
        for key, one in self.sums.items():
            assert stored.get(key, (0, 0, 0)) == (one.settled, one.held, one.overrun)

    @invariant()
    def sums_are_the_ledger_s(self) -> None:
        assert self.tills[0].differences() == []
        for till in self.tills:
            assert_within_limits(till)

    @invariant()
    def entries_lie_in_the_month_of_their_hold(self) -> None:
        for row in self.world.rows(
            "select request_id, booked_on, overrun_usd, cost_usd from public.cost_entries where account_id = %s",
            self.tills[0].account,
        ):
            assert row["booked_on"] == self.holds[row["request_id"]].occurred.date()
            assert 0 <= row["overrun_usd"] <= row["cost_usd"]


def test_every_answer_is_what_the_model_says(world: World) -> None:
    machine = type("InterleavingHere", (Interleaving,), {"world": world})
    run_state_machine_as_test(machine, settings=settings(BOUNDED, max_examples=40, stateful_step_count=30))


# All at the same time ---------------------------------------------------------------------------------------

Step = tuple[str, Decimal, int]
ACTIONS = ["hold", "hold", "hold", "settle", "part", "release", "rebuild", "limit", "clock"]
SCRIPTS = st.lists(
    st.lists(st.tuples(st.sampled_from(ACTIONS), AMOUNTS, st.integers(0, 8)), min_size=4, max_size=14),
    min_size=3,
    max_size=3,
)


# The pools' threads draw random waits meanwhile; Hypothesis would have that be ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_at_the_same_time_no_hold_passes_the_limit_in_force(world: World) -> None:
    @settings(BOUNDED, max_examples=25)
    @given(SCRIPTS)
    def run(scripts: list[list[Step]]) -> None:
        world.set_clock(EDGES[0])
        stage = Stage(world)
        with ThreadPoolExecutor(len(scripts)) as threads:
            for played in [threads.submit(stage.play, script) for script in scripts]:
                played.result(timeout=30)
        assert stage.tills[0].differences() == []
        for till in stage.tills:
            assert_within_limits(till)
        assert_within_company_limit(stage.tills[0], Decimal(8))

    run()


class Stage:
    """Two stores of one company on which several threads play scripts."""

    def __init__(self, world: World) -> None:
        first = Till.opened(world, "5", company="8")
        self.world, self.tills = world, [first, first.beside("5")]
        self.boss = world.person(first.account, "admin")
        self.requests = [till.hold("0.5") for till in self.tills]

    def play(self, script: list[Step]) -> None:
        for action, usd, place in script:
            try:
                getattr(self, action)(usd, place)
            except QuotaExceeded:
                continue

    def request(self, place: int) -> UUID:
        return self.requests[-1 - place % len(self.requests)]

    def hold(self, usd: Decimal, place: int) -> None:
        self.requests.append(self.tills[place % 2].hold(usd))

    def settle(self, usd: Decimal, place: int) -> None:
        self.tills[0].settle(self.request(place), item(usd))

    def part(self, usd: Decimal, place: int) -> None:
        self.tills[0].settle(self.request(place), item(usd), final=False)

    def release(self, _: Decimal, place: int) -> None:
        self.tills[0].release(self.request(place))

    def rebuild(self, _: Decimal, place: int) -> None:
        rebuild(self.tills[0], EDGES[place])

    def limit(self, _: Decimal, place: int) -> None:
        till, usd = self.tills[place % 2], [Decimal("2.5"), Decimal(5), Decimal(7)][place % 3]
        values = {"p_account_id": till.account, "p_profile_id": till.store, "p_quota_usd": usd, "p_reason": "x"}
        self.world.as_person(self.boss).call("set_quota", **values)

    def clock(self, _: Decimal, place: int) -> None:
        self.world.set_clock(EDGES[place % 2])


def rebuild(till: Till, instant: datetime) -> None:
    till.worker.call("rebuild_cost_rollups", p_account_id=till.account, p_month=instant.date())


def assert_within_limits(till: Till) -> None:
    """In each month settled + held is at most the highest limit under which a hold was granted, plus overruns."""
    over = till.world.rows(
        "select c.* from public.quota_counters c join lateral (select max(h.limit_usd) as usd,"
        "  bool_or(h.limit_usd is null) as unlimited from public.cost_holds h"
        "  where h.profile_id = c.scope_id and h.month = c.month) l on not l.unlimited"
        " where c.scope_id = %s and c.settled_usd + c.held_usd > l.usd + c.overrun_usd",
        till.store,
    )
    assert over == []


def assert_within_company_limit(till: Till, limit: Decimal) -> None:
    query = "select settled_usd + held_usd - overrun_usd as granted from public.quota_counters where scope_id = %s"
    assert all(row["granted"] <= limit for row in till.world.rows(query, till.account))
