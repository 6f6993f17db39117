"""What the exact quota costs: hold and settle beside two bare durable commits, and many bids for one store."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from bench.measure import Spread, in_turns, ratio, show, show_ratio, show_times
from bench.place import fresh_world
from tests.builders import World, entry

ESTIMATE = Decimal("0.03")
CONNECTIONS = (1, 4, 8)
HOLD = "select public.hold_cost(%s, %s, %s, 'practice', null, %s)"
SETTLE = "select public.settle_cost(%s, %s)"
BARE = "insert into public.bench_bare values (%s, %s)"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class Shop:
    """A store under a limit that is never reached, and the person it works for."""

    world: World
    store: UUID
    person: UUID


def run(full: bool) -> None:
    print("\nMoney: hold + settle (2 durable commits) beside 2 bare durable one-row commits")
    with fresh_world() as world:
        shop = open_shop(world)
        hold_and_settle(shop, rounds=40 if full else 10)
        print(f"\nMoney: holds a second on one hot store, durable, {CONNECTIONS} connections")
        hot_store(shop, rounds=8 if full else 3)
        show("counters that differ from the ledger afterwards", len(world.money_differences()))


def open_shop(world: World) -> Shop:
    company = world.company(quota="50000000")
    store = world.store(company, quota="10000000")
    world.execute("create table public.bench_bare (id uuid, amount numeric(14,6))")
    world.execute("grant insert on public.bench_bare to service_role")
    return Shop(world, store, world.person(company, "manager", store))


@contextmanager
def plain_connection(world: World) -> Iterator[Connection]:
    """As the door's: the worker's login, autocommit, acting as service_role."""
    pool = world.doors.worker_pool
    assert pool is not None
    with psycopg.connect(pool.conninfo, autocommit=True) as connection:
        connection.execute("set role service_role")
        yield connection


def hold_and_settle(shop: Shop, rounds: int) -> None:
    with plain_connection(shop.world) as connection:
        ways = {
            "2 bare commits, plain SQL": lambda: twice(lambda: bare(connection)),
            "hold + settle, plain SQL": lambda: settle(connection, hold(connection, shop)),
            "2 bare commits, through the door": lambda: twice(lambda: bare_by_door(shop)),
            "hold + settle, through the door": lambda: settle_by_door(shop, hold_by_door(shop)),
        }
        times = in_turns(ways, rounds=rounds, calls=25, warm_up=3)
    for label, spread in times.items():
        show_times(label, spread)
    plain_floor, plain, door_floor, door = times.values()
    show_ratio("hold + settle ÷ 2 bare commits, plain SQL", ratio(plain, plain_floor), "≤ 2")
    show_ratio("hold + settle ÷ 2 bare commits, both through the door", ratio(door, door_floor), "≤ 2")
    show_ratio("hold + settle through the door ÷ 2 bare commits in SQL", ratio(door, plain_floor))


def twice(way: Callable[[], None]) -> None:
    way()
    way()


def bare(connection: Connection) -> None:
    connection.execute(BARE, (uuid4(), ESTIMATE))


def hold(connection: Connection, shop: Shop) -> UUID:
    request_id = uuid4()
    connection.execute(HOLD, (request_id, shop.store, ESTIMATE, shop.person))
    return request_id


def settle(connection: Connection, request_id: UUID) -> None:
    connection.execute(SETTLE, (request_id, Jsonb([entry()])))


def bare_by_door(shop: Shop) -> None:
    shop.world.doors.worker().insert("bench_bare", {"id": uuid4(), "amount": ESTIMATE})


def hold_by_door(shop: Shop) -> UUID:
    request_id = uuid4()
    shop.world.doors.worker().call(
        "hold_cost",
        p_request_id=request_id,
        p_profile_id=shop.store,
        p_estimate_usd=ESTIMATE,
        p_service="practice",
        p_user_id=shop.person,
    )
    return request_id


def settle_by_door(shop: Shop, request_id: UUID) -> None:
    shop.world.doors.worker().call("settle_cost", p_request_id=request_id, p_entries=[entry()])


def hot_store(shop: Shop, rounds: int) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(plain_connection(shop.world)) for _ in range(max(CONNECTIONS))]
        ways = {
            (what, count): lambda work=work, count=count: together(connections[:count], work)
            for what, work in (("bare commits", bare), ("holds", lambda c: hold(c, shop)))
            for count in CONNECTIONS
        }
        times = in_turns(ways, rounds=rounds)
    rates = {key: rate(spread, key[1]) for key, spread in times.items()}
    for (what, count), spread in rates.items():
        low, high = spread.middle_half
        show(f"{what} a second, {count} connections", f"{spread.median:,.0f}   ({low:,.0f} to {high:,.0f})")
    for count in CONNECTIONS[1:]:
        show_ratio(f"holds a second: {count} connections ÷ 1", ratio(rates["holds", count], rates["holds", 1]))


EACH = 100  # calls a connection and round


def together(connections: list[Connection], work: Callable[[Connection], object]) -> None:
    def one(connection: Connection) -> None:
        for _ in range(EACH):
            work(connection)

    with ThreadPoolExecutor(len(connections)) as threads:
        list(threads.map(one, connections))


def rate(seconds: Spread, connections: int) -> Spread:
    """Calls a second of all connections."""
    return Spread(tuple(EACH * connections / value for value in seconds.values))
