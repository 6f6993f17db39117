"""Installations on a Supabase project: several replicas of the app and a worker, each with doors of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from services import identity
from services.accounts.cloud import CloudAccounts, tries
from services.config import settings
from services.database import connect, embedded
from services.database.cloud_doors import CloudDoors
from services.database.supabase import open_http
from tests.builders import World, fresh_world, installed
from tests.cloud import fake_cloud
from tests.fakes.supabase.auth import Desk, desk
from tests.fakes.supabase.server import FakeSupabase

SESSION_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def world(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template) as made:
        yield made


@pytest.fixture(scope="module")
def running(server: embedded.Server, world: World) -> Iterator[FakeSupabase]:
    with fake_cloud(server, world.admin.info.dbname) as project:
        yield project


@pytest.fixture
def project(running: FakeSupabase) -> Iterator[FakeSupabase]:
    made = desk(running.stack)
    yield running
    running.stack.faults.queue.clear()
    running.stack.seen.clear()
    made.token_seconds, made.mail_failure = 3600, None
    made.mails.clear()
    made.refreshes.clear()


@pytest.fixture
def auth(project: FakeSupabase) -> Desk:
    return desk(project.stack)


@pytest.fixture
def open_cloud(project: FakeSupabase) -> Iterator[Callable[[bool], CloudDoors]]:
    """Doors of one more process; with the secret key where it works in the background."""
    opened: list[CloudDoors] = []

    def one(works: bool = False) -> CloudDoors:
        stack = project.stack
        secret = SecretStr(stack.secret_key) if works else None
        doors = CloudDoors(project.url, SecretStr(stack.publishable_key), secret, open_http(5))
        opened.append(doors)
        return doors

    yield one
    for doors in opened:
        doors.close()


@pytest.fixture
def cloud(
    world: World, project: FakeSupabase, open_cloud: Callable[[bool], CloudDoors], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CloudDoors:  # fmt: skip
    """This process as an app on the project, without the secret key."""
    doors = open_cloud(False)
    with installed(world, tmp_path):
        monkeypatch.setenv("SUPABASE_URL", project.url)
        monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", project.stack.publishable_key)
        monkeypatch.setenv("SESSION_KEY", SESSION_KEY)
        monkeypatch.setattr(connect, "_current", [doors])
        settings.cache_clear()
        tries.clear()
        yield doors


@pytest.fixture
def replica(cloud: CloudDoors, open_cloud: Callable[[bool], CloudDoors]) -> CloudAccounts:
    """A second app on the same project."""
    return CloudAccounts(open_cloud(False))


@dataclass(frozen=True)
class Anna:
    id: UUID
    email: str
    account: UUID
    store: UUID


@pytest.fixture
def anna(world: World, auth: Desk, cloud: CloudDoors) -> Anna:
    account = world.company()
    store = world.store(account)
    person = world.person(account, "manager", store, name="Anna")
    email = world.password(person, PASSWORD)
    auth.password(person, PASSWORD)
    return Anna(person, email, account, store)


@pytest.fixture
def enter(cloud: CloudDoors) -> Callable[..., str]:
    def sign_in(email: str, password: str = PASSWORD, previous: str | None = None) -> str:
        return identity.sign_in(email, password, address="10.9.8.7", agent="Firefox", previous=previous)

    return sign_in
