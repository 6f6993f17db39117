"""Clips: projects, the grid and its filters, one clip opened, speech brought along, deleting with the way back."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from streamlit.testing.v1 import AppTest

from services import clips
from services.errors import Unavailable
from tests.builders import World
from tests.pages.conftest import slug, texts


class Shop:
    """A store with a project and its manager, who looks at the Clips page."""

    def __init__(self, world: World, open_page: Callable[..., AppTest], **store: Any) -> None:
        self.world, self._open = world, open_page
        self.account = world.company()
        self.store = world.store(self.account, **store)
        self.manager = world.person(self.account, "manager", self.store, name="Mia")
        self.project = world.project(self.store, "Autumn")

    def look(self, **address: str) -> AppTest:
        return self._open(self.manager, "clips", slug(self.world, self.store), **address)

    def clip(self, name: str = "Window", **changes: Any) -> UUID:
        """A clip that can be played and published."""
        ready = {"final_status": "completed", "media_type": "video", "media_path": f"clips/{uuid4()}.mp4",
                 "source_path": f"uploads/{uuid4()}.mp4", "duration_seconds": 12, "bytes": 5 << 20}  # fmt: skip
        return self.world.clip(self.store, self.project, name=name, **{**ready, **changes})

    def speech(self, text: str = "Fresh bread at six.", store: UUID | None = None) -> UUID:
        made = uuid4()
        self.world.insert(
            "public.speech_assets", id=made, account_id=self.account, profile_id=store or self.store, text=text,
            content_hash="h", provider="practice", model="premium", voice="heart", settings={}, format="mp3",
            characters=9, duration_seconds=3, bytes=100, media_path=f"speech/{made}.mp3", cost_usd=0,
        )  # fmt: skip
        return made

    def row(self, clip_id: UUID) -> dict[str, Any]:
        (row,) = self.world.rows("select * from public.clips where id = %s", clip_id)
        return row


@pytest.fixture
def shop(desk: World, open_page: Callable[..., AppTest]) -> Shop:
    return Shop(desk, open_page)


def names(test: AppTest) -> list[str]:
    """Of the cards, in their order."""
    return [m.value.strip("*") for m in test.markdown if m.value.startswith("**") and m.value.endswith("**")]


def test_cards_tell_what_is_known_and_offer_what_can_be_done(shop: Shop):
    ready, waiting = shop.clip("Window"), shop.clip("Door", final_status="pending", media_path=None)
    failed = shop.clip("Oven", final_status="failed", media_path=None, error="The file is broken.")
    test = shop.look()
    assert not test.exception
    assert names(test) == ["Oven", "Door", "Window"]
    assert "12 s · 5.0 MB · " in texts(test)
    assert "The file is broken." in texts(test)
    assert "Waiting for a worker" in texts(test)
    assert has(test, f"clip_retry_{failed}")
    assert not has(test, f"clip_retry_{ready}")
    assert [link.proto.query_string for link in test.get("page_link") if link.proto.label == "Publish"] == [
        f"clip={ready}"
    ]
    assert has(test, f"clip_open_{waiting}")


def has(test: AppTest, key: str) -> bool:
    return any(button.key == key for button in test.button)


def html(test: AppTest) -> str:
    return "\n".join(element.proto.body for element in test.get("html"))


def test_times_are_the_store_s(desk: World, open_page: Callable[..., AppTest]):
    shop = Shop(desk, open_page, timezone="America/Bogota")
    shop.clip(created_at="2026-01-01T03:30:00Z")
    assert "31 Dec 2025, 22:30" in texts(shop.look())


def test_a_thumbnail_is_fetched_through_the_gated_address(shop: Shop):
    clip = shop.clip(thumbnail_path="thumbnails/x.jpg", version=3)
    assert f'src="/files/thumbnails/{clip}?v=3"' in html(shop.look())


def test_without_a_project_the_first_one_is_made_here(desk: World, open_page: Callable[..., AppTest]):
    shop = Shop(desk, open_page)
    desk.execute("delete from public.projects where id = %s", shop.project)
    test = shop.look()
    assert "Make the first one" in texts(test)
    assert 'class="clip-upload"' not in html(test)
    test.text_input(key="project_name").set_value("Winter")
    test.radio(key="project_kind").set_value("podcast")
    test.button(key="project_create").click().run()
    assert not test.exception
    (project,) = clips.projects(desk.as_person(shop.manager), shop.store)
    assert (project.name, project.kind) == ("Winter", "podcast")
    assert test.selectbox(key="project").value == str(project.id)
    assert f"/uploads/{shop.store}?project={project.id}" in html(test)
    assert ".mp3" in html(test)


def test_a_bad_name_is_said_beside_it_and_stays(desk: World, open_page: Callable[..., AppTest]):
    shop = Shop(desk, open_page)
    desk.execute("delete from public.projects where id = %s", shop.project)
    test = shop.look()
    test.text_input(key="project_name").set_value("   ")
    test.button(key="project_create").click().run()
    assert "A name has 1 to 200 characters." in texts(test)
    assert test.text_input(key="project_name").value == "   "


def test_an_empty_project_says_what_to_do_first(shop: Shop):
    assert "No clips yet. Drop files above" in texts(shop.look())


def test_filters_narrow_and_say_when_nothing_matches(shop: Shop):
    shop.clip("Window")
    shop.clip("Picture", media_type="image")
    test = shop.look()
    test.selectbox(key="media").set_value("image").run()
    assert names(test) == ["Picture"]
    test.text_input(key="q").set_value("window").run()
    assert names(test) == []
    assert "No clip matches" in texts(test)
    test.selectbox(key="media").set_value("any").run()
    assert names(test) == ["Window"]


def test_filters_are_read_from_the_address(shop: Shop):
    shop.clip("Window")
    shop.clip("Oven", final_status="failed")
    assert names(shop.look(shown="Failed")) == ["Oven"]
    assert names(shop.look(q="wind")) == ["Window"]
    assert names(shop.look(project="Autumn (videos)")) == ["Oven", "Window"]
    assert names(shop.look(project="Nobody's", shown="x")) == ["Oven", "Window"]


def test_pages_of_clips_are_turned(shop: Shop):
    for number in range(26):
        shop.clip(f"Clip {number:02}")
    test = shop.look()
    assert len(names(test)) == 24
    test.button(key="clips_older").click().run()
    assert names(test) == ["Clip 01", "Clip 00"]
    test.button(key="clips_newer").click().run()
    assert names(test)[0] == "Clip 25"


def test_two_projects_of_one_name_are_told_apart(shop: Shop):
    again = shop.world.project(shop.store, "Autumn")
    shop.clip("Window")
    test = shop.look()
    assert test.selectbox(key="project").options == ["All projects", "Autumn (videos) 2", "Autumn (videos)"]
    test.selectbox(key="project").set_value(str(again)).run()
    assert names(test) == []


def test_a_clip_is_opened_played_and_renamed(shop: Shop):
    clip = shop.clip("Window", subtitles_path="x.vtt", source_name="IMG_1.mp4")
    test = shop.look()
    assert "<video" not in html(test)
    test.button(key=f"clip_open_{clip}").click().run()
    assert test.query_params["clip"] == str(clip)
    shown = html(test)
    assert f'src="/files/clips/{clip}?v=1"' in shown
    assert f'src="/files/subtitles/{clip}?v=1"' in shown
    assert 'preload="none"' in shown
    assert "Uploaded as IMG" in texts(test)
    test.text_input(key=f"clip_{clip}_name").set_value("Shop window").run()
    test.button(key="clip_save").click().run()
    assert "Shop window" in names(test)
    assert shop.row(clip)["name"] == "Shop window"


def test_a_clip_is_moved(shop: Shop):
    clip, winter = shop.clip(), shop.world.project(shop.store, "Winter")
    test = shop.look(clip=str(clip))
    test.selectbox(key=f"clip_{clip}_project").set_value(str(winter)).run()
    test.button(key="clip_save").click().run()
    assert shop.row(clip)["project_id"] == winter


def test_an_empty_name_is_said_beside_it(shop: Shop):
    clip = shop.clip()
    test = shop.look(clip=str(clip))
    test.text_input(key=f"clip_{clip}_name").set_value(" ").run()
    test.button(key="clip_save").click().run()
    assert "A name has 1 to 200 characters." in texts(test)
    assert shop.row(clip)["name"] == "Window"


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_pictures_and_recordings_have_their_own_player(shop: Shop, kind: str):
    clip = shop.clip(media_type=kind)
    shown = html(shop.look(clip=str(clip)))
    assert {"image": "<img src=", "audio": "<audio controls"}[kind] + "" in shown
    assert "<video" not in shown


def test_names_become_no_markup(shop: Shop):
    clip = shop.clip('<img src=x onerror=alert(1)> **bold** [a](http://x)" onload="x', media_type="image")
    test = shop.look(clip=str(clip))
    assert not test.exception
    assert "onerror=alert(1)>" not in html(test)
    assert '" onload="x' not in html(test)
    assert "\\*\\*bold\\*\\*" in texts(test)


def test_another_store_s_clip_in_the_address_is_not_found(shop: Shop):
    world = shop.world
    elsewhere = world.store(shop.account)
    world.insert("public.profile_members", profile_id=elsewhere, account_id=shop.account, person_id=shop.manager)
    theirs = world.clip(elsewhere, world.project(elsewhere), name="Theirs")
    gone = shop.clip(deleted_at="2026-01-01T00:00:00Z")
    for asked in (theirs, gone, uuid4(), "x", ""):
        test = shop.look(clip=str(asked))
        assert not test.exception
        assert "not one of this store's, or was deleted" in texts(test)
        assert "Theirs" not in texts(test)


def test_what_was_deleted_is_brought_back_by_undo(shop: Shop):
    clip = shop.clip("Window")
    test = shop.look(clip=str(clip))
    test.button(key="clip_delete").click().run()
    assert names(test) == []
    assert "Deleted the clip **Window**" in texts(test)
    assert shop.row(clip)["deleted_at"]
    test.button(key="clips_undo_button").click().run()
    assert names(test) == ["Window"]
    assert "Deleted the clip" not in texts(test)


def test_what_was_deleted_long_ago_is_found_and_brought_back(shop: Shop):
    clip = shop.clip("Window", deleted_at="2026-01-01T00:00:00Z")
    test = shop.look()
    assert names(test) == []
    test.selectbox(key="shown").set_value("deleted").run()
    assert names(test) == ["Window"]
    assert not has(test, f"clip_open_{clip}")
    test.button(key=f"clip_restore_{clip}").click().run()
    assert names(test) == []
    assert shop.row(clip)["deleted_at"] is None


def test_a_project_is_renamed_and_deleted_with_its_clips_and_brought_back(shop: Shop):
    shop.clip("Window")
    test = shop.look()
    test.selectbox(key="project").set_value(str(shop.project)).run()
    test.text_input(key=f"project_{shop.project}_name").set_value("Spring").run()
    test.button(key="project_rename").click().run()
    assert "Spring (videos)" in test.selectbox(key="project").options
    test.button(key="project_delete").click().run()
    assert not test.exception
    assert "Deleted the project **Spring**" in texts(test)
    assert names(test) == []
    test.selectbox(key="shown").set_value("deleted").run()
    test.button(key=f"project_restore_{shop.project}").click().run()
    test.selectbox(key="shown").set_value("any").run()
    assert names(test) == ["Window"]


def test_a_refusal_is_said(shop: Shop):
    clip = shop.clip("Window")
    whose = {"account_id": shop.account, "profile_id": shop.store, "clip_id": clip}
    bundle = uuid4()
    shop.world.insert("public.bundles", id=bundle, **whose)
    shop.world.insert(
        "public.publications",
        id=uuid4(),
        bundle_id=bundle,
        channel="c",
        name="c",
        identifier="x",
        state="sending",
        **whose,
    )
    test = shop.look()
    test.button(key=f"clip_delete_{clip}").click().run()
    assert "1 post is on its way" in texts(test)
    assert names(test) == ["Window"]
    test.run()
    assert "on its way" not in texts(test)


def test_a_failed_clip_is_tried_again(shop: Shop):
    clip = shop.clip(final_status="failed", media_path=None)
    test = shop.look()
    test.button(key=f"clip_retry_{clip}").click().run()
    assert shop.world.value("select count(*) from public.jobs where kind = 'prepare_clip'") == 1
    assert shop.row(clip)["final_status"] == "pending"
    (job,) = shop.world.rows("select id from public.jobs")
    assert has(test, f"cancel_{job['id']}")


class TestSpeech:
    def test_brought_along_it_is_put_on_the_clip_that_is_chosen(self, shop: Shop):
        clip, picture, speech = shop.clip("Window"), shop.clip("Photo", media_type="image"), shop.speech()
        test = shop.look(speech=str(speech))
        assert "Put on a clip: *Fresh bread at six.*" in texts(test)
        assert not has(test, f"clip_take_{picture}")
        test.radio(key="clips_hand_mode").set_value("replace").run()
        test.button(key=f"clip_take_{clip}").click().run()
        assert not test.exception
        (job,) = shop.world.rows("select * from public.jobs where kind = 'put_speech'")
        assert job["input"] == {"clip_id": str(clip), "speech_id": str(speech), "mode": "replace", "version": 2}
        assert "speech" not in test.query_params
        assert "Put on a clip" not in texts(test)

    def test_brought_along_it_can_be_left(self, shop: Shop):
        test = shop.look(speech=str(shop.speech()))
        test.button(key="clips_hand_drop").click().run()
        assert "Put on a clip" not in texts(test)

    def test_of_another_store_is_not_found(self, shop: Shop):
        for asked in (shop.speech(store=shop.world.store(shop.account)), uuid4(), "x"):
            test = shop.look(speech=str(asked))
            assert not test.exception
            assert "The speech in the address is not one of this store's" in texts(test)

    def test_is_chosen_in_the_opened_clip(self, shop: Shop):
        clip, speech = shop.clip(), shop.speech()
        shop.speech("A later line.")
        test = shop.look(clip=str(clip))
        test.selectbox(key=f"clip_speech_{clip}").set_value(speech)
        test.button(key=f"clip_put_{clip}").click().run()
        (job,) = shop.world.rows("select * from public.jobs where kind = 'put_speech'")
        assert (job["input"]["speech_id"], job["input"]["mode"]) == (str(speech), "mix")

    def test_that_somebody_else_has_put_on_meanwhile_is_not_replaced_unseen(self, shop: Shop):
        clip, speech = shop.clip(), shop.speech()
        test = shop.look(clip=str(clip))
        shop.world.execute("update public.clips set version = 2 where id = %s", clip)
        test.button(key=f"clip_put_{clip}").click().run()
        assert "Somebody saved this meanwhile" in texts(test)
        assert shop.world.rows("select from public.jobs where kind = 'put_speech'") == []
        test.button(key=f"clip_put_{clip}").click().run()
        assert shop.world.value("select input ->> 'speech_id' from public.jobs where kind = 'put_speech'") == str(
            speech
        )

    def test_is_taken_off(self, shop: Shop):
        clip = shop.clip(speech_id=shop.speech(), speech_mode="mix")
        test = shop.look(clip=str(clip))
        assert "with speech" in texts(test)
        test.button(key=f"clip_off_{clip}").click().run()
        assert shop.world.value("select count(*) from public.jobs where kind = 'prepare_clip'") == 1

    def test_where_there_is_none_the_way_to_it_is_shown(self, shop: Shop):
        assert "This store has no speech yet" in texts(shop.look(clip=str(shop.clip())))

    def test_leads_here_from_the_voice_page(self, shop: Shop, open_page: Callable[..., AppTest]):
        speech = shop.speech()
        test = open_page(shop.manager, "voice", slug(shop.world, shop.store))
        links = [link.proto for link in test.get("page_link") if link.proto.label == "Put on a clip"]
        assert [link.query_string for link in links] == [f"speech={speech}"]


def test_over_all_stores_it_asks_for_one(shop: Shop, open_page: Callable[..., AppTest]):
    assert "This page works for one store" in texts(open_page(shop.manager, "clips"))


def test_a_suspended_store_says_why_and_takes_nothing(desk: World, open_page: Callable[..., AppTest]):
    shop = Shop(desk, open_page, suspended_at="2026-01-01T00:00:00Z", suspended_reason="stocktaking")
    shop.clip("Window")
    test = shop.look()
    assert "stocktaking" in texts(test)
    assert 'class="clip-upload"' not in html(test)
    assert names(test) == ["Window"]


def test_the_overview_leads_to_the_latest_clips(shop: Shop, open_page: Callable[..., AppTest]):
    clip = shop.clip("Window", thumbnail_path="thumbnails/x.jpg")
    shop.clip("Oven", final_status="failed", media_path=None)
    where = slug(shop.world, shop.store)
    test = open_page(shop.manager, "overview", where)
    assert f'src="/files/thumbnails/{clip}?v=1"' in html(test)
    assert "Failed · " in texts(test)
    links = {link.proto.label: link.proto.query_string for link in test.get("page_link")}
    assert links["Window"] == f"clip={clip}"
    finance = open_page(shop.world.person(shop.account, "finance"), "overview", where)
    assert "Window" in texts(finance)
    assert "Window" not in {link.proto.label for link in finance.get("page_link")}


def test_finance_does_not_see_it(shop: Shop, open_page: Callable[..., AppTest]):
    test = open_page(shop.world.person(shop.account, "finance"), "clips")
    assert "Your role does not open this page" in texts(test)


def test_the_database_away_is_not_empty(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    shop.clip("Window")
    test = shop.look()

    def away(*_: Any, **__: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(clips, "page", away)
    test.run()
    assert not test.exception
    assert "The database does not answer right now" in texts(test)
    assert "No clips yet" not in texts(test)
