"""A shop, a media folder and workers; conftest.py of a folder whose tests run jobs imports them.

Jobs of one test must not be claimed by another's worker, so each test has the database for itself: the module's,
emptied, because to empty one takes a tenth of the time that making one does.
"""

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
from tests.builders import World, empty, fresh_world
from tests.kill import options


@dataclass
class Shop:
    """A company with one store and one manager."""

    account: UUID
    store: UUID
    manager: UUID
    database: Database  # the manager's


@pytest.fixture(scope="module")
def shared_world(server: Server, template: str) -> Iterator[World]:
    with fresh_world(server, template) as world:
        yield world


@pytest.fixture
def world(shared_world: World) -> World:
    empty(shared_world.admin)
    return shared_world


@pytest.fixture
def database(world: World) -> str:
    """The name of the world's database."""
    return world.admin.info.dbname


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
