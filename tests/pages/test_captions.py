"""Captions on the Publish page: priced, ordered, followed, put in and brought back, by who may."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from streamlit.testing.v1 import AppTest

from services.config import settings
from services.media.folder import Folder
from services.scripts import assistants, practice, proposals
from services.scripts.assistants import Values
from services.scripts.captions import Wanted
from services.scripts.phases import Assistant, PhaseModels
from tests.builders import World
from tests.pages.conftest import Opened, half_a_minute_later, texts
from tests.publishing.shop import Shop, ready_clip, shop
from tests.scripts.newsroom import MODEL, PRICES
from tests.video import files

Page = Callable[..., AppTest]
CAPTION = "Autumn bread · 0:01. Visit us today.\n\n#autumn #bread"


@pytest.fixture
def place(desk: World) -> Shop:
    return shop(desk, networks=("instagram", "x"))


@pytest.fixture
def clip(desk: World, place: Shop, tmp_path: Path) -> UUID:
    path = f"clips/{place.account}/{place.store}/{uuid4()}.mp4"
    Folder(settings().media_folder).write(path, files.film(tmp_path / "x", seconds=1.0).read_bytes())
    return ready_clip(desk, place.store, media_path=path, name="Autumn bread", duration_seconds=1)


@pytest.fixture
def page(open_page: Opened, place: Shop, clip: UUID) -> Page:
    """The composer of the clip with the card of captions open."""

    def opened(person: UUID | None = None, **state: Any) -> AppTest:
        test = open_page(
            person or place.manager, "publish", store=f"s-{place.store}", clip=str(clip), post_part="Write"
        )
        test.session_state["post_captions"] = True
        test.run()
        assert not test.exception
        return test

    return opened


def assistant(place: Shop, model: str = practice.MODEL, **changes: Any) -> None:
    models = PhaseModels.model_validate(dict.fromkeys(PhaseModels.model_fields, model))
    values = Assistant(name="Baker", models=models, **changes)
    assistants.save(place.door, uuid4(), place.store, Values(assistant=values))
    half_a_minute_later()


def press(test: AppTest, label: str) -> AppTest:
    test = next(button for button in test.button if button.label.startswith(label)).click().run()
    assert not test.exception
    return test


def said(test: AppTest) -> str:
    """As it is read, without what keeps Markdown from it."""
    return texts(test).replace("\\", "")


def labels(test: AppTest) -> list[str]:
    return [button.label for button in test.button]


def words_here(test: AppTest) -> list[str]:
    return [area.value for area in test.text_area if area.label == "Caption here"]


def test_from_a_click_to_words_and_back(desk: World, page: Page, place: Shop, work) -> None:
    assistant(place)
    test = page()
    assert practice.PLAINLY in said(test)
    assert "It is free" in said(test)
    test = press(test, "Propose captions · free")
    assert "Cancel" in labels(test)
    work(desk)
    test = test.run()
    assert practice.PLAINLY in said(test)
    assert [one.value for one in test.text if "Autumn" in one.value] == [CAPTION, CAPTION]
    assert not [label for label in labels(test) if label.startswith("Propose captions")]
    test = press(test, "Use for X")
    assert words_here(test) == [CAPTION]
    assert "In X's words below" in said(test)
    assert "was created with a default value" not in said(test)
    test = press(test, "Use for Instagram")
    test = press(test, "Bring back X's words")
    assert words_here(test) == [CAPTION]
    assert "Use for X" in labels(test)
    area = next(area for area in test.text_area if area.label == "Caption here")
    area.input("My own words").run()
    test = press(test, "Use for Instagram")
    test = press(test, "Bring back Instagram's words")
    assert words_here(test) == ["My own words"]
    press(test, "Publish")
    captions = desk.rows("select identifier, caption from public.publications")
    assert {row["identifier"]: row["caption"] for row in captions} == {"instagram": "My own words", "x": ""}


def test_the_price_is_shown_before_and_what_the_month_does_not_cover_is_refused(
    desk: World, page: Page, place: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant(place, MODEL)
    test = page()
    assert "Gemini is not connected" in said(test)
    monkeypatch.setattr("ui.script_models.connected", lambda *_: True)
    test.run()
    assert "no prices yet" in said(test)
    for kind, usd in PRICES.items():
        desk.price(place.account, "gemini", MODEL, usd, kind=kind, per=1_000_000)
    test.run()
    assert "US dollars: at most $0.0608. Nothing if this film's captions are there already" in said(test)
    desk.execute("update public.profiles set monthly_quota_usd = 0.02 where id = %s", place.store)
    test = press(test, "Propose captions · at most $0.0608")
    assert "quota" in said(test)
    assert "Write the captions yourself" in said(test)
    assert desk.rows("select from public.proposals") == []
    desk.execute("update public.profiles set monthly_quota_usd = 1 where id = %s", place.store)
    test = press(test, "Propose captions")
    assert len(desk.rows("select from public.proposals")) == 1
    test = press(test, "Cancel")
    assert "cancelled" in said(test)
    assert "Retry" in labels(test)


def test_without_an_assistant_it_says_who_writes(page: Page) -> None:
    assert "Nobody writes for this store yet" in said(page())


def test_what_cannot_be_looked_at_is_said(desk: World, page: Page, place: Shop, clip: UUID, work) -> None:
    assistant(place)
    wanted = Wanted(language="en", limits={"instagram": 2_200, "x": 280}).model_dump(mode="json")
    folder = Folder(settings().media_folder)
    folder.write(desk.value("select media_path from public.clips where id = %s", clip), b"nothing")
    proposals.order(place.door, uuid4(), "captions", place.store, practice.MODEL, wanted, clip_id=clip)
    work(desk)
    test = page()
    assert "Nothing was charged" in said(test)
    assert "Retry" in labels(test)
    desk.execute("update public.clips set media_type = 'audio' where id = %s", clip)
    assert "sound only" in said(test.run())
    desk.execute("update public.clips set media_type = 'video', final_status = 'processing' where id = %s", clip)
    half_a_minute_later()
    assert "not ready yet. Captions can be proposed" in said(test.run())


def test_finance_and_nobody_do_not_see_it(desk: World, place: Shop, open_page: Opened) -> None:
    for person in (desk.person(place.account, "finance"), None):
        test = open_page(person, "publish", store=f"s-{place.store}")
        assert "Propose captions from the clip" not in [card.label for card in test.expander]
