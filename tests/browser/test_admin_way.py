"""An admin's files in a real browser: a wrong cell, mended, imported, the links handed out; then the log as a file."""

import csv
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Download, Page, expect

from tests.browser.conftest import App, create_company, go, heading, idle

pytestmark = [pytest.mark.browser, pytest.mark.full]

STORES = "code,name,city,timezone\n104,Harbour Street,Bristol,Europe/London\n105,Station,Bath,{zone}\n"
PEOPLE = "email;name;role;stores\nmia@example.test;Mia Porter;manager;104 105\nfin@example.test;Fin;finance;\n"
REASON = "Opening of the western stores"


def test_a_file_is_mended_imported_and_found_in_the_log(page: Page, app: App, browser: Browser) -> None:
    create_company(page, app)
    open_import(page)
    upload(page, stores=STORES.format(zone="Mars/Base"), people=PEOPLE)
    expect(page.get_by_text("1 cell is wrong. Nothing is imported until all are right")).to_be_visible()
    expect(page.get_by_role("button", name="Import", exact=False).filter(has_text="changes")).to_have_count(0)
    upload(page, stores=STORES.format(zone="Europe/London"), people=PEOPLE)
    expect(page.get_by_text("is wrong")).to_have_count(0)
    page.get_by_role("textbox", name="Reason").fill(REASON)
    page.get_by_role("button", name="Import 4 changes").click()
    expect(page.get_by_text("New or changed: 2 stores, 2 people.")).to_be_visible()
    links = rows_of(download(page, "Download the links"))
    assert [(row["name"], row["email"]) for row in links] == [
        ("Mia Porter", "mia@example.test"), ("Fin", "fin@example.test"),
    ]  # fmt: skip
    assert all(row["link"].startswith(f"{app.url}/welcome?token_hash=") for row in links)
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("New or changed:")).to_have_count(0)
    visit(browser, links[0]["link"])
    read_log(page, app)


def open_import(page: Page) -> None:
    go(page, "Admin")
    heading(page, "Admin")
    page.locator(".st-key-part").get_by_text("Import", exact=True).click()
    heading(page, "Import")


def upload(page: Page, **files: str) -> None:
    """These files and no others."""
    remove = page.get_by_role("button", name="Remove")
    for _ in range(remove.count()):
        remove.first.click()
        idle(page)
    payload = [{"name": f"{name}.csv", "mimeType": "text/csv", "buffer": text.encode()} for name, text in files.items()]
    page.locator("input[type=file]").set_input_files(payload)  # type: ignore[arg-type]  # its own word for such a list
    for name in files:
        expect(page.get_by_text(f"{name}.csv: 2 {name}, read as UTF-8")).to_be_visible()
    idle(page)


def download(page: Page, button: str) -> Path:
    with page.expect_download() as started:
        page.get_by_role("button", name=button).click()
    made: Download = started.value
    return made.path()


def rows_of(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))


def visit(browser: Browser, link: str) -> None:
    """The handed link opens the form on which its person chooses a password."""
    context = browser.new_context()
    visitor = context.new_page()
    visitor.goto(link)
    expect(visitor.get_by_label("New password")).to_be_visible()
    context.close()


def read_log(page: Page, app: App) -> None:
    page.goto(f"{app.url}/audit?find=Western")
    heading(page, "Audit")
    expect(page.get_by_text(f"Reason: {REASON}")).to_have_count(5)  # two stores, two people, and the import
    page.get_by_role("button", name="Prepare the file").click()
    entries = rows_of(download(page, "Export as CSV"))
    assert len(entries) == 5
    assert all(REASON in row.values() for row in entries)
