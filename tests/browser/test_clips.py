"""Clips in a real browser: several files at once, one of them bad, looking, renaming, speech, deleting and undoing."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import (
    ADMIN,
    LINE,
    App,
    create_company,
    generate_button,
    go,
    heading,
    idle,
    running_app,
    sign_in,
    type_line,
)
from tests.video.files import film, pattern, picture

pytestmark = pytest.mark.browser
PICTURES = os.environ.get("CLIP_PICTURES")  # a folder: looks are kept there, for people to look at
LOOKS = {"wide": {"width": 1400, "height": 900}, "narrow": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with running_app(UPLOAD_MB="20") as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {name: folder / name for name in ("window.mp4", "bread.png", "notes.mp4", "huge.mp4", "empty.mp4")}
    film(made["window.mp4"], width=320, height=180)
    picture(made["bread.png"], pattern(3, 320, 180))
    made["notes.mp4"].write_bytes(b"These are notes, not a film.\n" * 20_000)
    made["huge.mp4"].write_bytes(np.zeros(21 << 20, np.uint8).tobytes())
    made["empty.mp4"].touch()
    return made


CLIPS = "/clips?profile=001+%C2%B7+Quay"


def open_clips(page: Page, app: App) -> None:
    """The store's Clips page; the first test makes the company and its project."""
    page.goto(f"{app.url}{CLIPS}")
    if "/start" in page.url:
        create_company(page, app)
        heading(page, "All my stores")
        page.goto(f"{app.url}{CLIPS}")
    else:
        sign_in(page, ADMIN["email"], ADMIN["password"])
    heading(page, "Clips")
    if page.get_by_role("button", name="Create project").is_visible():
        page.get_by_label("Name").fill("Autumn")
        page.get_by_role("button", name="Create project").click()
    expect(page.locator(".clip-drop")).to_be_visible()
    idle(page)


def send(page: Page, *files: Path) -> None:
    page.get_by_label("Choose files or drop them here").set_input_files(files)


def card(page: Page, name: str):
    return page.locator("[class*=st-key-clip_card_]").filter(has=page.get_by_text(name, exact=True))


def ready(page: Page, name: str):
    """The card of a clip, once it was prepared."""
    shown = card(page, name)
    expect(shown.get_by_role("link", name="Publish")).to_have_count(1, timeout=60_000)
    expect(shown.locator(".clip-picture img")).to_be_visible()
    idle(page)
    return shown


def act(page: Page, name: str, button: str) -> None:
    card(page, name).get_by_role("button", name=button, exact=True).click()


def keep(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def test_many_files_at_once_good_and_bad_become_cards_or_sentences(page: Page, app: App, files: dict[str, Path]):
    open_clips(page, app)
    keep(page, "empty")
    send(page, *files.values())
    rows = page.locator(".clip-uploads li")
    expect(rows.filter(has_text="notes.mp4")).to_contain_text("This is a text file, which cannot be published.")
    expect(rows.filter(has_text="huge.mp4")).to_contain_text("21 MB; 20 MB is the most.")
    expect(rows.filter(has_text="empty.mp4")).to_contain_text("The file is empty.")
    ready(page, "window")
    ready(page, "bread")
    expect(rows).to_have_count(3)  # what was added has left the list
    keep(page, "cards")
    for name in ("notes.mp4", "huge.mp4", "empty.mp4"):
        page.get_by_role("button", name=f"Dismiss: {name}").click()
    expect(rows).to_have_count(0)
    expect(page.locator("[class*=st-key-clip_card_]")).to_have_count(2)


def test_a_video_is_played_and_renamed(page: Page, app: App, files: dict[str, Path]):
    open_clips(page, app)
    send(page, files["window.mp4"].rename(files["window.mp4"].with_name("door.mp4")))
    ready(page, "door")
    act(page, "door", "Open")
    video = page.locator("video")
    expect(video).to_be_visible()
    seconds = video.evaluate(
        "v => new Promise((done, fail) => { v.onloadedmetadata = () => done(v.duration);"
        " v.onerror = () => fail(v.error.message); v.preload = 'metadata'; v.load(); })"
    )
    assert seconds > 0.5
    assert re.search(r"[?&]clip=[0-9a-f-]{36}", page.url)
    name = page.locator(".st-key-clip_detail").get_by_label("Name")
    name.fill("Shop door")
    name.press("Enter")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Shop door")).to_be_visible()
    idle(page)
    page.reload()
    expect(page.get_by_role("heading", name="Shop door")).to_be_visible()
    idle(page)
    keep(page, "opened")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    idle(page)
    expect(page).not_to_have_url(re.compile("clip="))


@pytest.mark.full
def test_deleted_it_is_brought_back_by_undo(page: Page, app: App, files: dict[str, Path]):
    open_clips(page, app)
    send(page, files["bread.png"].rename(files["bread.png"].with_name("oven.png")))
    ready(page, "oven")
    act(page, "oven", "Delete")
    expect(page.get_by_text("Deleted the clip oven.")).to_be_visible()
    expect(card(page, "oven")).to_have_count(0)
    idle(page)
    page.get_by_role("button", name="Undo").click()
    ready(page, "oven")
    expect(page.get_by_text("Deleted the clip oven.")).to_have_count(0)


@pytest.mark.full
def test_filters_stay_in_the_address(page: Page, app: App):
    open_clips(page, app)
    search = page.get_by_label("Search")
    search.fill("nothing-is-called-so")
    search.press("Enter")
    expect(page.get_by_text("No clip matches.")).to_be_visible()
    idle(page)
    page.reload()
    expect(page.get_by_text("No clip matches.")).to_be_visible()


def test_speech_goes_from_the_voice_page_onto_a_clip(page: Page, app: App, tmp_path: Path):
    open_clips(page, app)
    film(tmp_path / "quay.mp4", width=180, height=320)
    send(page, tmp_path / "quay.mp4")
    ready(page, "quay")
    go(page, "Voice")
    heading(page, "Voice")
    type_line(page, LINE)
    generate_button(page).click()
    link = page.get_by_role("link", name="Put on a clip").first
    expect(link).to_be_visible()
    idle(page)
    link.click()
    heading(page, "Clips")
    expect(page.get_by_text("Put on a clip:")).to_be_visible()
    act(page, "quay", "Put it here")
    expect(card(page, "quay").filter(has_text="with speech")).to_have_count(1, timeout=60_000)
    idle(page)
    expect(card(page, "quay")).to_have_count(1)
    assert "speech=" not in page.url


@pytest.mark.full
def test_a_cut_connection_is_said_and_sent_again(page: Page, app: App, tmp_path: Path):
    open_clips(page, app)
    picture(tmp_path / "cut.png", pattern(6, 320, 180))
    page.route(re.compile(r"/uploads/[0-9a-f-]{36}"), lambda route: route.abort("connectionreset"), times=1)
    send(page, tmp_path / "cut.png")
    row = page.locator(".clip-uploads li").filter(has_text="cut.png")
    expect(row).to_contain_text("The connection broke.")
    row.get_by_role("button", name="Retry: cut.png").click()
    ready(page, "cut")


@pytest.mark.full
def test_an_upload_goes_on_while_another_page_is_looked_at(page: Page, app: App, tmp_path: Path):
    open_clips(page, app)
    picture(tmp_path / "later.png", pattern(9, 320, 180))
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(re.compile(r"/uploads/[0-9a-f-]{36}"), hold, times=1)
    send(page, tmp_path / "later.png")
    expect(page.locator(".clip-uploads li")).to_have_count(1)
    go(page, "Jobs")
    heading(page, "Jobs")
    held[0].continue_()
    go(page, "Clips")
    heading(page, "Clips")
    ready(page, "later")


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overflows(page: Page, app: App, look: str, scheme: str):
    page.set_viewport_size(LOOKS[look])
    page.emulate_media(color_scheme=scheme)
    open_clips(page, app)
    expect(page.locator("[class*=st-key-clip_card_]").first).to_be_visible()
    page.locator("[class*=st-key-clip_open_] button").first.click()
    expect(page.locator(".st-key-clip_detail")).to_be_visible()
    idle(page)
    keep(page, f"{look}-{scheme}")
    wider = page.evaluate(
        "[...document.querySelectorAll('[class*=st-key-clip_card_], .clip-drop-box, .st-key-clip_detail')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wider == 0
