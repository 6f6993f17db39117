"""Booking many entries beside the least a database can do with them: COPY into a table without an index."""

from contextlib import closing
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from bench.measure import in_turns, ratio, show, show_ratio, show_times
from bench.place import fresh_server, fresh_world
from tests.builders import World, entry

ENTRIES = 2_000
PIECES = (1, 20, 500)  # entries of a settlement
COLUMNS = ("id", "account_id", "profile_id", "operation", "model", "category", "units", "cost_usd")


def run(full: bool) -> None:
    count = ENTRIES if full else ENTRIES // 4
    print(f"\nLedger: {count:,} entries through settle_cost beside COPY into a table without an index; all durable")
    with fresh_server() as server, fresh_world(server) as world:
        account = world.company(quota="50000000")
        store = world.store(account, quota="10000000")
        world.execute("create table public.bench_copy as select * from public.cost_entries")
        compare(world, account, store, count, rounds=5 if full else 3)
        show("counters that differ from the ledger afterwards", len(world.money_differences()))


def compare(world: World, account: UUID, store: UUID, count: int, rounds: int) -> None:
    with closing(psycopg.connect(world.admin.info.dsn, password=world.admin.info.password)) as connection:
        ways = {f"{piece} a settlement": partial(settle, world, store, count, piece) for piece in PIECES}
        times = in_turns({"copy": partial(copy, connection, account, store, count), **ways}, rounds=rounds)
    for way, spread in times.items():
        show_times(f"{count:,} entries, {way}", spread)
    for way in ways:
        show_ratio(f"{way} ÷ COPY", ratio(times[way], times["copy"]))


def settle(world: World, store: UUID, count: int, piece: int) -> None:
    """One hold; each settlement is a durable transaction."""
    worker, request_id = world.doors.worker(), uuid4()
    worker.call("hold_cost", p_request_id=request_id, p_profile_id=store, p_estimate_usd=Decimal(count),
                p_service="practice")  # fmt: skip
    for _ in range(count // piece):
        worker.call("settle_cost", p_request_id=request_id, p_entries=made(piece), p_final=False)
    worker.call("release_cost", p_request_id=request_id)


def copy(connection: psycopg.Connection[Any], account: UUID, store: UUID, count: int) -> None:
    with connection.cursor().copy(f"copy public.bench_copy ({', '.join(COLUMNS)}) from stdin") as target:
        for row in made(count):
            target.write_row((row["id"], account, store, row["operation"], row["model"], row["category"],
                              Jsonb(row["units"]), Decimal("0.03")))  # fmt: skip
    connection.commit()


def made(count: int) -> list[dict[str, Any]]:
    return [entry() for _ in range(count)]
