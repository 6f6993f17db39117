"""Covers: drawn at a known price, filed with who asked, kept with their prompts, chosen and put back."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from services import clips
from services.database.door import Database
from services.database.embedded import Server
from services.errors import Conflict, InvalidInput, NotAllowed, NotFound, PriceMissing, QuotaExceeded, StorageFull
from services.jobs import queue
from services.jobs.periodic import SWEPT
from services.media.folder import Folder
from services.scripts import covers, practice, proposals
from services.speech import reconcile
from tests import kill
from tests.builders import World
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_wire import Turn
from tests.fakes.web import HANG_UP
from tests.scripts.newsroom import cost
from tests.scripts.studio import DRAWER, DRAWN, PNG, PROMPT, Studio
from tests.video import files


@pytest.fixture
def studio(world: World, server: Server, folder: Folder, fake: FakeGemini) -> Studio:
    return Studio.open(world, server, folder, fake)


# Drawing ----------------------------------------------------------------------------------------------------------


def test_a_cover_is_drawn_priced_and_kept_with_its_prompt(studio: Studio) -> None:
    quoted = covers.quote(studio.door, studio.store, DRAWER)
    made = studio.drawn(ratio="9:16")
    found = studio.proposal(made)
    assert (found.status, found.wanted) == ("completed", {"prompt": PROMPT, "ratio": "9:16"})
    assert [files.size_of(data) for data in studio.files_of(made)] == [(640, 360), (640, 360)]
    (asked,) = studio.fake.bodies()
    assert asked["contents"][0]["parts"] == [{"text": PROMPT}]
    assert asked["generationConfig"]["imageConfig"]["aspectRatio"] == "9:16"
    (entry,) = studio.entries()
    assert (entry["operation"], entry["category"], entry["model"]) == ("cover_image", "image", DRAWER)
    assert (entry["clip_id"], entry["job_id"]) == (studio.clip, made)
    assert found.cost_usd == entry["cost_usd"] == cost(studio.fake.bill[0])
    assert 0 < entry["cost_usd"] < quoted.largest
    assert studio.world.value("select details ->> 'preview' from public.cost_entry_details") == PROMPT
    studio.assert_books_equal_the_bill()


def test_a_podcasts_image_is_filed_with_who_asked(studio: Studio) -> None:
    """P19."""
    studio.drawn(studio.on_podcast())
    (entry,) = studio.entries()
    assert (entry["operation"], entry["user_id"]) == ("cover_image", studio.manager)
    assert (entry["project_id"], entry["clip_id"]) == (studio.podcast, None)


def test_an_episodes_image_is_filed_with_who_asked(studio: Studio) -> None:
    """P20."""
    studio.drawn(studio.on_clip(studio.episode))
    (entry,) = studio.entries()
    assert (entry["operation"], entry["user_id"]) == ("cover_image", studio.manager)
    assert (entry["project_id"], entry["clip_id"]) == (studio.podcast, studio.episode)


def test_the_practice_writer_draws_for_nothing(studio: Studio) -> None:
    assert covers.quote(studio.door, studio.store, practice.MODEL).largest == 0
    made = studio.cover(model=practice.MODEL)
    assert studio.work()["status"] == "completed"
    assert (studio.fake.bill, studio.world.value("select sum(cost_usd) from public.cost_entries")) == ([], 0)
    assert covers.get(studio.door, made).note == practice.DRAWN_PLAINLY
    assert studio.files_of(made)


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (Turn(block="SAFETY"), "blocked the prompt: Gemini judged it unsafe.*billed.*other words"),
        (Turn(finish="IMAGE_SAFETY"), "blocked its answer.*billed.*other words"),
        (Turn("I can only describe it."), "holds no picture.*billed"),
        (Turn(pictures=(PNG[:400],)), "no picture that can be shown.*billed"),
        (Turn(pictures=(b"<svg onload='x()'/>",)), "no picture that can be shown.*billed"),
    ],
)
def test_what_is_no_picture_is_billed_and_explained(studio: Studio, turn: Turn, says: str) -> None:
    studio.fake.say(turn)
    made = studio.cover()
    ended = studio.work()
    assert ended["status"] == "failed"
    found = studio.proposal(made)
    assert (found.status, found.error, found.output) == ("failed", ended["error"], None)
    assert re.search(says, ended["error"])
    assert not studio.folder.exists(f"covers/{studio.account}/{studio.store}/{made}.jpg")
    with pytest.raises(NotFound):
        covers.get(studio.door, made)
    assert studio.world.value("select sum(held_usd) from public.cost_holds") == 0
    studio.assert_books_equal_the_bill()
    studio.fake.say(DRAWN)
    queue.retry(studio.door, made)
    assert studio.finish(made)["status"] == "completed"
    assert len(studio.fake.bill) == 2


# Once, whatever happens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["intended", "spooled", "filed", "settled", "thumbnail_written"])
def test_a_worker_killed_pays_once_and_the_picture_is_there(studio: Studio, place: str) -> None:
    studio.fake.say(DRAWN)
    made = studio.cover()
    studio.die_at(f"{place}:1")
    assert studio.finish(made)["status"] == "completed"
    assert len(studio.fake.bill) == 1
    assert [files.size_of(data) for data in studio.files_of(made)] == [(640, 360), (640, 360)]
    studio.assert_books_equal_the_bill()


@pytest.mark.parametrize("place", ["sent", "answered"])
def test_a_call_nobody_can_tell_about_is_not_made_again(studio: Studio, place: str) -> None:
    made = studio.cover()
    studio.die_at(f"{place}:1")
    assert "nobody can tell" in studio.finish(made)["error"]
    assert len(studio.fake.bill) == (place == "answered")


def test_an_answer_lost_on_its_way_is_not_asked_for_again(studio: Studio) -> None:
    studio.fake.say(Turn(pictures=(PNG,), lost=lambda _: HANG_UP))
    made = studio.cover()
    assert studio.work()["status"] == "failed"
    assert "nobody can tell" in str(studio.proposal(made).error)
    assert len(studio.fake.bill) == 1


def test_a_store_of_files_without_room_costs_no_second_picture(studio: Studio) -> None:
    studio.fake.say(DRAWN)
    made = studio.cover()

    def full(*_: object) -> None:
        raise StorageFull

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio.folder, "write", full)
        assert studio.work()["error"] == str(StorageFull())
    assert len(studio.entries()) == 1  # what was bought is booked all the same
    assert reconcile.drain(studio.world.as_worker(), studio.folder, studio.options.spool_folder) == 1
    queue.retry(studio.door, made)
    assert studio.finish(made)["status"] == "completed"
    assert studio.files_of(made)
    assert len(studio.fake.bill) == 1
    studio.assert_books_equal_the_bill()


def test_a_double_click_buys_once(studio: Studio) -> None:
    made, subject = uuid4(), studio.on_clip()
    with ThreadPoolExecutor(4) as hands:
        assert set(hands.map(lambda _: studio.cover(subject, made), range(4))) == {made}
    studio.fake.say(DRAWN)
    assert studio.work()["status"] == "completed"
    assert studio.work() == {}
    assert len(studio.fake.bill) == len(studio.entries()) == 1


def test_a_month_that_covers_one_picture_draws_one(
    world: World, server: Server, folder: Folder, fake: FakeGemini
) -> None:
    studio = Studio.open(world, server, folder, fake, quota="0.04")
    subject = studio.on_clip()

    with ThreadPoolExecutor(6) as hands:
        ends = [end.exception() for end in [hands.submit(studio.cover, subject) for _ in range(6)]]
    assert ends.count(None) == 1
    assert sum(isinstance(end, QuotaExceeded) and end.refusal is not None for end in ends) == 5
    fake.say(DRAWN)
    assert studio.work()["status"] == "completed"
    assert len(fake.bill) == 1
    studio.assert_books_equal_the_bill()


def test_one_is_cancelled_before_it_is_bought(studio: Studio) -> None:
    made = studio.cover()
    queue.cancel(studio.door, made)
    assert studio.work() == {}
    assert (studio.proposal(made).status, studio.fake.bill) == ("cancelled", [])


# Choosing ---------------------------------------------------------------------------------------------------------


def test_a_cover_becomes_the_thumbnail_and_the_films_own_comes_back(studio: Studio) -> None:
    first, second = studio.drawn(), studio.drawn(prompt="A roll")
    assert [found.id for found in covers.find(studio.door, studio.on_clip())] == [second, first]
    for cover_id in (first, second, first):
        covers.show(studio.door, studio.on_clip(), cover_id)
        shown = studio.row()
        assert (shown.cover_id, shown.thumbnail_path) == (
            cover_id, covers.get(studio.door, cover_id).thumbnail_path)  # fmt: skip
    for _ in range(2):
        covers.show(studio.door, studio.on_clip(), None)
        assert (studio.row().cover_id, studio.row().thumbnail_path) == (None, "thumbnails/film.jpg")


def test_a_project_shows_its_own_cover(studio: Studio) -> None:
    made = studio.drawn(studio.on_podcast())
    assert covers.find(studio.door, studio.on_clip(studio.episode)) == []
    covers.show(studio.door, studio.on_podcast(), made)
    assert studio.project(studio.podcast).cover_id == made
    covers.show(studio.door, studio.on_podcast(), None)
    assert studio.project(studio.podcast).cover_id is None


def test_a_clip_prepared_anew_keeps_its_cover_and_its_films_new_thumbnail(studio: Studio) -> None:
    made = studio.drawn()
    covers.show(studio.door, studio.on_clip(), made)
    studio.world.job("prepare_clip", studio.store, input={"clip_id": str(studio.clip), "version": 1})
    context = kill.claim(studio.world, studio.folder, "prepare_clip")
    media = {"media_path": "clips/x.mp4", "media_type": "video", "bytes": 1, "width": 4, "height": 3, "has_sound": True}
    context.finish("clip_prepared", p_media=media, p_thumbnail="thumbnails/new.jpg")
    assert studio.row().thumbnail_path == covers.get(studio.door, made).thumbnail_path
    assert studio.known("thumbnails/new.jpg", "thumbnails/film.jpg") == {"thumbnails/new.jpg"}
    covers.show(studio.door, studio.on_clip(), None)
    assert studio.row().thumbnail_path == "thumbnails/new.jpg"


def test_only_what_was_drawn_for_it_can_be_chosen(studio: Studio) -> None:
    made, of_podcast = studio.drawn(), studio.drawn(studio.on_podcast())
    studio.fake.say(Turn(block="SAFETY"))
    failed = studio.cover()
    studio.work()
    for subject, cover_id in [
        (studio.on_clip(studio.episode), made), (studio.on_clip(studio.episode), of_podcast),
        (studio.on_podcast(), made), (studio.on_clip(), failed), (studio.on_clip(), uuid4()),
    ]:  # fmt: skip
        with pytest.raises(NotFound):
            covers.show(studio.door, subject, cover_id)
    clips.delete(studio.door, studio.clip)
    with pytest.raises(Conflict):
        covers.show(studio.door, studio.on_clip(), made)
    with pytest.raises(NotFound):
        studio.cover(studio.on_clip())
    podcast = studio.on_podcast()
    clips.delete_project(studio.door, studio.podcast)
    with pytest.raises(Conflict):
        covers.show(studio.door, podcast, of_podcast)
    studio.world.execute("update public.profiles set archived_at = now() where id = %s", studio.store)
    with pytest.raises(NotFound):
        covers.show(studio.door, podcast, None)


# Who --------------------------------------------------------------------------------------------------------------


def test_who_works_in_the_store_draws_and_chooses_and_nobody_else(studio: Studio) -> None:
    world, subject, made = studio.world, studio.on_clip(), studio.drawn()
    beside = world.store(studio.account)
    refused: list[tuple[Database, type[Exception]]] = [
        (world.as_person(world.person(studio.account, "finance")), NotAllowed),
        (world.as_person(world.person(studio.account, "manager", beside)), NotFound),
        (world.as_person(world.person(world.company(), "admin")), NotFound),
        (world.doors.anonymous(), NotAllowed),
    ]
    for door, refusal in refused:
        for subject_ in (subject, studio.on_podcast()):
            with pytest.raises(refusal):
                studio.cover(subject_, door=door)
            with pytest.raises(refusal):
                covers.show(door, subject_, made)
    admin = world.as_person(world.person(studio.account, "admin"))
    covers.show(admin, subject, made)
    assert covers.get(refused[0][0], made)  # finance reads
    for door, _ in refused[1:]:
        with pytest.raises((NotFound, NotAllowed)):
            covers.get(door, made)
    assert len(studio.fake.bill) == 1


# Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"prompt": " "}, "prompt"), ({"prompt": "x" * 2_001}, "prompt"), ({"model": "gemini-3.8-flash"}, "model"),
     ({"model": "gemini-2.5-flash-image"}, "model")],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_beside_its_field(studio: Studio, changes: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        studio.cover(**changes)
    assert caught.value.field == field
    assert studio.world.rows("select from public.proposals") == []


def test_a_model_without_prices_is_not_used(studio: Studio) -> None:
    with pytest.raises(PriceMissing):
        covers.quote(studio.door, studio.store, "gemini-3-pro-image")
    with pytest.raises(PriceMissing):
        studio.cover(model="gemini-3-pro-image")


@pytest.mark.parametrize("wanted", [{}, {"prompt": "x", "ratio": "7:1"}, {"prompt": "x" * 9_000, "ratio": "1:1"}])
def test_an_order_that_passed_by_the_page_buys_nothing_it_does_not_know(studio: Studio, wanted: Any) -> None:
    clip = studio.on_clip()
    made = proposals.order(studio.door, uuid4(), "cover", studio.store, DRAWER, wanted, clip_id=clip.clip_id)
    assert "what to draw" in studio.work()["error"]
    assert (studio.proposal(made).status, studio.fake.bill) == ("failed", [])


@pytest.mark.parametrize(
    ("size", "ratio"),
    [((1920, 1080), "16:9"), ((1080, 1920), "9:16"), ((1080, 1350), "4:5"), ((5000, 10), "16:9"), ((100, 99), "1:1")],
)
def test_a_cover_has_the_shape_of_its_film(size: tuple[int, int], ratio: str) -> None:
    assert covers.nearest(size[0] / size[1]) == ratio


# Files ------------------------------------------------------------------------------------------------------------


def test_files_stay_as_long_as_there_is_what_they_were_drawn_for(studio: Studio) -> None:
    assert "covers" in SWEPT
    made, of_podcast = studio.drawn(), studio.drawn(studio.on_podcast())
    found = [covers.get(studio.door, cover_id) for cover_id in (made, of_podcast)]
    of_clip, of_project = ({cover.media_path, cover.thumbnail_path} for cover in found)
    strange = {path.replace("covers/", "speech/") for path in of_clip} | {f"covers/{uuid4()}.jpg", "covers/x/y/z.jpg"}
    assert studio.known(*of_clip, *of_project, *strange) == of_clip | of_project
    clips.delete(studio.door, studio.clip)  # may be brought back
    assert studio.known(*of_clip) == of_clip
    studio.world.execute("delete from public.clips where id in (%s, %s)", studio.clip, studio.episode)
    assert studio.known(*of_clip, *of_project) == of_project
    studio.world.execute("delete from public.projects where id = %s", studio.podcast)
    assert studio.known(*of_project) == set()


def test_a_picture_is_known_while_it_is_drawn_and_not_when_it_failed(studio: Studio) -> None:
    studio.fake.say(Turn(block="SAFETY"))
    made = studio.cover()
    path = f"covers/{studio.account}/{studio.store}/{made}.jpg"
    assert studio.known(path) == {path}
    studio.work()
    assert studio.known(path) == set()
