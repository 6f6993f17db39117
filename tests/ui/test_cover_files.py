"""Covers over HTTP, for whoever may read their store."""

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

KINDS = ["covers", "small-covers"]
PICTURE = b"\xff\xd8\xff" + b"\0" * 99


class Shop:
    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.store = world.store(self.account)
        self.manager = world.person(self.account, "manager", self.store)
        self.app = site(Streamlit())

    def cover(self, *, is_there: bool = True, **changes: Any) -> UUID:
        """One that was drawn for a project."""
        made = uuid4()
        path = f"covers/{self.account}/{self.store}/{made}"
        files = {"media_path": f"{path}.jpg", "thumbnail_path": f"{path}-small.jpg"}
        output = {**files, "width": 4, "height": 3, "bytes": 1}
        for file in files.values() if is_there else ():
            Folder(settings().media_folder).write(file, PICTURE)
        values = {"kind": "cover", "status": "completed", "output": output, **changes}
        self.world.insert(
            "public.proposals", id=made, account_id=self.account, profile_id=self.store, provider="practice",
            model="practice", wanted={"prompt": "A loaf", "ratio": "4:3"}, project_id=self.world.project(self.store),
            **values,
        )  # fmt: skip
        return made

    def get(self, what: str, cover: object, person: UUID | None = None, query: str = "") -> Any:
        secret = identity.open_session(person or self.manager, address="127.0.0.1", agent="test")
        return browser(self.app, secret).get(f"/files/{what}/{cover}{query}")


@pytest.fixture
def shop(shared_desk: World) -> Shop:
    return Shop(shared_desk)


@pytest.mark.parametrize("what", KINDS)
def test_are_for_whoever_may_read_the_store(shop: Shop, what: str) -> None:
    made = shop.cover()
    for person in (shop.manager, shop.world.person(shop.account, "admin"), shop.world.person(shop.account, "finance")):
        answer = shop.get(what, made, person)
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PICTURE, "image/jpeg")
        assert answer.headers["cache-control"] == "private, no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    saved = shop.get(what, made, query="?download=1").headers["content-disposition"]
    assert saved.startswith('attachment; filename="cover')


@pytest.mark.parametrize("what", KINDS)
def test_for_others_they_do_not_exist(shop: Shop, what: str) -> None:
    world, made = shop.world, shop.cover()
    beside = world.person(shop.account, "manager", world.store(shop.account))
    for person in (beside, world.person(world.company(), "admin"), world.person(None)):
        answer = shop.get(what, made, person)
        assert (answer.status_code, answer.content) == (404, b"Not found.")
    assert browser(shop.app, accept="image/*").get(f"/files/{what}/{made}").status_code == 401
    assert browser(Starlette(routes=file_routes.ROUTES)).get(f"/files/{what}/{made}").status_code == 401


@pytest.mark.parametrize("what", KINDS)
def test_what_is_not_there_is_not_found(shop: Shop, what: str) -> None:
    others = [
        shop.cover(is_there=False), shop.cover(status="running", output=None), shop.cover(status="failed"),
        shop.cover(kind="captions"), uuid4(), "x", "..%5capp.py",
    ]  # fmt: skip
    assert {shop.get(what, one).status_code for one in others} == {404}
