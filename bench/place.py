"""A fresh embedded server with the product's schema, away from anybody's data."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from services.database import embedded
from services.database.connect import Doors
from services.database.migrate import migrate
from services.database.postgres import open_pool
from tests.builders import World

CONNECTIONS = 20


@contextmanager
def short_folder() -> Iterator[Path]:
    """A new folder whose path is short enough for a socket and that the server's account may pass."""
    folder = Path(tempfile.mkdtemp(prefix="bn-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_server() -> Iterator[embedded.Server]:
    """The product's own launcher and settings: durable commits."""
    with short_folder() as folder:
        server = embedded.start(folder / "pg")
        try:
            yield server
        finally:
            embedded.stop(folder / "pg")


@contextmanager
def fresh_world(server: embedded.Server, name: str = "bench") -> Iterator[World]:
    """An empty database of the product's schema, with builders and the product's doors."""
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    migrate(server.url("postgres", name), {login: server.passwords[login] for login in embedded.LOGINS})
    app, worker = (open_pool(server.url(login, name), CONNECTIONS) for login in ("clipdesk_app", "clipdesk_worker"))
    world = World(server.url("postgres", name), Doors(app, worker))
    try:
        yield world
    finally:
        world.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
