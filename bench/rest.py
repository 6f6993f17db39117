"""What a page reads, over REST beside the direct door, and the adapter beside the bare request it sends.

The server is the tests' own, in Python and in this process: it is the larger part of the first ratio, and a real
project adds the network. The second ratio is the adapter's own work.
"""

from collections.abc import Callable
from uuid import UUID

import httpx

from bench.measure import duration, in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world
from services.database.door import Database
from services.database.supabase import open_http
from services.jobs import queue
from services.profiles import my_stores
from tests.builders import World
from tests.cloud import fake_cloud, rest_door
from tests.fakes.supabase.server import FakeSupabase

STORES = 60


def run(full: bool) -> None:
    print("rest: page data over REST beside direct Postgres")
    rounds = 40 if full else 8
    with fresh_server() as server, fresh_world(server) as world:
        account = world.company()
        stores = [world.store(account, name=f"Store {number}", quota="100") for number in range(STORES)]
        for store in stores:
            world.spend(store, "0.01")
        person = world.person(account, "admin")
        with fake_cloud(server, "bench") as project, open_http(20) as http:
            _compare(world, project, http, account, person, rounds)


def _compare(world: World, project: FakeSupabase, http: httpx.Client, account: UUID, person: UUID, rounds: int) -> None:
    direct = world.as_person(person)
    token = project.stack.token(person)
    bare = _bare(project, http, token, account)
    rest = rest_door(project, http, person)
    for label, read in _reads(account).items():
        spent = in_turns(
            {"direct": lambda read=read: read(direct), "rest": lambda read=read: read(rest)}, rounds=rounds, calls=3
        )
        show_times(f"{label}: direct", spent["direct"])
        show_ratio(f"{label}: over REST ÷ direct", ratio(spent["rest"], spent["direct"]))
    spent = in_turns(
        {"bare": bare, "rest": lambda: rest.call("my_stores", p_account_id=account)}, rounds=rounds, calls=3
    )
    show_ratio("my_stores: adapter ÷ the bare request", ratio(spent["rest"], spent["bare"]), "≤ 1.3")
    print(f"  (a bare request to the tests' server takes {duration(spent['bare'].median)})")


def _reads(account: UUID) -> dict[str, Callable[[Database], object]]:
    """The largest reads of a page."""
    return {
        f"stores of a company ({STORES})": lambda door: my_stores(door, account),
        "dashboard of a company": lambda door: door.call("account_dashboard", p_account_id=account, p_range="30d"),
        "list of jobs": lambda door: queue.list_jobs(door, account_id=account),
    }


def _bare(project: FakeSupabase, http: httpx.Client, token: str, account: UUID) -> Callable[[], object]:
    headers = {"apikey": project.stack.publishable_key, "Authorization": f"Bearer {token}"}
    url = f"{project.url}/rest/v1/rpc/my_stores"
    return lambda: http.post(url, json={"p_account_id": str(account)}, headers=headers).raise_for_status().json()
