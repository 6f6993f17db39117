"""Uploaded clips into a project's storage: as the person, with the bucket's policies, through REST."""

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services import clips, uploads
from services.database.door import Database
from services.errors import NotAllowed, Unavailable
from services.media.storage import Storage, storage
from services.uploads import Draft, Order
from tests.builders import World
from tests.cloud import rest_door
from tests.fakes.supabase.server import FakeSupabase

MP4 = b"\0\0\0\x18ftypmp42" + b"\0" * (7 << 20)  # larger than what goes up in one piece


class Shop:
    """A store in the cloud, its project, and its manager with a token."""

    def __init__(self, world: World, project: FakeSupabase, http: httpx.Client) -> None:
        account = world.company()
        self.store = world.store(account)
        person = world.person(account, "manager", self.store)
        self.database: Database = rest_door(project, http, person)
        self.person: Any = SimpleNamespace(database=self.database)
        self.media = storage(project.url, project.stack.publishable_key, http, project.stack.token(person))
        self.project = clips.create_project(self.database, self.store, "video", "Autumn")

    def order(self) -> Order:
        return Order(profile_id=self.store, project_id=self.project, clip_id=uuid4(), name="Window.mp4")

    def draft(self, content: bytes = MP4) -> Draft:
        made = Draft(io.BytesIO(), clips.upload_target(self.database, self.store, self.project))
        made.take(content)
        return made


@pytest.fixture
def shop(world: World, project: FakeSupabase, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(world, project, http)
    monkeypatch.setattr(uploads, "media_of", lambda _: made.media)
    return made


def test_goes_up_in_pieces_as_the_person_and_becomes_a_clip(shop: Shop, cloud: Storage):
    clip_id = shop.draft().keep(shop.person, shop.order())
    (clip,) = clips.page(shop.database, shop.store)
    assert (clip.id, clip.name, clip.bytes, clip.final_status) == (clip_id, "Window", len(MP4), "pending")
    assert cloud.read(clip.source_path or "") == MP4


def test_sent_again_after_only_the_clip_failed_it_is_made_of_the_file_that_is_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    order = shop.order()
    with monkeypatch.context() as away:
        away.setattr(clips, "add", failing)
        with pytest.raises(Unavailable):
            shop.draft().keep(shop.person, order)
    assert clips.page(shop.database, shop.store) == []
    assert shop.draft().keep(shop.person, order) == order.clip_id
    with pytest.raises(NotAllowed):
        shop.draft(MP4 + b"other").keep(shop.person, order)


def failing(*_: object) -> UUID:
    raise Unavailable


@pytest.mark.parametrize("narrow", [lambda shop: {"project": shop.project}, lambda shop: {"search": "win"}])
def test_pages_are_read_over_rest_alike(shop: Shop, narrow: Callable[[Shop], dict[str, Any]]):
    shop.draft(MP4[:600]).keep(shop.person, shop.order())
    first = shop.draft(MP4[:600]).keep(shop.person, shop.order())
    (newest,) = clips.page(shop.database, shop.store, limit=1, **narrow(shop))
    assert newest.id == first
    assert len(clips.page(shop.database, shop.store, after=newest.key, **narrow(shop))) == 1
    assert set(clips.work(shop.database, shop.store)) == {clip.id for clip in clips.page(shop.database, shop.store)}
