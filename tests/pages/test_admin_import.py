"""Admin's section Import as an admin sees it."""

from typing import Any
from uuid import UUID

import pytest

from services.bulk import importing, writing
from services.bulk.tables import TABLES
from services.config import settings
from tests.builders import World
from tests.pages.conftest import texts
from tests.pages.test_admin_people import click_meanwhile
from ui import invitation_links


@pytest.fixture
def account(desk: World) -> UUID:
    return desk.company()


@pytest.fixture
def page(desk: World, account: UUID, open_page):
    test = open_page(desk.person(account, "admin"), "admin")
    return test.segmented_control(key="part").set_value("Import").run()


def upload(test, *files: tuple[str, str | bytes]):
    for name, content in files:
        test.file_uploader[0].upload(name, content.encode() if isinstance(content, str) else content)
    return test.run()


def send(test, reason: str = "Opening"):
    next(field for field in test.text_input if field.label == "Reason").input(reason)
    return test.button(key="import_send").click().run()


def table(test, column: str):
    return next(frame.value for frame in test.dataframe if column in frame.value)


def stores(desk: World, account: UUID) -> list[str]:
    return [
        row["name"]
        for row in desk.rows("select name from public.profiles where account_id = %s order by code", account)
    ]


def test_there_is_a_template_of_each_kind(page):
    labels = [button.proto.label for button in page.get("download_button")]
    assert {f"Template: {kind}" for kind in TABLES} <= set(labels)


def test_errors_stand_beside_the_cells_and_nothing_is_taken(desk: World, account: UUID, page):
    upload(page, ("stores.csv", "code,name,timezone\n1,Quay,Europe/London\n2,=1+1,Mars/Base\n"))
    assert "2 cells are wrong. Nothing is imported until all are right" in texts(page)
    wrong = table(page, "What is wrong")
    assert list(zip(wrong["Row"], wrong["Column"], wrong["Cell"], strict=True)) == [
        (3, "name", "=1+1"), (3, "timezone", "Mars/Base"),
    ]  # fmt: skip
    rows = table(page, "Outcome")
    assert list(rows["Row"]) == [3, 2]
    assert "as a formula" in rows["Outcome"][0]
    assert not [button for button in page.button if button.key == "import_send"]
    assert stores(desk, account) == []


def test_what_was_previewed_is_taken(desk: World, account: UUID, page):
    desk.store(account, "Old", code="2")
    page.run()
    people = "email;name;role;stores\nmia@example.test;Mia;manager;1\n".encode("utf-16")
    upload(page, ("stores.csv", "code,name\n1,Quay\n2,New\n"), ("people.csv", people))
    assert "people.csv: 1 person, read as UTF-16 with semicolons" in texts(page)
    assert outcomes(page) == ["New", "name: Old → New", "New"]
    send(page)
    assert stores(desk, account) == ["Quay", "New"]
    assert "New or changed: 2 stores, 1 person." in texts(page)
    assert "Links to choose a password, for 1 person" in texts(page)
    page.button(key="import_done").click().run()
    assert "New or changed:" not in texts(page)


def test_a_click_while_importing_loses_no_link_and_links_begin_with_the_set_address(page, monkeypatch):
    monkeypatch.setenv("SITE_URL", "https://admin.example.test")
    settings.cache_clear()
    real, files = importing.take, []

    def interrupted(*arguments: Any) -> importing.Imported:
        made = real(*arguments)
        click_meanwhile()
        return made

    monkeypatch.setattr(importing, "take", interrupted)
    monkeypatch.setattr(invitation_links, "as_csv", lambda links: files.append(links) or b"x")
    upload(page, ("people.csv", "email;name;role;stores\nfin@example.test;Fin;finance;\n"))
    send(page)
    page.run()
    assert "Links to choose a password, for 1 person" in texts(page)
    assert files[-1][0].address.startswith("https://admin.example.test/welcome?token_hash=")


def outcomes(test) -> list[str]:
    return [outcome for frame in test.dataframe if "Outcome" in frame.value for outcome in frame.value["Outcome"]]


def test_the_same_file_again_has_nothing_to_do(desk: World, account: UUID, page):
    desk.store(account, "Quay", code="1", timezone="UTC")
    upload(page, ("stores.csv", "code,name\n1,Quay\n"))
    assert "Everything in these files is as it is already." in texts(page)
    assert not [button for button in page.button if button.key == "import_send"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [("book.xlsx", b"PK\x03\x04", "book.xlsx is a workbook, not a CSV file"),
     ("photo.csv", b"\x89PNG\x00\x00\x00\x00\x00\x00", "photo.csv"),
     ("other.csv", b"a,b\n1,2\n", "other.csv does not say what it holds"), ("empty.csv", b"", "empty.csv is empty")],
)  # fmt: skip
def test_a_file_of_another_kind_is_said(page, name: str, content: bytes, why: str):
    upload(page, (name, content))
    assert not page.exception
    assert why in texts(page).replace("\\", "")


def test_whatever_changed_between_preview_and_import_is_told(desk: World, account: UUID, page):
    store = desk.store(account, "Quay", code="1")
    upload(page, ("quotas.csv", "store,limit,reason\n1,5,Budget\n"))
    assert outcomes(page) == ["limit: No limit → $5"]
    desk.execute("update public.profiles set archived_at = now() where id = %s", store)
    send(page)
    assert "no store with the number 1" in "".join(table(page, "What is wrong")["What is wrong"])
    assert desk.value("select count(*) from public.quota_changes where account_id = %s", account) == 0


def test_names_are_shown_as_typed(page):
    upload(page, ("[x](http://evil.example).csv", "code,name\n1,Quay\n"))
    assert not page.exception


def test_a_links_file_runs_no_formula():
    assert b"'=cmd" in writing.to_csv(["name"], [["=cmd"]])
