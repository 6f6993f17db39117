"""From an empty installation to the first spoken line and its cost, and what may go wrong on the way."""

import re
import signal
import time
import urllib.request

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from services.database import embedded
from tests.browser.conftest import (
    ADMIN,
    LINE,
    App,
    choose_store,
    create_company,
    generate_button,
    go,
    heading,
    idle,
    running_app,
    sign_in,
    type_line,
    type_manager,
)

pytestmark = pytest.mark.browser


def test_first_start_speak_hear_and_see_it_counted(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    expect(page.get_by_text("First steps")).to_be_visible()
    go(page, "Voice")
    heading(page, "Voice")
    page.get_by_role("button", name="001 · Quay").click()
    type_line(page, LINE)
    generate_button(page).click()
    expect(page.get_by_role("link", name="Download MP3").first).to_be_visible()
    idle(page)
    address = page.get_by_role("link", name="Download MP3").first.get_attribute("href")
    audio = page.request.get(f"{app.url}{address}")
    assert audio.headers["content-type"] == "audio/mpeg"
    assert len(audio.body()) > 10_000
    duration = page.evaluate(
        "() => new Promise((done, fail) => { const a = document.querySelector('audio');"
        " a.onloadedmetadata = () => done(a.duration); a.onerror = () => fail('no sound');"
        " a.preload = 'auto'; a.load(); })"
    )
    assert duration > 1
    go(page, "Overview")
    heading(page, "Quay")
    expect(page.get_by_test_id("stMetric").filter(has_text="Speech, 30 days")).to_contain_text("1")
    go(page, "Jobs")
    heading(page, "Jobs")
    expect(page.get_by_text("Done in")).to_be_visible()


@pytest.mark.full
def test_store_and_range_stay_in_the_address(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    choose_store(page, "001 · Quay")
    page.get_by_role("radio", name="7 days").or_(page.get_by_role("button", name="7 days")).first.click()
    expect(page.get_by_text("Spent, 7 days")).to_be_visible()
    idle(page)
    page.reload()
    heading(page, "Quay")
    expect(page.get_by_text("Spent, 7 days")).to_be_visible()


@pytest.mark.full
def test_a_foreign_store_in_the_address_is_said(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    page.goto(f"{app.url}/?profile=999+%C2%B7+Elsewhere")
    heading(page, "All my stores")
    expect(page.get_by_text("not one of yours, or was archived")).to_be_visible()


def test_a_double_click_makes_one_job(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    choose_store(page, "001 · Quay")
    go(page, "Voice")
    type_line(page, "Double clicks are paid once.")
    generate_button(page).dblclick()
    expect(page.get_by_role("link", name="Download MP3").first).to_be_visible()
    idle(page)
    go(page, "Jobs")
    heading(page, "Jobs")
    expect(page.get_by_text("Double clicks are paid once.")).to_have_count(1)


@pytest.mark.full
def test_a_session_that_ends_mid_form_keeps_the_text(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    choose_store(page, "001 · Quay")
    go(page, "Voice")
    type_line(page, "Kept while the session ended.")
    expire_sessions(app)
    generate_button(page).click()
    expect(page.get_by_text("Your session has ended")).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Sign in again").click(modifiers=["Control"])
    sign_in(opened.value, ADMIN["email"], ADMIN["password"])
    heading(opened.value, "All my stores")
    opened.value.close()
    go(page, "Voice")
    heading(page, "Voice")
    expect(page.get_by_role("textbox", name="Text")).to_have_value("Kept while the session ended.")


def expire_sessions(app: App) -> None:
    """As time would: every session ran out, and more than the ten seconds pass that a yes is believed."""
    server = embedded.start(app.data)
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("update private.sessions set expires_at = now()")
    time.sleep(10.5)


@pytest.mark.full
def test_signing_out_ends_the_other_tab(page: Page, app: App):
    create_company(page, app)
    heading(page, "All my stores")
    other = page.context.new_page()
    other.goto(app.url)
    heading(other, "All my stores")
    other.get_by_role("button", name="Sign out", exact=True).click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    go(page, "Jobs")
    expect(page.get_by_text("Your session has ended")).to_be_visible()


@pytest.mark.full
def test_the_first_admin_hands_a_manager_a_link_who_chooses_a_password(page: Page, app: App, browser: Browser):
    create_company(page, app)
    type_manager(page)
    page.get_by_role("button", name="Make invitation link").click()
    link = page.get_by_role("dialog").locator("code").inner_text()
    assert link.startswith(f"{app.url}/welcome?")
    page.get_by_role("button", name="I have noted it").click()
    expect(page.get_by_text("Invited until")).to_be_visible()
    visitor = browser.new_context().new_page()
    visitor.goto(link)
    visitor.get_by_label("New password").fill("a better password")
    visitor.get_by_role("button", name="Save and sign in").click()
    heading(visitor, "All my stores")
    expect(visitor.get_by_test_id("stSidebarNav").get_by_role("link", name="Admin")).to_have_count(0)
    visitor.goto(f"{app.url}/admin")
    expect(visitor.get_by_text("Your role does not open this page")).to_be_visible()
    visitor.goto(link)
    expect(visitor.get_by_text("This link was used before.")).to_be_visible()
    visitor.context.close()


@pytest.mark.full
def test_after_a_kill_a_second_start_finds_everything(page: Page):
    with running_app() as app:
        create_company(page, app)
        heading(page, "All my stores")
        app.stop(signal.SIGKILL)
        app.start()
        page.goto(f"{app.url}/jobs")
        heading(page, "Jobs")


def test_nobody_reaches_a_page_of_a_fresh_server():
    with running_app() as app:
        for path in ("/", "/overview", "/voice", "/jobs", "/admin", "/shell", "/files/speech/1", "/media/x.mp3"):
            request = urllib.request.Request(f"{app.url}{path}", headers={"accept": "text/html"})
            with urllib.request.urlopen(request) as answer:
                assert re.search(r"/(start|sign-in)", answer.url), path
                assert b"streamlit" not in answer.read().lower(), path


def test_a_wrong_setting_stops_the_start_with_a_sentence():
    with (
        pytest.raises(AssertionError, match=r"Clipdesk cannot start\. Setting WORKER_THREADS"),
        running_app(WORKER_THREADS="many"),
    ):
        pass
