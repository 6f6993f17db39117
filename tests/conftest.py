"""One server a test process, one database a test, cloned from a template that the migrations built."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from services.database import embedded
from services.database.connect import Doors
from services.database.migrate import migrate
from services.database.postgres import open_pool
from tests.builders import World, forget_power_cuts, fresh_world, installed
from tests.fakes.supabase.storage import SHIM

TEMPLATE = "clipdesk_template"
CLOUD_TEMPLATE = "clipdesk_cloud_template"


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket and reachable for the server's own account."""
    folder = Path(tempfile.mkdtemp(prefix="cd-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(short_folder: Path) -> Iterator[embedded.Server]:
    running = embedded.start(short_folder / "pg")
    forget_power_cuts(running)
    yield running
    assert embedded.stop(short_folder / "pg"), "a test left a connection open"


@pytest.fixture(scope="session")
def template(server: embedded.Server) -> str:
    _create(server, TEMPLATE, "template0")
    _migrate(server, TEMPLATE)
    return TEMPLATE


@pytest.fixture(scope="session")
def cloud_template(server: embedded.Server, template: str) -> str:
    """A database as a Supabase project has it: `storage` is there before the migrations. `template` made the roles."""
    _create(server, CLOUD_TEMPLATE, "template0")
    with psycopg.connect(server.url("postgres", CLOUD_TEMPLATE), autocommit=True) as admin:
        admin.execute(SHIM.read_text("utf-8"))
    _migrate(server, CLOUD_TEMPLATE)
    return CLOUD_TEMPLATE


@pytest.fixture
def database(server: embedded.Server, template: str) -> Iterator[str]:
    """The name of a fresh database of this product's schema."""
    name = f"t_{uuid4().hex[:12]}"
    _create(server, name, template)
    yield name
    _execute(server, sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def world(server: embedded.Server, database: str) -> Iterator[World]:
    doors = Doors(
        open_pool(server.url("clipdesk_app", database), 20),
        open_pool(server.url("clipdesk_worker", database), 20),
    )
    made = World(server.url("postgres", database), doors)
    yield made
    made.close()


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


def _create(server: embedded.Server, name: str, template: str) -> None:
    _execute(
        server,
        sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)),
    )


def _migrate(server: embedded.Server, name: str) -> None:
    migrate(server.url("postgres", name), {login: server.passwords[login] for login in embedded.LOGINS})


def _execute(server: embedded.Server, statement: sql.Composed) -> None:
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute(statement)
