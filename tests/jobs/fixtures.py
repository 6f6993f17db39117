"""A shop, a media folder and workers, for tests that say `pytest_plugins = ["tests.jobs.fixtures"]`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.database.door import Database
from services.database.embedded import Server
from services.jobs.handlers import Handler
from services.jobs.periodic import Calendar
from services.jobs.worker import Worker
from services.media.folder import Folder
from tests.builders import World, forget_power_cuts
from tests.kill import options


@dataclass
class Shop:
    """A company with one store and one manager."""

    account: UUID
    store: UUID
    manager: UUID
    database: Database  # the manager's


@pytest.fixture(scope="session")
def quick_disk(server: Server) -> None:
    """Databases are made and dropped in a third of the time. Killed processes lose nothing by it."""
    forget_power_cuts(server)


@pytest.fixture
def shop(world: World) -> Shop:
    account = world.company()
    store = world.store(account, quota="10")
    manager = world.person(account, "manager", store)
    return Shop(account, store, manager, world.as_person(manager))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "media")


Start = Callable[..., Worker]


@pytest.fixture
def start(world: World, folder: Folder) -> Iterator[Start]:
    """start({kind: handler}, **settings) → a running worker; stopped at the test's end."""
    workers: list[Worker] = []

    def run(handlers: dict[str, Handler], periods: dict[str, int] | None = None, **values: Any) -> Worker:
        worker = Worker(world.as_worker(), folder, options(**values), handlers, Calendar(periods or {}))
        workers.append(worker)
        worker.start()
        return worker

    yield run
    for worker in workers:
        worker.stop()
