"""The main ways through, in each of the three ways to run: embedded, own Postgres, Supabase.

The embedded one goes these and more in test_main_way.py at every run, through the same door as one's own Postgres:
here the two go at full runs, as does what waits longest.
"""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from services.database import embedded
from tests.browser.conftest import (
    LINE,
    WIDE,
    choose_store,
    generate_button,
    go,
    heading,
    idle,
    sign_in,
    type_line,
    type_manager,
)
from tests.fakes.supabase.auth import desk
from tests.installations import ADMIN, PASSWORD, WAYS, Installation

pytestmark = pytest.mark.browser
NEW_PASSWORD = "a better password"
NARROW = {"width": 390, "height": 844}
DARK = "rgb(11, 20, 24)"  # the page in .streamlit/config.toml's dark theme
TOO_WIDE = """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
    .filter(e => e.scrollWidth > e.clientWidth).map(e => `${e.tagName} ${e.scrollWidth} > ${e.clientWidth}`)"""
DURATION = """() => new Promise((done, fail) => { const a = document.querySelector('audio');
    a.onloadedmetadata = () => done(a.duration); a.onerror = () => fail('no sound'); a.preload = 'auto'; a.load(); })"""


EMBEDDED, POSTGRES, SUPABASE = (pytest.param(way, marks=pytest.mark.full) for way in WAYS)


@pytest.fixture(scope="module", params=[EMBEDDED, POSTGRES, "supabase"])
def installation(request: pytest.FixtureRequest, server: embedded.Server) -> Iterator[Installation]:
    with WAYS[request.param](server, request.getfixturevalue) as made:
        yield made


@pytest.fixture
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """Somebody else's browser."""
    with browser.new_context() as context:
        context.set_default_timeout(20_000)
        yield context


def enter(page: Page, installation: Installation) -> None:
    """Sign in as the admin."""
    page.goto(installation.url)
    sign_in(page, ADMIN["email"], PASSWORD)
    heading(page, "All my stores")


def refusals(page: Page) -> list[str]:
    """What the content policy keeps the page from, as it happens. One inline script of Streamlit's page is kept out."""
    refused: list[str] = []

    def note(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text and not said.text.startswith("Executing inline script"):
            refused.append(said.text)

    page.on("console", note)
    return refused


def stores(page: Page) -> list[str]:
    page.locator(".st-key-profile input").click()
    names = page.get_by_role("option").all_inner_texts()
    page.keyboard.press("Escape")
    return names


def test_speak_hear_download_and_see_it_counted(page: Page, installation: Installation):
    refused = refusals(page)
    page.goto(installation.url)
    sign_in(page, ADMIN["email"], "incorrect horse")
    expect(page.get_by_text("The e-mail address or the password is wrong.")).to_be_visible()
    sign_in(page, ADMIN["email"], PASSWORD)
    heading(page, "All my stores")
    choose_store(page, "001 · Quay")
    go(page, "Voice")
    heading(page, "Voice")
    type_line(page, LINE)
    generate_button(page).click()
    link = page.get_by_role("link", name="Download MP3").first  # the text's own, and that in the history
    expect(link).to_be_visible()
    idle(page)
    assert page.evaluate(DURATION) > 1
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "fresh-bread-at-six-every-morning.mp3"
    assert download.value.path().stat().st_size > 10_000
    sound = page.request.get(f"{installation.url}{link.get_attribute('href')}")
    assert sound.headers["content-type"] == "audio/mpeg"
    assert sound.url.startswith(installation.project.url if installation.project else installation.url)
    assert_fits_a_dark_telephone(page)
    go(page, "Overview")
    heading(page, "Quay")
    expect(page.get_by_test_id("stMetric").filter(has_text="Speech, 30 days")).to_contain_text("1")
    go(page, "Jobs")
    heading(page, "Jobs")
    spoken = page.locator("[class*=st-key-job_]").filter(has_text=LINE)
    expect(spoken).to_contain_text("Done in")
    assert refused == []
    assert_signing_out_ends_the_session(page, installation)


def assert_fits_a_dark_telephone(page: Page) -> None:
    """It scrolls in one direction, and is as dark as the telephone. Afterwards it is wide and light again."""
    page.set_viewport_size(NARROW)
    page.emulate_media(color_scheme="dark")
    page.reload()
    heading(page, "Voice")
    expect(page.get_by_role("textbox", name="Text")).to_be_visible()
    expect(page.get_by_test_id("stApp")).to_have_css("background-color", DARK)
    assert page.evaluate(TOO_WIDE) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)


def assert_signing_out_ends_the_session(page: Page, installation: Installation) -> None:
    """Whoever kept the cookie has nothing any more."""
    kept = {cookie["name"]: cookie["value"] for cookie in page.context.cookies(installation.url)}
    with httpx.Client(base_url=installation.url, cookies=kept) as thief:
        assert thief.get("/jobs").status_code == 200
        page.get_by_role("button", name="Sign out", exact=True).click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert thief.get("/jobs").status_code == 401


@pytest.mark.parametrize("installation", [POSTGRES, SUPABASE], indirect=True)
def test_a_manager_is_let_in_and_sees_their_own_store(
    page: Page, visitor: BrowserContext, installation: Installation
):  # fmt: skip
    enter(page, installation)
    type_manager(page)
    theirs = visitor.new_page()
    page.get_by_role("button", name=re.compile("Make invitation link|Send invitation")).click()
    mailed = installation.project and installation.link("mia@example.test", "invite")
    accept(theirs, mailed or page.get_by_role("dialog").locator("code").inner_text())
    heading(theirs, "All my stores")
    assert stores(theirs) == ["All my stores", "001 · Quay"]
    expect(theirs.get_by_test_id("stSidebarNav").get_by_role("link", name="Admin")).to_have_count(0)
    theirs.goto(f"{installation.url}/admin")
    expect(theirs.get_by_text("Your role does not open this page")).to_be_visible()
    assert_deactivated_they_are_out(page, theirs, installation)


def assert_deactivated_they_are_out(page: Page, theirs: Page, installation: Installation) -> None:
    page.goto(f"{installation.url}/admin?part=People")
    heading(page, "People")
    page.get_by_role("textbox", name="Search people").fill("mia")
    page.keyboard.press("Enter")
    expect(page.get_by_text(ADMIN["email"])).to_have_count(0)
    idle(page)
    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("I am sure").click()
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog.get_by_text("Say why")).to_be_visible()
    dialog.get_by_label("Reason to deactivate or remove").fill("On leave")
    dialog.get_by_role("button", name="Deactivate").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("Deactivated", exact=False).first).to_be_visible()
    theirs.wait_for_timeout(10_500)  # as long as another process may believe that they are signed in
    theirs.goto(installation.url)
    expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()


def accept(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Save and sign in").click()


@pytest.mark.parametrize("installation", ["supabase"], indirect=True)
def test_a_forgotten_password_is_replaced_by_mail(page: Page, installation: Installation):
    email = colleague(installation, "a forgotten one")
    page.goto(installation.url)
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", name="Look into your mail")).to_be_visible()
    accept(page, installation.link(email, "recovery"))
    heading(page, "Costs")
    page.get_by_role("button", name="Sign out", exact=True).click()
    sign_in(page, email, "a forgotten one")
    expect(page.get_by_text("The e-mail address or the password is wrong.")).to_be_visible()
    sign_in(page, email, NEW_PASSWORD)
    heading(page, "Costs")


def colleague(installation: Installation, password: str) -> str:
    """A finance person who has signed in before; returns the address."""
    person = installation.world.person(installation.account, "finance")
    email = installation.world.password(person, password)
    desk(installation.hosted.stack).password(person, password)
    return email
