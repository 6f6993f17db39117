"""Open the doors of this installation: which server, which logins, and whose door it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from services.config import Settings, settings
from services.database import embedded
from services.database.door import Database
from services.database.migrate import expected_version, migrate
from services.database.postgres import Pool, Postgres, open_pool
from services.errors import SchemaMismatch, Unavailable

log = logging.getLogger(__name__)
APP_CONNECTIONS = 20  # a Streamlit process runs at most a few scripts at once; the embedded server allows 120
WORKER_CONNECTIONS = 5


@dataclass(frozen=True)
class Doors:
    """The doors of one process. `worker_pool` is None where the process may not work in the background."""

    app_pool: Pool
    worker_pool: Pool | None

    def person(self, person_id: UUID, address: str | None = None) -> Database:
        """Data as this person sees it."""
        claims = {"sub": str(person_id), "role": "authenticated"}
        return Postgres(pool=self.app_pool, role="authenticated", claims=claims, address=address)

    def anonymous(self, address: str | None = None) -> Database:
        """Data as nobody: only the functions that take a session's secret."""
        return Postgres(pool=self.app_pool, role="anon", claims={"role": "anon"}, address=address)

    def local(self, person_id: UUID | None = None, address: str | None = None) -> Database:
        """The local-account functions, asked by this person or nobody."""
        claims = {"sub": str(person_id)} if person_id else {}
        return Postgres(pool=self.app_pool, role="none", claims=claims, address=address, schema="local")

    def worker(self) -> Database:
        """Data as the worker. Raises `Unavailable` in a process without the worker's login."""
        if self.worker_pool is None:
            raise Unavailable("This process has no worker. Start one with `python -m services.jobs.worker`.")
        return Postgres(pool=self.worker_pool, role="service_role", claims={"role": "service_role"})

    def close(self) -> None:
        self.app_pool.close()
        if self.worker_pool:
            self.worker_pool.close()


def check_schema(doors: Doors) -> None:
    """Raise `SchemaMismatch` unless the database is at this program's version."""
    if doors.anonymous().call("schema_version") != expected_version():
        raise SchemaMismatch()


@contextmanager
def open_doors(options: Settings) -> Iterator[Doors]:
    """Start or find the server, migrate the embedded one, and open the pools until the block ends."""
    if not options.embedded:
        yield from _opened(options.database_url or "", options.database_worker_url)
        return
    server = embedded.start(options.clipdesk_data)
    migrate(server.url("postgres"), {name: server.passwords[name] for name in embedded.LOGINS})
    with embedded.Keeper(server):
        yield from _opened(server.url("clipdesk_app"), server.url("clipdesk_worker"))
    embedded.stop(options.clipdesk_data)


def _opened(app_url: str, worker_url: str | None) -> Iterator[Doors]:
    doors = Doors(
        open_pool(app_url, APP_CONNECTIONS),
        open_pool(worker_url, WORKER_CONNECTIONS) if worker_url else None,
    )
    try:
        check_schema(doors)
        yield doors
    finally:
        doors.close()


_current: list[Doors] = []


@contextmanager
def process_doors(options: Settings | None = None) -> Iterator[Doors]:
    """The doors that `doors()` hands out while the block runs. One a process."""
    with open_doors(options or settings()) as opened:
        _current.append(opened)
        try:
            yield opened
        finally:
            _current.remove(opened)


def doors() -> Doors:
    """This process's doors. Raises `Unavailable` before the start and after the stop."""
    if not _current:
        raise Unavailable()
    return _current[-1]
