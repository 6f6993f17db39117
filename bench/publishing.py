"""What the publisher adds to a bare upload and create; and the truth table at a thousand and at 100,000 posts."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench.measure import in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world, short_folder
from services.publishing import posts
from services.publishing.vendor import Entry
from tests.builders import World
from tests.publishing.press import MP4, Press, later, pressing
from tests.publishing.shop import Shop, ready_clip, shop

SMALL, LARGE = 1_000, 100_000  # publications of one store

# Three channels a bundle, one bundle an hour; of ten one failed, one is to come, one is unknown, seven are live.
LOAD = """
    with b as (
        insert into public.bundles (id, account_id, profile_id, clip_id, credential_id, wanted_at, created_at)
        select gen_random_uuid(), %(account)s, %(store)s, %(clip)s, %(credential)s, now() - n * interval '1 hour',
               now() - n * interval '1 hour'
        from generate_series(1, %(count)s / 3) n returning id, wanted_at, created_at)
    insert into public.publications (id, account_id, profile_id, bundle_id, clip_id, credential_id, channel, name,
                                     identifier, handle, caption, state, wanted_at, created_at)
    select gen_random_uuid(), %(account)s, %(store)s, b.id, %(clip)s, %(credential)s, c, 'Our ' || c, c, '@' || c,
           'Fresh bread at six.',
           case n %% 10 when 0 then 'failed' when 1 then 'unconfirmed' when 2 then 'scheduled' else 'published' end,
           b.wanted_at, b.created_at
    from (select b.*, row_number() over (order by wanted_at desc) as n from b) b,
         unnest(array['facebook', 'threads', 'linkedin']) c
"""


def run(full: bool) -> None:
    with fresh_server() as server:
        print("\nPublisher: a clip uploaded and handed over, beside the two bare calls (the vendor is a fake here)")
        with fresh_world(server, "press") as world, short_folder() as folder:
            overhead(world, folder, rounds=30 if full else 8)
        print(f"\nTruth table: a store with {SMALL:,} and with {LARGE:,} publications")
        with ExitStack() as stack:
            worlds = [stack.enter_context(fresh_world(server, f"posts_{rows}")) for rows in (SMALL, LARGE)]
            small, large = (load(world, rows) for world, rows in zip(worlds, (SMALL, LARGE), strict=True))
            compare(small, large, rounds=30 if full else 10)


# Overhead -------------------------------------------------------------------------------------------------------------


def overhead(world: World, folder: Path, rounds: int) -> None:
    with pressing(world, folder) as press:
        store = press.open(limit=100_000)
        ordered = ordered_posts(press, store)
        publisher = press.publisher()
        publisher.tick(press.now)

        def published() -> None:
            next(ordered)
            press.tick(publisher)

        ways: dict[str, Callable[[], object]] = {
            "upload + create, bare": partial(bare, press, store),
            "the publisher: claim, upload, look, hand over, note": published,
            "a tick with nothing due": partial(publisher.tick, press.now),
        }
        times = in_turns(ways, rounds=rounds, calls=3, warm_up=2)
    for label, spread in times.items():
        show_times(label, spread)
    show_ratio("the publisher ÷ bare", ratio(*list(times.values())[1::-1]))


def ordered_posts(press: Press, store: Shop) -> Iterator[None]:
    """Order one more post of a clip of its own at each step. Its rows are part of what is timed: two statements."""
    for number in itertools.count():
        store.clip = ready_clip(press.world, store.store)
        press.store_clip(store.clip)
        press.order(store, later(days=30, minutes=number))
        yield


def bare(press: Press, store: Shop) -> None:
    found = press.opened(store.credential)
    assert found
    client = press.client(found)
    media = client.upload(BytesIO(MP4), "clip.mp4")
    entries = [Entry(c, c.split("-")[0], "Fresh bread at six.", [media], {}, uuid4()) for c in store.channels]
    client.create(later(days=90), entries)


# Truth table ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    store: Shop
    rows: int

    def read(self, **wanted: Any) -> posts.Desk:
        return posts.desk(self.store.door, self.store.store, **wanted)

    def middle(self) -> tuple[Any, Any]:
        """A place in the list with as many posts before as behind it."""
        at = self.store.world.value("select now()") - timedelta(hours=self.rows // 6)
        return at, uuid4()


def load(world: World, rows: int) -> Table:
    made = shop(world, networks=("facebook", "threads", "linkedin"))
    ids = {"account": made.account, "store": made.store, "clip": made.clip, "credential": made.credential}
    world.execute("set session_replication_role = replica")
    world.admin.execute(LOAD, {**ids, "count": rows})
    world.execute("reset session_replication_role")
    world.execute("vacuum analyze")
    return Table(made, rows)


def questions(table: Table) -> dict[str, Callable[[], object]]:
    return {
        "first page": table.read,
        "deep page": partial(table.read, after=table.middle()),
        "failed": partial(table.read, group="failed"),
        "unknown": partial(table.read, group="unknown"),
        "live on one channel": partial(table.read, group="live", channel="facebook"),
    }


def compare(small: Table, large: Table, rounds: int) -> None:
    ways = {(what, t.rows): ask for t in (small, large) for what, ask in questions(t).items()}
    times = in_turns(ways, rounds=rounds, calls=5, warm_up=2)
    for (what, rows), spread in times.items():
        show_times(f"{what}, {rows:,} publications", spread)
    for what in questions(small):
        grown = ratio(times[what, large.rows], times[what, small.rows])
        show_ratio(f"{what}: {large.rows:,} ÷ {small.rows:,} publications", grown, "≤ 1.5")
