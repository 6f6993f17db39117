"""A real server on its own data folder, and a real Chromium."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, ViewportSize, expect, sync_playwright

from services.database import embedded
from tests.places import short_folder
from tests.programs import App

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip
expect.set_options(timeout=20_000)  # a bound on what hangs; two cores run two of these and their servers at once
WIDE = ViewportSize(width=1400, height=900)
LINE = "Fresh bread at six, every morning on the quay."
ADMIN = {"name": "Ada Admin", "email": "ada@example.test", "password": "correct horse"}
COMPANY = {"company": "Harbour Bakery", "store": "Quay", "code": "001", "city": "London", **ADMIN}


@contextmanager
def running_app(**settings: str) -> Iterator[App]:
    with short_folder() as folder:
        app = App(folder / "d", **settings)
        try:
            app.start()
            yield app
        finally:
            app.stop()
            embedded.stop(app.data)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    """One app a module: its tests go the way in order of their names' purpose, each on what it makes itself."""
    with running_app() as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserType]:
    """Of one module: playwright's event loop runs in this thread as long, and other tests run their own."""
    if CHROMIUM is None:
        pytest.fail("Chromium is missing: install the package `chromium`, or name it in CHROMIUM.")
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def profile(chromium: BrowserType) -> Iterator[BrowserContext]:
    """A browser that remembers files: to fetch and compile Streamlit's anew takes 2 s of a processor."""
    with short_folder() as folder:
        context = chromium.launch_persistent_context(folder, executable_path=CHROMIUM, args=ARGS, viewport=WIDE)
        context.set_default_timeout(20_000)
        yield context
        context.close()


@pytest.fixture(scope="module")
def browser(chromium: BrowserType) -> Iterator[Browser]:
    """Another one, for visitors beside the `page`'s."""
    launched = chromium.launch(executable_path=CHROMIUM, args=ARGS)
    yield launched
    launched.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A fresh visitor. The test fails on any script error of the page."""
    opened = profile.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    forget(profile)
    assert errors == []


def forget(profile: BrowserContext) -> None:
    """Close the pages and drop what they stored here: cookies, and chosen themes and widths."""
    _, *pages = profile.pages  # without the first no window would be left
    for page in pages:
        if page.url.startswith("http"):
            page.evaluate("localStorage.clear()")
        page.close()
    profile.clear_cookies()


def idle(page: Page) -> None:
    """Wait until Streamlit has drawn everything."""
    for name, value in (("connection", "CONNECTED"), ("script", "notRunning")):
        expect(page.get_by_test_id("stApp")).to_have_attribute(f"data-test-{name}-state", value)
    expect(page.locator('[data-stale="true"]')).to_have_count(0)


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=20_000)
    idle(page)


def create_company(page: Page, app: App) -> None:
    """First start: fill the form; or sign in where another test has done it."""
    page.goto(app.url)
    if "/sign-in" in page.url:
        sign_in(page, ADMIN["email"], ADMIN["password"])
        return
    for name, value in COMPANY.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator("[name=timezone]").select_option("Europe/London")
    page.get_by_role("button", name="Create company").click()


def sign_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def go(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name, exact=True).click()


def choose_store(page: Page, label: str) -> None:
    page.locator(".st-key-profile input").click()
    page.get_by_role("option", name=label).click()
    idle(page)


def type_line(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Text")
    box.fill(text)
    box.press("Control+Enter")
    expect(generate_button(page)).to_be_enabled()
    idle(page)


def generate_button(page: Page):
    return page.get_by_role("button", name=re.compile(r"^Generate"))


def type_manager(page: Page) -> None:
    """On the Admin page: Mia, who shall manage the first store."""
    go(page, "Admin")
    heading(page, "Admin")
    page.locator(".st-key-part").get_by_text("People", exact=True).click()
    page.locator(".st-key-person_name input").fill("Mia Manager")
    page.locator(".st-key-person_email input").fill("mia@example.test")
    page.locator(".st-key-person_stores input").click()
    page.get_by_role("option", name="001 · Quay").click()
    page.keyboard.press("Escape")
