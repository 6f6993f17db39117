"""Run a test's database as a Supabase project, or use a real one that is set aside for tests."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Self
from uuid import UUID

import httpx

from services.database import embedded
from services.database.connect import Doors
from services.database.postgres import open_pool
from services.database.supabase import Supabase
from services.errors import SchemaMismatch
from tests.builders import World
from tests.fakes.supabase.server import FakeSupabase
from tests.fakes.supabase.stack import sign


@contextmanager
def fake_cloud(server: embedded.Server, database: str) -> Iterator[FakeSupabase]:
    """The project over this database of the tests' server; a request it does not cover fails the block's end."""
    with FakeSupabase(server.url("postgres", database)) as project:
        yield project
    assert not project.stack.refused, project.stack.refused


def rest_door(project: FakeSupabase, http: httpx.Client, person: UUID | None) -> Supabase:
    """The door of a person, or of nobody, over the project."""
    token = project.stack.token(person) if person else None
    return Supabase(url=project.url, key=project.stack.publishable_key, http=http, token=token)


@dataclass(frozen=True)
class LiveProject:
    """A migrated Supabase project for tests alone; `db_url` is the owner's address of its database."""

    SETTINGS: ClassVar = tuple(
        f"CLIPDESK_TEST_SUPABASE_{name}" for name in ("URL", "PUBLISHABLE_KEY", "SECRET_KEY", "JWT_SECRET", "DB_URL")
    )

    url: str
    publishable_key: str
    secret_key: str
    jwt_secret: str
    db_url: str

    @classmethod
    def from_environment(cls) -> Self | None:
        values = [os.environ.get(name, "") for name in cls.SETTINGS]
        return cls(*values) if all(values) else None

    def door(self, http: httpx.Client, person: UUID | None) -> Supabase:
        token = sign(self.jwt_secret, person) if person else None
        return Supabase(url=self.url, key=self.publishable_key, http=http, token=token)

    @contextmanager
    def playground(self, script: str) -> Iterator[World]:
        """Run the script, wait until the REST layer knows `who()`, and remove what was made in the end."""
        world = World(self.db_url, Doors(open_pool(self.db_url, 1), None))
        known = {row["name"] for row in world.rows(CREATED)}
        try:
            world.admin.execute(script + "; notify pgrst, 'reload schema'")
            self._wait()
            yield world
        finally:
            for row in world.rows(CREATED):
                if row["name"] not in known:
                    world.execute(f"drop {row['kind']} if exists {row['name']} cascade")
            world.close()

    def _wait(self) -> None:
        with httpx.Client() as http:
            for _ in range(60):
                try:
                    self.door(http, None).call("who")
                    return
                except SchemaMismatch:
                    time.sleep(0.5)


CREATED = """
select 'function' as kind, p.oid::regprocedure::text as name from pg_proc p
where p.pronamespace = 'public'::regnamespace and p.prokind = 'f'
union all
select case c.relkind when 'r' then 'table' else 'sequence' end, c.oid::regclass::text from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'S')
"""
