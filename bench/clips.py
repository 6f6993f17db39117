"""The Clips page's questions in a store with a hundred clips and in one with a hundred thousand."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from bench.measure import in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world
from services import clips
from services.clips import Clip
from tests.builders import World

SMALL, LARGE = 100, 100_000  # clips

# One of fifty has failed, one of ten is a picture, one of twenty is deleted; every twentieth lies in a second project.
LOAD = """
    insert into public.clips (id, account_id, profile_id, project_id, name, source_name, final_status, media_type,
                              source_path, media_path, duration_seconds, bytes, created_at, deleted_at)
    select gen_random_uuid(), %(account)s, %(store)s,
           case when n %% 20 = 0 then %(second)s::uuid else %(project)s::uuid end,
           'Shop window ' || n, 'IMG_' || n || '.mp4', case when n %% 50 = 0 then 'failed' else 'completed' end,
           case when n %% 10 = 0 then 'image' else 'video' end, 'uploads/' || n || '.mp4', 'clips/' || n || '.mp4', 12,
           5000000, now() - n * interval '1 minute', case when n %% 20 = 1 then now() end
    from generate_series(1, %(count)s) n
"""


@dataclass(frozen=True)
class Shop:
    world: World
    store: UUID
    second: UUID  # project
    person: UUID
    size: int

    def read(self, after: Clip | None = None, **narrowed: Any) -> list[Clip]:
        database = self.world.doors.person(self.person)
        return clips.page(database, self.store, after=after.key if after else None, **narrowed)

    def middle(self) -> Clip:
        """A clip with as many older as newer ones."""
        (row,) = self.world.rows(
            "select id from public.clips where source_path = %s", f"uploads/{self.size // 2 + 2}.mp4"
        )
        return clips.get(self.world.doors.person(self.person), row["id"])


def run(full: bool) -> None:
    print(f"\nClips: a store with {SMALL:,} and one with {LARGE:,} clips")
    with fresh_server() as server, ExitStack() as stack:
        worlds = [stack.enter_context(fresh_world(server, f"clips_{size}")) for size in (SMALL, LARGE)]
        small, large = (load(world, size) for world, size in zip(worlds, (SMALL, LARGE), strict=True))
        compare(small, large, rounds=30 if full else 10)


def load(world: World, size: int) -> Shop:
    account = world.company()
    store = world.store(account)
    project, second = world.project(store), world.project(store, "Winter")
    ids = {"account": account, "store": store, "project": project, "second": second, "count": size}
    world.admin.execute(LOAD, ids)
    world.execute("vacuum analyze")
    return Shop(world, store, second, world.person(account, "manager", store), size)


def questions(shop: Shop) -> dict[str, Callable[[], object]]:
    door = shop.world.doors.person(shop.person)
    return {
        "first page": shop.read,
        "deep page": partial(shop.read, shop.middle()),
        "a project": partial(shop.read, project=shop.second),
        "failed": partial(shop.read, status="failed"),
        "being prepared": partial(shop.read, status="working"),
        "deleted": partial(shop.read, status="deleted"),
        "pictures": partial(shop.read, media_type="image"),
        "a rare word": partial(shop.read, search=f"img_{shop.size - 1}"),
        "a common word": partial(shop.read, search="window"),
        "project, pictures and words": partial(shop.read, project=shop.second, media_type="image", search="shop win"),
        "projects and work under way": lambda: (clips.projects(door, shop.store), clips.work(door, shop.store)),
    }


def compare(small: Shop, large: Shop, rounds: int) -> None:
    ways = {(what, shop.size): ask for shop in (small, large) for what, ask in questions(shop).items()}
    times = in_turns(ways, rounds=rounds, calls=5, warm_up=2)
    for (what, size), spread in times.items():
        show_times(f"{what}, {size:,} clips", spread)
    for what in questions(small):
        grown = ratio(times[what, large.size], times[what, small.size])
        show_ratio(f"{what}: {large.size:,} ÷ {small.size:,} clips", grown, "≤ 1.5")
