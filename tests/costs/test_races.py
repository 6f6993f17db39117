"""Many at once for little money: never a cent too much, never a bid refused that would fit, whoever is killed."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from services.errors import QuotaExceeded
from services.media.folder import Folder
from services.speech import reconcile
from tests import kill
from tests.builders import World, entry, speech
from tests.costs import bidder
from tests.costs.conftest import OpenTill
from tests.costs.till import Till, item

BIDS, COVERED = 64, 20
UNITS = Jsonb({"characters": 10})
full = pytest.mark.full
Connection = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def worker_url(world: World) -> str:
    assert world.doors.worker_pool
    return str(world.doors.worker_pool.conninfo)


def requests_of(count: int = BIDS) -> list[UUID]:
    return [uuid4() for _ in range(count)]


def assert_sold(till: Till, usd: str, settled: int, held: int) -> None:
    amount = Decimal(usd)
    assert till.counter() == till.company_counter() == (settled * amount, held * amount, 0)
    assert till.differences() == []


# Bids -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limited", ["store", "company", "both"])
def test_from_one_process_exactly_the_covered_bids_are_granted(
    open_till: OpenTill, worker_url: str, limited: str
) -> None:
    limits = {"store": {"quota": "20"}, "company": {"company": "20"}, "both": {"quota": "20", "company": "20"}}
    till = open_till(**limits[limited])
    with stampede(till, BIDS):
        granted = bidder.bid(worker_url, till.store, "1", requests_of(), BIDS)
    assert sorted(granted) == [False] * (BIDS - COVERED) + [True] * COVERED
    assert_sold(till, "1", 0, COVERED)


def test_two_stores_share_the_company_s_limit_to_the_cent(open_till: OpenTill, worker_url: str) -> None:
    first = open_till(company="20")
    second = first.beside()
    with stampede(first, BIDS), ThreadPoolExecutor(2) as stores:
        bids = [stores.submit(bidder.bid, worker_url, one.store, "1", requests_of(32), 32) for one in (first, second)]
    assert sum(sum(bid.result()) for bid in bids) == COVERED
    assert first.company_counter() == (0, COVERED, 0)
    assert first.differences() == []


@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=full)])
def test_from_four_processes_exactly_the_covered_bids_are_granted(
    open_till: OpenTill, worker_url: str, rounds: int
) -> None:
    for _ in range(rounds):
        till = open_till("20")
        with kill.plain_main(), stampede(till, BIDS), ProcessPoolExecutor(4, kill.FORKS) as pool:
            shares = [requests_of(BIDS // 4) for _ in range(4)]
            bids = [pool.submit(bidder.bid, worker_url, till.store, "1", share, BIDS // 4) for share in shares]
        assert sum(sum(bid.result()) for bid in bids) == COVERED
        assert_sold(till, "1", 0, COVERED)


@contextmanager
def stampede(till: Till, bidders: int) -> Iterator[None]:
    """Keep the company's month closed, as a rebuild does, until all bidders of the block stand before it."""
    waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"

    def keep_closed() -> None:
        with psycopg.connect(till.world.url) as gate:
            month = "private.month_of(private.utc_now())"
            gate.execute(f"select pg_advisory_xact_lock(private.month_key(%s, {month}))", (till.account,))
            closed.set()
            wait_until(lambda: till.world.value(waiting) >= bidders)

    closed = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        kept = thread.submit(keep_closed)
        assert closed.wait(10)
        yield
        kept.result(timeout=60)


# Kills ------------------------------------------------------------------------------------------------------


def storm(start: Callable[[], BaseProcess], crew: int, kills: int, pause: float) -> list[BaseProcess]:
    """Keep a crew at work and kill one of it at random, again and again; returns who is left at work."""
    workers = [start() for _ in range(crew)]
    wait = threading.Event().wait
    for _ in range(kills):
        wait(random.uniform(0, pause))
        victim = random.randrange(crew)
        workers[victim].kill()
        workers[victim].join(10)
        workers[victim] = start()
    return workers


def finish(workers: list[BaseProcess]) -> None:
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)


def started(target: Callable[..., None], *args: object) -> Callable[[], BaseProcess]:
    def start() -> BaseProcess:
        process = kill.FORKS.Process(target=target, args=args, daemon=True)
        with kill.plain_main():
            process.start()
        return process

    return start


@pytest.mark.parametrize("kills", [12, pytest.param(150, marks=full)])
def test_killed_traders_sell_nothing_twice_and_lose_nothing(open_till: OpenTill, worker_url: str, kills: int) -> None:
    till, requests = open_till("20"), requests_of()
    trader = started(bidder.trade, worker_url, till.store, "1", requests)
    finish(storm(trader, 3, kills, 0.06))
    assert_sold(till, "1", COVERED, 0)
    sold = [row["request_id"] for row in till.entries()]
    assert len(sold) == len(set(sold)) == COVERED
    assert set(sold) <= set(requests)


@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=full)])
def test_jobs_ordered_and_worked_by_killed_processes_end_with_their_money_right(
    open_till: OpenTill, worker_url: str, kills: int, tmp_path: Path
) -> None:
    till = open_till("0.60")
    world, person = till.world, till.world.person(till.account, "manager", till.store)
    texts = {name: f"{place:03d}".ljust(100, ".") for place, name in enumerate(requests_of())}  # three cents each
    clerk = started(bidder.enqueue, world.doors.app_pool.conninfo, person, till.store, texts)
    finish(storm(clerk, 2, kills // 2, 0.06))
    assert world.value("select count(*) from public.jobs where profile_id = %s", till.store) == COVERED
    assert_sold(till, "0.03", 0, COVERED)

    workers = storm(started(bidder.work, worker_url, 0.2), 2, kills, 0.06)
    open_jobs = "select count(*) from public.jobs where profile_id = %s and status in ('pending', 'running')"
    wait_until(lambda: world.value(open_jobs, till.store) == 0)
    for worker in workers:
        worker.kill()
        worker.join(10)
    find_out_about_the_lost(world, tmp_path)
    assert_ended_well(till)


def find_out_about_the_lost(world: World, folder: Path) -> None:
    """What a job holds whose third worker died in its call is given back when the answer's time is over."""
    world.execute("update public.purchases set deadline = now() - interval '1 hour' where state = 'sent'")
    world.job("reconcile")
    worker = world.as_worker()
    found = worker.call("claim_job", p_worker="hand", p_kinds=["reconcile"], p_lease_seconds=60)
    reconcile.reconcile(kill.Context(kill.Claimed.model_validate(found), worker, Folder(folder), kill.options()))


def assert_ended_well(till: Till) -> None:
    """Completed jobs are booked once and have their speech; failed ones hold nothing and keep what they bought."""
    ended = till.world.rows("select id, status from public.jobs where profile_id = %s order by id", till.store)
    completed = [row["id"] for row in ended if row["status"] == "completed"]
    assert {row["status"] for row in ended} <= {"completed", "failed"}
    purchases = "select id, job_id from public.purchases where profile_id = %s and state = 'settled' order by id"
    bought = till.world.rows(purchases, till.store)
    assert sorted((row["id"], row["job_id"]) for row in till.entries()) == [(p["id"], p["job_id"]) for p in bought]
    buyers = [purchase["job_id"] for purchase in bought]
    assert len(buyers) == len(set(buyers)), "a passage was bought twice"
    assert set(completed) <= set(buyers)
    speeches = "select job_id from public.speech_assets where profile_id = %s order by job_id"
    assert [row["job_id"] for row in till.world.rows(speeches, till.store)] == completed
    held = "select request_id from public.cost_holds where profile_id = %s and (held_usd > 0 or state = 'reserved')"
    assert till.world.rows(held, till.store) == []
    assert_sold(till, "0.03", len(bought), 0)


# Limits that change meanwhile -------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["store", "company"])
def test_a_hold_waits_for_a_change_of_quota_and_obeys_it(open_till: OpenTill, scope: str) -> None:
    till = open_till("10", company="10")
    till.hold("2")
    boss = till.world.person(till.account, "admin")
    values = (till.account, till.store if scope == "store" else None)
    with psycopg.connect(till.world.url) as changing, ThreadPoolExecutor(1) as thread:
        changing.execute("set local role authenticated")
        changing.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps({"sub": str(boss)}),))
        changing.execute("select public.set_quota(%s, %s, 3, 'Less')", values)
        held = thread.submit(till.ask, "2")
        wait_for_waiters(till.world, 1)
        changing.commit()
        with pytest.raises(QuotaExceeded) as caught:
            held.result(timeout=20)
    assert caught.value.refusal
    assert (caught.value.refusal.scope, caught.value.refusal.monthly_quota) == (scope, 3)


# Deadlocks --------------------------------------------------------------------------------------------------


@contextmanager
def plain(world: World) -> Iterator[Connection]:
    """A worker's connection that tries nothing again and finds deadlocks at once."""
    with psycopg.connect(world.url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("set deadlock_timeout = '20ms'; set lock_timeout = '10s'; set role service_role")
        yield connection


def settle(connection: Connection, request: UUID, entries: list[dict[str, Any]]) -> None:
    connection.execute("select public.settle_cost(%s, %s, false)", (request, Jsonb(entries)))


def test_opposite_batches_do_not_deadlock(open_till: OpenTill) -> None:
    till = open_till()
    rounds, meet = 25, threading.Barrier(2)

    def batch() -> list[dict[str, Any]]:
        return [item("0.01", operation=f"step {place}") for place in range(12)]

    def settle_batches(requests: list[UUID], reverse: bool) -> None:
        with plain(till.world) as connection:
            for request in requests:
                meet.wait(30)
                settle(connection, request, batch()[:: -1 if reverse else 1])

    with ThreadPoolExecutor(2) as threads:
        jobs = [
            threads.submit(settle_batches, [till.hold("1") for _ in range(rounds)], reverse)
            for reverse in (False, True)
        ]
        for job in jobs:
            job.result(timeout=60)
    assert till.counter()[0] == 2 * rounds * 12 * Decimal("0.01")
    assert till.differences() == []


def test_ending_a_job_of_many_holds_while_they_are_settled_does_not_deadlock(open_till: OpenTill) -> None:
    """The end waits for the company's counter with the first hold in hand; the settlement comes for the second."""
    till = open_till()
    person = till.world.person(till.account, "manager", till.store)
    order = uuid4()
    till.world.as_person(person).call("enqueue_speech", p_job_id=order, p_profile_id=till.store, p_speech=speech())
    holds = sorted([order, *(till.hold("1", p_job_id=order) for _ in range(4))])
    counter = "select from public.quota_counters where scope_id = %s for update"
    with plain(till.world) as settling, ThreadPoolExecutor(2) as threads:
        with psycopg.connect(till.world.url) as holder:
            holder.execute(counter, (till.account,))
            ending = threads.submit(till.world.as_person(person).call, "cancel_job", p_job_id=order)
            wait_for_waiters(till.world, 1)
            settled = threads.submit(settle, settling, holds[-1], [item("0.5")])
            wait_for_waiters(till.world, 2)
            holder.rollback()
        settled.result(timeout=20)
        assert ending.result(timeout=20) == "cancelled"
    assert till.counter()[:2] == (Decimal("0.5"), 0)
    assert till.differences() == []


def wait_for_waiters(world: World, count: int) -> None:
    """Until so many sessions of the database wait for a lock."""
    query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    wait_until(lambda: world.value(query) >= count)


def wait_until(happened: Callable[[], bool]) -> None:
    wait = threading.Event().wait
    for _ in range(3000):
        if happened():
            return
        wait(0.01)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("steps", [60, pytest.param(1000, marks=full)])
def test_no_two_ways_of_touching_money_wait_for_each_other(open_till: OpenTill, steps: int) -> None:
    """Random calls of every kind on three stores of one company, without the door's second tries."""
    till = open_till("40", "90")
    office = Office([till, till.beside("40"), till.beside("40")], till.world.person(till.account, "admin"))

    def run(seed: int) -> None:
        dice = random.Random(seed)
        with plain(till.world) as connection:
            for _ in range(steps):
                with refusals_allowed():
                    (office.worker_acts if dice.random() < 0.6 else office.boss_acts)(connection, dice)

    with ThreadPoolExecutor(5) as threads:
        for done in [threads.submit(run, seed) for seed in range(5)]:
            done.result(timeout=300)
    assert any(store.entries() for store in office.tills)
    assert till.differences() == []


@contextmanager
def refusals_allowed() -> Iterator[None]:
    """Our own refusals are answers; a deadlock, a lock time-out or a broken constraint is not."""
    try:
        yield
    except psycopg.Error as exc:
        if not str(exc.sqlstate).startswith("PT"):
            raise


class Office:
    """Does one random thing at a time to the money of its stores, over plain connections."""

    def __init__(self, tills: list[Till], boss: UUID) -> None:
        self.tills, self.boss = tills, boss
        self.holds = [till.hold("1") for till in tills]
        self.jobs = [uuid4()]

    def worker_acts(self, connection: Connection, dice: random.Random) -> None:
        till, name, request = dice.choice(self.tills), uuid4(), dice.choice(self.holds)
        entries = [entry(operation=dice.choice("abcdef"), units={"characters": 10}) for _ in range(4)]
        actions: list[tuple[str, tuple[Any, ...]]] = [
            ("select public.hold_cost(%s, %s, 1, 'practice')", (name, till.store)),
            ("select public.hold_step(%s, %s, 'practice', 'premium', %s)", (name, dice.choice(self.jobs), UNITS)),
            ("select public.settle_cost(%s, %s, %s)", (request, Jsonb(entries), dice.random() < 0.5)),
            ("select public.release_cost(%s)", (request,)),
            ("select public.rebuild_cost_rollups(%s, (now() at time zone 'UTC')::date)", (till.account,)),
            ("select public.claim_job('w', '{speech}', 0.01)", ()),
        ]
        statement, values = dice.choice(actions)
        connection.execute(statement, values)
        if name in values:  # only what was granted can be settled: else chance seldom settles anything
            self.holds.append(name)

    def boss_acts(self, connection: Connection, dice: random.Random) -> None:
        till, name, job = dice.choice(self.tills), uuid4(), dice.choice(self.jobs)
        order = Jsonb(speech(f"Line {dice.randrange(8)}"))
        actions: list[tuple[str, tuple[Any, ...]]] = [
            ("select public.set_quota(%s, %s, 40, 'x')", (till.account, till.store)),
            ("select public.set_quota(%s, null, 90, 'x')", (till.account,)),
            ("select public.enqueue_speech(%s, %s, %s)", (name, till.store, order)),
            ("select public.cancel_job(%s)", (job,)),
            ("select public.retry_job(%s)", (job,)),
        ]
        with connection.transaction():
            connection.execute("reset role; set local role authenticated")
            connection.execute(f'set local request.jwt.claims = \'{{"sub": "{self.boss}"}}\'')
            connection.execute(*dice.choice(actions))
        connection.execute("set role service_role")
        self.jobs.append(name)
