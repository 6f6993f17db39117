"""One server a test process; each test begins with an empty database of the schema that the migrations built."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import tuple_row

from services.database import embedded
from services.database.connect import Doors
from services.database.migrate import migrate
from services.database.postgres import Pool, open_pool
from tests import places
from tests.builders import (
    World,
    drop_database,
    empty,
    forget_power_cuts,
    fresh_world,
    installed,
    make_database,
    start_clock,
)
from tests.fakes.supabase.storage import SHIM

CONFIGURED = ("", "services", "ui", "psycopg.pool")  # loggers whose level services/logs.py sets
TEMPLATE = "clipdesk_template"
CLOUD_TEMPLATE = "clipdesk_cloud_template"

# A test may replace this one function: `World.set_clock`.
CLOCK = "oid <> 'private.utc_now()'::regprocedure"
# Every change of the schema writes a row of one of these: a newer one, or one fewer.
CATALOGS = ("attrdef", "attribute", "class", "constraint", "db_role_setting", "default_acl", "enum", "event_trigger",
            "extension", "index", "namespace", "policy", "proc", "rewrite", "trigger", "type")  # fmt: skip
SHAPE = "select " + ", ".join(
    f"(select (count(*), max(xmin::text::bigint)) from pg_{name}{' where ' + CLOCK if name == 'proc' else ''})::text"
    for name in CATALOGS
)
LOGINS = ["clipdesk_app", "clipdesk_worker"]
DISCONNECT = (
    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'"
)
BUSY = f"{DISCONNECT} and not (state = 'idle' and usename = any(%s))"  # without who only waits for the next test


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A program that a test runs in this process sets up logging for good, on a stream that ends with the test."""
    root, levels = logging.getLogger(), {name: logging.getLogger(name).level for name in CONFIGURED}
    handlers, converter = list(root.handlers), logging.Formatter.converter
    yield
    root.handlers[:] = handlers
    logging.Formatter.converter = converter
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    with places.short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def server(short_folder: Path) -> Iterator[embedded.Server]:
    running = embedded.start(short_folder / "pg")
    forget_power_cuts(running)
    yield running
    assert embedded.stop(short_folder / "pg"), "a test left a connection open"


@pytest.fixture(scope="session")
def template(server: embedded.Server) -> str:
    make_database(server, TEMPLATE, "template0")
    _migrate(server, TEMPLATE)
    return TEMPLATE


@pytest.fixture(scope="session")
def cloud_template(server: embedded.Server, template: str) -> str:
    """A database as a Supabase project has it: `storage` is there before the migrations. `template` made the roles."""
    make_database(server, CLOUD_TEMPLATE, "template0")
    with psycopg.connect(server.url("postgres", CLOUD_TEMPLATE), autocommit=True) as admin:
        admin.execute(SHIM.read_text("utf-8"))
    _migrate(server, CLOUD_TEMPLATE)
    return CLOUD_TEMPLATE


@dataclass
class Reused:
    """A database that is emptied after each test, or dropped where the test changed more than rows.

    Its connections stay open: a new one has to read the catalogue and to plan everything, half of a page's time.
    """

    server: embedded.Server
    template: str
    name: str = ""
    shape: Any = None  # of the schema, as it was made
    opened: World | None = None

    def take(self) -> str:
        """The name of a database without rows."""
        if not self.name:
            self.name = f"t_{uuid4().hex[:12]}"
            make_database(self.server, self.name, self.template)
            with self._admin() as admin:
                self.shape = self._shape(admin)
        return self.name

    def world(self) -> World:
        if self.opened is None:
            self.opened = World(self.server.url("postgres", self.name), Doors(*map(self._pool, LOGINS)))
        return self.opened

    def give_back(self) -> None:
        if self.opened and not self.opened.as_made():
            self._close()
        with self._admin() as admin:
            admin.execute(BUSY, [LOGINS])
            kept = self._shape(admin) == self.shape
            if kept:
                start_clock(admin)
                empty(admin)
        if not kept:
            self.drop()

    def drop(self) -> None:
        self._close()
        if self.name:
            with self._admin() as admin:
                admin.execute(DISCONNECT)
            drop_database(self.server, self.name)
            self.name = ""

    def _close(self) -> None:
        if self.opened:
            self.opened.close()
            self.opened = None

    def _pool(self, login: str) -> Pool:
        return open_pool(self.server.url(login, self.name), 20)

    def _shape(self, admin: psycopg.Connection[Any]) -> Any:
        return admin.cursor(row_factory=tuple_row).execute(SHAPE).fetchone()

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection[Any]]:
        """The world's superuser, who knows the catalogue already, or a new one."""
        if self.opened:
            yield self.opened.admin
            return
        with psycopg.connect(self.server.url("postgres", self.name), autocommit=True) as admin:
            yield admin


@pytest.fixture(scope="session")
def reused(server: embedded.Server, template: str) -> Iterator[Reused]:
    made = Reused(server, template)
    yield made
    made.drop()


@pytest.fixture
def database(reused: Reused) -> Iterator[str]:
    """The name of an empty database of this product's schema."""
    yield reused.take()
    reused.give_back()


@pytest.fixture
def world(reused: Reused, database: str) -> World:
    return reused.world()


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[World]:
    """The test's world as this process's installation: what pages, routes and `doors()` work on."""
    with installed(world, tmp_path):
        yield world


@pytest.fixture(scope="module")
def shared_world(server: embedded.Server, template: str) -> Iterator[World]:
    """One world for all tests of a module; each of them makes its own company."""
    with fresh_world(server, template) as world:
        yield world


@pytest.fixture
def shared_desk(shared_world: World, tmp_path: Path) -> Iterator[World]:
    """Like `desk`, on the module's world."""
    with installed(shared_world, tmp_path):
        yield shared_world


def _migrate(server: embedded.Server, name: str) -> None:
    migrate(server.url("postgres", name), {login: server.passwords[login] for login in embedded.LOGINS})
