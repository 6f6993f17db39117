"""Exported costs over HTTP, for who asked and still sees the stores in them."""

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

LINES = "Store,Cost\r\nQuay,1.000000\r\n".encode("utf-8-sig") * 500
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Shop:
    """A store's manager with a finished export, and a month of the company's ledger."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.store = world.store(self.account)
        self.manager = world.person(self.account, "manager", self.store)
        self.app = site(Streamlit())
        self.export, self.ledger = self.exported("csv"), uuid4()
        path = f"exports/{self.account}/ledger-2026-11.csv"
        Folder(settings().media_folder).write(path, LINES)
        world.insert("private.ledger_files", id=self.ledger, account_id=self.account, month="2026-11-01", path=path,
                     bytes=len(LINES), lines=1, total_usd=1, seq=1)  # fmt: skip

    def exported(self, ending: str) -> UUID:
        id_ = self.world.job("export_costs", self.store, status="completed", created_by=self.manager)
        path = f"exports/{self.account}/{id_}.{ending}"
        Folder(settings().media_folder).write(path, LINES)
        self.world.insert(
            "private.exports", id=id_, account_id=self.account, asked_by=self.manager, seq=1, path=path,
            profile_ids=f"{{{self.store}}}", wanted={"view": "entries"}, file_name=f"costs.{ending}",
        )  # fmt: skip
        return id_

    def get(self, export: object, person: UUID, query: str = "", **headers: str) -> Any:
        secret = identity.open_session(person, address="127.0.0.1", agent="test")
        return browser(self.app, secret, **headers).get(f"/files/exports/{export}{query}")


@pytest.fixture
def shop(shared_desk: World) -> Shop:
    return Shop(shared_desk)


@pytest.mark.parametrize(("ending", "kind"), [("csv", "text/csv; charset=utf-8"), ("xlsx", XLSX)])
def test_who_asked_gets_the_file(shop: Shop, ending: str, kind: str):
    answer = shop.get(shop.exported(ending), shop.manager, "?download=1")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, LINES, kind)
    assert answer.headers["content-disposition"] == f'attachment; filename="costs.{ending}"'
    assert answer.headers["cache-control"] == "private, no-store"


def test_parts_can_be_asked_for(shop: Shop):
    answer = shop.get(shop.export, shop.manager, range="bytes=100-199")
    assert (answer.status_code, answer.content) == (206, LINES[100:200])


@pytest.mark.parametrize("who", ["admin", "finance", "manager", "other company's admin", "stranger"])
def test_for_others_it_does_not_exist(shop: Shop, who: str):
    world = shop.world
    company = {"stranger": None, "other company's admin": world.company()}.get(who, shop.account)
    role = next((role for role in ("admin", "finance") if role in who), "manager")
    person = world.person(company, role)
    answer, nothing = shop.get(shop.export, person), shop.get(uuid4(), person)
    assert answer.status_code == nothing.status_code == 404
    assert answer.content == nothing.content == b"Not found."
    assert shop.get(shop.ledger, person).status_code == (200 if who in ("admin", "finance") else 404)


def test_who_lost_the_store_cannot_fetch_it_any_more(shop: Shop):
    shop.world.execute("delete from public.profile_members where person_id = %s", shop.manager)
    assert shop.get(shop.export, shop.manager).status_code == 404


def test_anonymous_learns_nothing(shop: Shop):
    bare = Starlette(routes=file_routes.ROUTES)
    for id_ in (shop.export, shop.ledger, uuid4()):
        assert browser(shop.app, accept="text/csv").get(f"/files/exports/{id_}").status_code == 401
        assert browser(bare).get(f"/files/exports/{id_}").status_code == 401


@pytest.mark.parametrize("name", ["x", "..%5c..%5capp.py", "%00", "0" * 400])
def test_a_malformed_id_is_not_found(shop: Shop, name: str):
    assert shop.get(name, shop.manager).status_code == 404


def test_a_lost_file_is_not_found(shop: Shop):
    Folder(settings().media_folder).delete(f"exports/{shop.account}/{shop.export}.csv")
    assert shop.get(shop.export, shop.manager).status_code == 404
