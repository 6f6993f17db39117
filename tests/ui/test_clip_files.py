"""A clip's media, thumbnail and subtitles over HTTP, for whoever may read the clip."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.applications import Starlette

from services import identity
from services.config import settings
from services.media.folder import Folder
from tests.builders import World
from tests.ui.visitor import Streamlit, browser, site
from ui import file_routes

VIDEO = bytes(range(256)) * 40
PICTURE, WORDS = b"\xff\xd8\xff" + b"\0" * 99, "WEBVTT\n\n00:00.000 --> 00:01.000\nFrühstück um sechs\n".encode()
KINDS = ["clips", "thumbnails", "subtitles"]


class Shop:
    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.store = world.store(self.account)
        self.manager = world.person(self.account, "manager", self.store)
        self.app = site(Streamlit())

    def clip(self, name: str = "Shop window", **changes: Any) -> UUID:
        """A clip whose three files are there."""
        id_ = uuid4()
        paths = {
            "media_path": f"clips/{id_}.mp4", "thumbnail_path": f"thumbnails/{id_}.jpg",
            "subtitles_path": f"clips/{id_}.vtt",
        }  # fmt: skip
        for path, data in zip(paths.values(), (VIDEO, PICTURE, WORDS), strict=True):
            Folder(settings().media_folder).write(path, data)
        values = {**paths, "final_status": "completed", "media_type": "video", **changes}
        return self.world.clip(self.store, self.world.project(self.store), name=name, **values)

    def get(self, what: str, clip: object, *, person: UUID | None = None, query: str = "", **headers: str) -> Any:
        secret = identity.open_session(person or self.manager, address="127.0.0.1", agent="test")
        return browser(self.app, secret, **headers).get(f"/files/{what}/{clip}{query}")


@pytest.fixture
def shop(shared_desk: World) -> Shop:
    return Shop(shared_desk)


@pytest.mark.parametrize(
    ("what", "content", "kind"),
    [
        ("clips", VIDEO, "video/mp4"),
        ("thumbnails", PICTURE, "image/jpeg"),
        ("subtitles", WORDS, "text/vtt; charset=utf-8"),
    ],
)
@pytest.mark.parametrize("who", ["manager", "admin", "finance"])
def test_are_for_whoever_may_read_the_clip(shop: Shop, what: str, content: bytes, kind: str, who: str):
    person = shop.manager if who == "manager" else shop.world.person(shop.account, who)
    answer = shop.get(what, shop.clip(), person=person)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, content, kind)
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("who", ["other store's manager", "other company's admin", "stranger"])
def test_for_others_they_do_not_exist(shop: Shop, what: str, who: str):
    world = shop.world
    person = {
        "other store's manager": lambda: world.person(shop.account, "manager", world.store(shop.account)),
        "other company's admin": lambda: world.person(world.company(), "admin"),
        "stranger": lambda: world.person(None),
    }[who]()
    answer, nothing = shop.get(what, shop.clip(), person=person), shop.get(what, uuid4(), person=person)
    assert answer.status_code == nothing.status_code == 404
    assert answer.content == nothing.content == b"Not found."


@pytest.mark.parametrize("what", KINDS)
def test_anonymous_learns_nothing(shop: Shop, what: str):
    clip = shop.clip()
    assert browser(shop.app, accept="video/*").get(f"/files/{what}/{clip}").status_code == 401
    bare = Starlette(routes=file_routes.ROUTES)
    assert browser(bare).get(f"/files/{what}/{clip}").status_code == 401


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("name", ["x", "1", "..%5capp.py", "%00", "0" * 400, "é"])
def test_a_malformed_id_is_not_found(shop: Shop, what: str, name: str):
    assert shop.get(what, name).status_code == 404


@pytest.mark.parametrize("what", KINDS)
def test_what_is_not_there_yet_is_not_found(shop: Shop, what: str):
    missing = shop.clip(media_path=None, thumbnail_path=None, subtitles_path=None)
    lost = shop.clip(media_path="clips/x.mp4", thumbnail_path="thumbnails/x.jpg", subtitles_path="clips/x.vtt")
    outside = shop.clip(media_path="../app.py", thumbnail_path="/etc/passwd", subtitles_path="clips/../../x")
    for clip in (missing, lost, outside):
        assert shop.get(what, clip).status_code == 404


def test_of_a_deleted_clip_only_the_picture_is_shown(shop: Shop):
    clip = shop.clip(deleted_at="2026-01-01T00:00:00Z")
    assert shop.get("clips", clip).status_code == 404
    assert shop.get("thumbnails", clip).status_code == 200


def test_a_player_asks_for_parts(shop: Shop):
    clip = shop.clip()
    answer = shop.get("clips", clip, range="bytes=100-199")
    assert (answer.status_code, answer.content) == (206, VIDEO[100:200])
    assert answer.headers["content-range"] == f"bytes 100-199/{len(VIDEO)}"
    assert shop.get("clips", clip, range="bytes=99999-").status_code == 416


@pytest.mark.parametrize(
    ("what", "name", "file_name"),
    [
        ("clips", "Shop window, day 2", "shop-window-day-2.mp4"),
        ("clips", 'a"; filename="evil.exe', "a-filename-evil-exe.mp4"),
        ("clips", "パン屋 🍞", "clip.mp4"),
        ("clips", "x" * 200, "x" * 60 + ".mp4"),
        ("subtitles", "Shop window", "shop-window.vtt"),
    ],
)
def test_a_download_has_a_plain_name(shop: Shop, what: str, name: str, file_name: str):
    answer = shop.get(what, shop.clip(name), query="?download=1")
    assert answer.headers["content-disposition"] == f'attachment; filename="{file_name}"'
