"""Covers on the Clips page: of a clip in its dialog, of a project under its name."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from streamlit.testing.v1 import AppTest

from services.scripts import practice
from tests.builders import World
from tests.pages.conftest import texts
from tests.pages.test_clips import Shop, has, html

DRAWER = "gemini-3.1-flash-image"


@pytest.fixture
def shop(desk: World, open_page: Callable[..., AppTest]) -> Shop:
    return Shop(desk, open_page, quota="10")


@pytest.fixture
def clip(shop: Shop) -> UUID:
    return shop.clip("Window", thumbnail_path="thumbnails/film.jpg", width=1080, height=1920)


@pytest.fixture
def connected(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The company has a Gemini account, and prices for the model that draws."""
    monkeypatch.setattr("ui.script_models.connected", lambda *_: True)
    for kind, usd in {"input_tokens": "0.50", "cached_tokens": "0.50", "output_tokens": "60"}.items():
        shop.world.price(shop.account, "gemini", DRAWER, usd, kind=kind, per=1_000_000)


def opened(shop: Shop, subject: UUID, **address: str) -> AppTest:
    """The page with the card of covers open."""
    test = shop.look(**address)
    test.session_state[f"cover_card_{subject}"] = True
    return ran(test.run())


def ran(test: AppTest) -> AppTest:
    assert not test.exception
    return test


def draw_button(test: AppTest) -> Any:
    return next(button for button in test.button if button.label.startswith("Draw"))


def orders(shop: Shop) -> list[dict[str, Any]]:
    return shop.world.rows("select * from public.proposals order by started_at")


def test_without_a_key_it_says_what_to_add_and_practises(shop: Shop, clip: UUID, work: Callable[[World], Any]) -> None:
    test = opened(shop, clip, clip=str(clip))
    assert "its key is missing" in texts(test)
    assert "An admin can add it under Settings" in texts(test)
    assert practice.DRAWN_PLAINLY in texts(test)
    assert draw_button(test).label == "Draw · free"
    ran(draw_button(test).click().run())
    (order,) = orders(shop)
    assert (order["clip_id"], order["model"], order["created_by"]) == (clip, practice.MODEL, shop.manager)
    assert "Window" in order["wanted"]["prompt"]
    assert order["wanted"]["ratio"] == "9:16"
    work(shop.world)
    test = opened(shop, clip, clip=str(clip))
    assert f'src="/files/small-covers/{order["id"]}" alt="Cover: A cover image for “Window”' in html(test)
    ran(test.button(key=f"cover_use_{order['id']}").click().run())
    assert shop.row(clip)["cover_id"] == order["id"]
    test = opened(shop, clip, clip=str(clip))
    assert f"/files/thumbnails/{clip}?v=1-{order['id']}" in html(test)
    ran(test.button(key=f"cover_{clip}_none").click().run())
    assert shop.row(clip)["thumbnail_path"] == "thumbnails/film.jpg"


@pytest.mark.usefixtures("connected")
def test_the_price_stands_on_the_button_and_what_was_typed_stays(shop: Shop, clip: UUID) -> None:
    test, second_tab = (opened(shop, clip, clip=str(clip)) for _ in range(2))
    assert draw_button(test).label == "Draw · at most $0.2508"
    test.selectbox(key=f"cover_{clip}_model").select("gemini-3-pro-image")
    test.text_area(key=f"cover_{clip}_prompt").input("A loaf at dawn")
    ran(test.run())
    assert "has no prices yet" in texts(test)
    test.selectbox(key=f"cover_{clip}_model").select(DRAWER)
    ran(test.run())
    shop.world.execute("update public.profiles set monthly_quota_usd = 0.1 where id = %s", shop.store)
    ran(draw_button(test).click().run())
    assert "does not cover it. Nothing was bought" in texts(test)
    assert "Choose a cheaper model" in texts(test)
    assert test.text_area(key=f"cover_{clip}_prompt").value == "A loaf at dawn"
    assert orders(shop) == []
    shop.world.execute("update public.profiles set monthly_quota_usd = 10 where id = %s", shop.store)
    ran(draw_button(test).click().run())
    (order,) = orders(shop)
    assert order["wanted"] == {"prompt": "A loaf at dawn", "ratio": "9:16"}
    assert draw_button(test).disabled
    ran(draw_button(second_tab).click().run())
    assert len(orders(shop)) == 1


@pytest.mark.usefixtures("connected")
def test_one_that_failed_says_why_and_what_it_cost(shop: Shop, clip: UUID) -> None:
    opened_once = opened(shop, clip, clip=str(clip))
    ran(draw_button(opened_once).click().run())
    shop.world.execute("update public.proposals set cost_usd = 0.0672")
    shop.world.execute("update public.jobs set status = 'failed', error = 'Gemini blocked it.' where kind = 'cover'")
    test = opened(shop, clip, clip=str(clip))
    assert "Gemini blocked it. \\$0.0672 was charged." in texts(test)
    assert not draw_button(test).disabled


def test_a_project_gets_its_own(shop: Shop, work: Callable[[World], Any]) -> None:
    test = opened(shop, shop.project, project="Autumn (videos)")
    ran(draw_button(test).click().run())
    work(shop.world)
    (order,) = orders(shop)
    assert (order["project_id"], order["clip_id"], order["wanted"]["ratio"]) == (shop.project, None, "16:9")
    test = opened(shop, shop.project, project="Autumn (videos)")
    ran(test.button(key=f"cover_use_{order['id']}").click().run())
    test = shop.look(project="Autumn (videos)")
    assert f'src="/files/small-covers/{order["id"]}" alt="Cover of the project Autumn"' in html(test)
    assert not has(test, f"cover_{shop.project}_draw")  # the card is closed
    shop.world.execute("update public.profiles set suspended_at = now() where id = %s", shop.store)
    assert draw_button(opened(shop, shop.project, project="Autumn (videos)")).disabled
