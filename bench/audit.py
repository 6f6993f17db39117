"""The Audit page's questions at a thousand and at a hundred thousand entries: filtered, deep and by words."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from bench.measure import in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world
from services import audit
from services.audit import SYSTEM, Entry, Wanted
from tests.builders import World

SMALL, LARGE = 1_000, 100_000  # entries
PAGE = 26  # a page and the one entry that tells whether more follow

# One of a hundred is a person's, one of fifty a quota, one of twenty a store's; the rest are sign-ins of System.
LOAD = """
    insert into public.audit_log (account_id, at, person_id, person_name, address, action, profile_id, subject, reason,
                                  before, after)
    select %(account)s, now() - n * interval '1 minute',
           case when n %% 100 = 0 then %(person)s::uuid end, case when n %% 100 = 0 then 'Ada' else 'System' end,
           '203.0.113.' || n %% 250, case when n %% 50 = 0 then 'quota_changed' else 'signed_in' end,
           case when n %% 20 = 0 then %(store)s::uuid end, 'subject ' || n, 'reason ' || n %% 97,
           '{"monthly_quota_usd": "5.00"}', jsonb_build_object('monthly_quota_usd', n::text)
    from generate_series(1, %(count)s) n
"""


@dataclass(frozen=True)
class Log:
    world: World
    account: UUID
    store: UUID
    person: UUID
    rows: int

    def read(self, after: Entry | None = None, **wanted: Any) -> list[Entry]:
        key = after.key if after else None
        database = self.world.doors.person(self.person)
        return audit.page(database, self.account, Wanted(timezone="UTC", **wanted), limit=PAGE, after=key)

    def middle(self) -> Entry:
        """An entry with as many older as newer ones."""
        now = self.world.value("select now()")
        return self.read(last_day=(now - timedelta(minutes=self.rows // 2)).date())[-1]


def run(full: bool) -> None:
    print(f"\nAudit: a log of {SMALL:,} and of {LARGE:,} entries")
    with fresh_server() as server, ExitStack() as stack:
        worlds = [stack.enter_context(fresh_world(server, f"log_{rows}")) for rows in (SMALL, LARGE)]
        small, large = (load(world, rows) for world, rows in zip(worlds, (SMALL, LARGE), strict=True))
        compare(small, large, rounds=30 if full else 10)


def load(world: World, rows: int) -> Log:
    account = world.company()
    log = Log(world, account, world.store(account), world.person(account, "admin", name="Ada"), rows)
    ids = {"account": account, "store": log.store, "person": log.person, "count": rows}
    world.admin.execute(LOAD, ids)
    world.execute("vacuum analyze")
    return log


def questions(log: Log) -> dict[str, Callable[[], object]]:
    middle = log.middle()
    oldest = log.world.value("select min(at) from public.audit_log").date()
    return {
        "first page": log.read,
        "deep page": partial(log.read, middle),
        "by person": partial(log.read, person_id=log.person),
        "by System": partial(log.read, person_id=SYSTEM),
        "by action": partial(log.read, action="quota_changed"),
        "by store": partial(log.read, profile_id=log.store),
        "the oldest day": partial(log.read, last_day=oldest),
        "a rare word": partial(log.read, text=f"subject {log.rows - 1}"),
        "a common word": partial(log.read, text="system"),
        "person, action, store and day": partial(
            log.read, person_id=log.person, action="quota_changed", profile_id=log.store, first_day=oldest
        ),
        "choices": partial(audit.choices, log.world.doors.person(log.person), log.account),
    }


def compare(small: Log, large: Log, rounds: int) -> None:
    ways = {(what, log.rows): ask for log in (small, large) for what, ask in questions(log).items()}
    times = in_turns(ways, rounds=rounds, calls=5, warm_up=2)
    for (what, rows), spread in times.items():
        show_times(f"{what}, {rows:,} entries", spread)
    for what in questions(small):
        grown = ratio(times[what, large.rows], times[what, small.rows])
        show_ratio(f"{what}: {large.rows:,} ÷ {small.rows:,} entries", grown, "≤ 1.5")
