"""Both media stores: a folder, and the storage service of a test project over a database of its own."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.database import embedded
from services.media.door import Media
from services.media.folder import Folder
from services.media.storage import Storage, storage
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud
from tests.fakes.supabase.server import FakeSupabase

Age = Callable[[str, timedelta], None]


@pytest.fixture(scope="module")
def world(server: embedded.Server, cloud_template: str) -> Iterator[World]:
    with fresh_world(server, cloud_template) as made:
        yield made


@pytest.fixture(scope="module")
def running(server: embedded.Server, world: World) -> Iterator[FakeSupabase]:
    with fake_cloud(server, world.admin.info.dbname) as project:
        yield project


@pytest.fixture
def project(running: FakeSupabase, world: World) -> Iterator[FakeSupabase]:
    """A project whose bucket is empty and as the migrations made it."""
    running.stack.seen.clear()
    yield running
    running.stack.faults.queue.clear()
    with world.admin.transaction():
        world.execute("set local storage.allow_delete_query = 'true'")
        world.execute("delete from storage.objects")
    world.execute(
        "insert into storage.buckets (id, name, public, file_size_limit) values ('media', 'media', false, 1 << 30)"
        " on conflict (id) do update set public = false, file_size_limit = excluded.file_size_limit"
    )


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(20, connect=5)) as client:
        yield client


@pytest.fixture
def cloud(project: FakeSupabase, http: httpx.Client) -> Storage:
    """The worker's store."""
    return storage(project.url, project.stack.secret_key, http)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "media")


@pytest.fixture(params=["folder", "cloud"])
def store(request: pytest.FixtureRequest) -> Media:
    """Each of the stores in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def age(store: Media, request: pytest.FixtureRequest) -> Age:
    """age(path, by): let the file be written that long ago."""

    def in_folder(path: str, by: timedelta) -> None:
        instant = (datetime.now(UTC) - by).timestamp()
        os.utime(request.getfixturevalue("folder").path(path), (instant, instant))

    def in_cloud(path: str, by: timedelta) -> None:
        world = request.getfixturevalue("world")
        world.execute("update storage.objects set updated_at = now() - %s where name = %s", by, path)

    return in_folder if isinstance(store, Folder) else in_cloud
