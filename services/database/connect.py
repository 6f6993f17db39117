"""Open the doors of this installation: which server or project, which logins, and whose door it is."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import SecretStr

from services.config import Settings, settings
from services.database import embedded
from services.database.door import Database
from services.database.migrate import expected_version, migrate
from services.database.postgres import Pool, Postgres, open_pool
from services.errors import SchemaMismatch, Unavailable

log = logging.getLogger(__name__)
APP_CONNECTIONS = 20  # a Streamlit process runs at most a few scripts at once; the embedded server allows 120
WORKER_CONNECTIONS = 5


class OpenDoors(Protocol):
    """What the doors of a process offer, wherever they lead."""

    @property
    def hosted(self) -> bool:
        """Whether they lead to a Supabase project."""

    @property
    def works(self) -> bool:
        """Whether the process may work in the background."""

    def person(self, person_id: UUID, address: str | None = None, token: SecretStr | None = None) -> Database:
        """Data as this person sees it; a hosted database wants to see their token."""

    def anonymous(self, address: str | None = None) -> Database:
        """Data as nobody: only the functions that take a session's secret."""

    def worker(self) -> Database:
        """Data as the worker. Raises `Unavailable` in a process that may not work in the background."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Doors:
    """To Postgres. `worker_pool` is None where the process may not work in the background."""

    app_pool: Pool
    worker_pool: Pool | None
    hosted = False

    @property
    def works(self) -> bool:
        return self.worker_pool is not None

    def person(self, person_id: UUID, address: str | None = None, token: SecretStr | None = None) -> Database:
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


def check_schema(doors: OpenDoors) -> None:
    """Raise `SchemaMismatch` unless the database is at this program's version."""
    version = doors.anonymous().call("schema_version")
    if version == expected_version():
        return
    if not doors.hosted:
        raise SchemaMismatch()
    raise SchemaMismatch(
        f"The project's schema is at {version}, this program's at {expected_version()}. "
        "Run `supabase db push`, then start again."
    )


@contextmanager
def open_doors(options: Settings) -> Iterator[OpenDoors]:
    """Start or find the server, migrate the embedded one, and open what leads to it until the block ends."""
    if options.cloud:
        from services.database.cloud_doors import open_cloud  # noqa: PLC0415 - its client takes a second to import

        yield from _checked(open_cloud(options))
        return
    if not options.embedded:
        yield from _checked(_pools(options.database_url or "", options.database_worker_url))
        return
    server = embedded.start(options.clipdesk_data)
    migrate(server.url("postgres"), {name: server.passwords[name] for name in embedded.LOGINS})
    with embedded.Keeper(server):
        yield from _checked(_pools(server.url("clipdesk_app"), server.url("clipdesk_worker")))
    embedded.stop(options.clipdesk_data)


def _pools(app_url: str, worker_url: str | None) -> Doors:
    return Doors(
        open_pool(app_url, APP_CONNECTIONS),
        open_pool(worker_url, WORKER_CONNECTIONS) if worker_url else None,
    )


def _checked(doors: OpenDoors) -> Iterator[OpenDoors]:
    try:
        check_schema(doors)
        yield doors
    finally:
        doors.close()


_current: list[OpenDoors] = []


@contextmanager
def process_doors(options: Settings | None = None) -> Iterator[OpenDoors]:
    """The doors that `doors()` hands out while the block runs. One a process."""
    with open_doors(options or settings()) as opened:
        _current.append(opened)
        try:
            yield opened
        finally:
            _current.remove(opened)


def doors() -> OpenDoors:
    """This process's doors. Raises `Unavailable` before the start and after the stop."""
    if not _current:
        raise Unavailable()
    return _current[-1]


def local_doors() -> Doors:
    """The doors of an installation with local accounts. Raises `Unavailable` where there are none."""
    opened = doors()
    if not isinstance(opened, Doors):
        raise Unavailable("Accounts of this installation live at Supabase.")
    return opened
