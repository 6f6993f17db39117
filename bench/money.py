"""What the exact quota costs: hold and settle beside two bare durable commits, and many bids for one store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from bench.measure import Spread, in_turns, ratio, show, show_ratio, show_times
from bench.place import fresh_server, fresh_world
from services.database.postgres import CLAIMS, LOCK_TIMEOUT, STATEMENT_TIMEOUT
from tests.builders import World, entry

ESTIMATE = Decimal("0.03")
CONNECTIONS = (1, 4, 8)
EACH = 100  # calls of a connection in a round of the hot store
BARE = "insert into public.bench_bare values (%s, %s)"
HOLD = "select public.hold_cost(%s, %s, %s, 'practice', null, %s)"
SETTLE = "select public.settle_cost(%s, %s)"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Shop:
    """A store under a limit that is never reached, and the person it works for."""

    world: World
    store: UUID
    person: UUID


class Till(Protocol):
    """One way to reach the database: each call is one durable transaction."""

    def bare(self) -> None: ...

    def hold(self) -> UUID: ...

    def settle(self, request_id: UUID) -> None: ...


@dataclass(frozen=True)
class PlainTill:
    """SQL on one connection of the worker's login; `claims` sends with each statement what the door sends."""

    shop: Shop
    connection: Connection
    claims: bool

    def bare(self) -> None:
        self._run(BARE, uuid4(), ESTIMATE)

    def hold(self) -> UUID:
        request_id = uuid4()
        self._run(HOLD, request_id, self.shop.store, ESTIMATE, self.shop.person)
        return request_id

    def settle(self, request_id: UUID) -> None:
        self._run(SETTLE, request_id, Jsonb([entry()]))

    def _run(self, query: str, *values: object) -> None:
        if not self.claims:
            self.connection.execute(query, values)
            return
        role = "service_role"
        settings = (role, f'{{"role": "{role}"}}', "", STATEMENT_TIMEOUT[role], LOCK_TIMEOUT, "off")
        with self.connection.pipeline():
            self.connection.execute(CLAIMS, settings)
            self.connection.execute(query, values)


@dataclass(frozen=True)
class DoorTill:
    """The product's own door."""

    shop: Shop

    def bare(self) -> None:
        self.shop.world.doors.worker().insert("bench_bare", {"id": uuid4(), "amount": ESTIMATE})

    def hold(self) -> UUID:
        request_id = uuid4()
        self.shop.world.doors.worker().call(
            "hold_cost",
            p_request_id=request_id,
            p_profile_id=self.shop.store,
            p_estimate_usd=ESTIMATE,
            p_service="practice",
            p_user_id=self.shop.person,
        )
        return request_id

    def settle(self, request_id: UUID) -> None:
        self.shop.world.doors.worker().call("settle_cost", p_request_id=request_id, p_entries=[entry()])


def run(full: bool) -> None:
    with fresh_server() as server, fresh_world(server) as world:
        shop = open_shop(world)
        print("\nMoney: hold + settle beside 2 bare commits of one row into a table without index; all durable")
        hold_and_settle(shop, rounds=40 if full else 10)
        print("\nMoney: many bids for one store at once; all durable")
        hot_store(shop, rounds=8 if full else 3)
        show("counters that differ from the ledger afterwards", len(world.money_differences()))


def open_shop(world: World) -> Shop:
    company = world.company(quota="50000000")
    store = world.store(company, quota="10000000")
    world.execute("create table public.bench_bare (id uuid, amount numeric(14,6))")
    world.execute("grant insert on public.bench_bare to service_role")
    return Shop(world, store, world.person(company, "manager", store))


@contextmanager
def worker_connection(world: World) -> Iterator[Connection]:
    assert world.doors.worker_pool is not None
    with psycopg.connect(world.doors.worker_pool.conninfo, autocommit=True) as connection:
        yield connection


def hold_and_settle(shop: Shop, rounds: int) -> None:
    with worker_connection(shop.world) as with_claims, worker_connection(shop.world) as without:
        without.execute("set role service_role")
        tills: dict[str, Till] = {
            "plain SQL": PlainTill(shop, without, claims=False),
            "SQL with the door's claims": PlainTill(shop, with_claims, claims=True),
            "through the door": DoorTill(shop),
        }
        ways = {(what, name): partial(way, till) for name, till in tills.items() for what, way in WAYS.items()}
        times = in_turns(ways, rounds=rounds, calls=25, warm_up=3)
    for (what, name), spread in times.items():
        show_times(f"{what}, {name}", spread)
    for name in tills:
        show_ratio(f"hold + settle ÷ 2 bare commits, {name}", ratio(times[PAID, name], times[FLOOR, name]), "≤ 2")


def two_bare(till: Till) -> None:
    till.bare()
    till.bare()


def hold_then_settle(till: Till) -> None:
    till.settle(till.hold())


FLOOR, PAID = "2 bare commits", "hold + settle"
WAYS: dict[str, Callable[[Till], None]] = {FLOOR: two_bare, PAID: hold_then_settle}


def hot_store(shop: Shop, rounds: int) -> None:
    works: dict[str, Callable[[Till], object]] = {"bare commits": lambda t: t.bare(), "holds": lambda t: t.hold()}
    with ExitStack() as stack:
        connections = [stack.enter_context(worker_connection(shop.world)) for _ in range(max(CONNECTIONS))]
        tills = [PlainTill(shop, connection, claims=True) for connection in connections]
        ways = {
            (what, count): partial(together, tills[:count], work)
            for what, work in works.items()
            for count in CONNECTIONS
        }
        times = in_turns(ways, rounds=rounds)
    rates = {(what, count): rate(spread, count) for (what, count), spread in times.items()}
    for (what, count), spread in rates.items():
        low, high = spread.middle_half
        show(f"{what} a second, {count} connections", f"{spread.median:,.0f}   ({low:,.0f} to {high:,.0f})")
    for count in CONNECTIONS:
        show_ratio(f"holds ÷ bare commits a second, {count} connections",
                   ratio(rates["holds", count], rates["bare commits", count]))  # fmt: skip


def together(tills: list[PlainTill], work: Callable[[Till], object]) -> None:
    def one(till: PlainTill) -> None:
        for _ in range(EACH):
            work(till)

    with ThreadPoolExecutor(len(tills)) as threads:
        list(threads.map(one, tills))


def rate(seconds: Spread, connections: int) -> Spread:
    """Calls a second of all connections."""
    return Spread(tuple(EACH * connections / value for value in seconds.values))
