"""Projects and clips: who may change what, what is undone, what jobs do to a clip, and finding one of very many."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest

from services import clips
from services.clips import Clip, UploadedSource
from services.config import settings
from services.database.door import Database
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, StoreSuspended
from services.jobs import queue
from services.jobs.context import Claimed, Context
from services.jobs.periodic import sweep_media
from services.media.folder import Folder
from tests.builders import World
from tests.publishing import shop as publishing


class Shop:
    """A store with a video project, and everybody who may or may not be there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.account = world.company()
        self.store = world.store(self.account)
        self.manager = world.person(self.account, "manager", self.store)
        self.project = clips.create_project(self.door, self.store, "video", "Autumn")

    @property
    def door(self) -> Database:
        return self.world.as_person(self.manager)

    def source(self, clip_id: UUID | None = None, **changes: Any) -> UploadedSource:
        path = clips.upload_path(self.account, self.store, clip_id or uuid4(), "mp4")
        return UploadedSource(**{"path": path, "name": "a.mp4", "bytes": 9, "media_type": "video", **changes})

    def add(self, name: str = "Window", **changes: Any) -> UUID:
        return clips.add(self.door, self.store, self.project, name, self.source(**changes))

    def ready(self, name: str = "Window", **changes: Any) -> UUID:
        """A clip that was prepared; its job is done."""
        clip_id = self.add(name)
        values = {"final_status": "completed", "media_path": f"clips/{clip_id}.mp4", "has_sound": True, **changes}
        self.world.execute("update public.jobs set status = 'completed' where input ->> 'clip_id' = %s", str(clip_id))
        for column, value in values.items():
            self.world.execute(f"update public.clips set {column} = %s where id = %s", value, clip_id)
        return clip_id

    def speech(self, store: UUID | None = None) -> UUID:
        made = uuid4()
        self.world.insert(
            "public.speech_assets", id=made, account_id=self.account, profile_id=store or self.store, text="Bread.",
            content_hash="h", provider="practice", model="premium", voice="heart", settings={}, format="mp3",
            characters=6, duration_seconds=1, bytes=9, media_path=f"speech/{made}.mp3", cost_usd=0,
        )  # fmt: skip
        return made

    def get(self, clip_id: UUID) -> Clip:
        return clips.get(self.door, clip_id)

    def jobs(self, clip_id: UUID) -> list[dict[str, Any]]:
        return self.world.rows(
            "select * from public.jobs where input ->> 'clip_id' = %s order by created_at, id", str(clip_id)
        )

    def end(self, clip_id: UUID, status: str, error: str | None = None) -> None:
        """The clip's open job ends, or goes on, like this."""
        self.world.execute(
            "update public.jobs set status = %s, error = %s"
            " where input ->> 'clip_id' = %s and status in ('pending', 'running')",
            status, error, str(clip_id),
        )  # fmt: skip

    def audited(self) -> list[str]:
        query = "select action from public.audit_log where profile_id = %s order by id"
        return [row["action"] for row in self.world.rows(query, self.store)]


@pytest.fixture
def shop(shared_desk: World) -> Shop:
    return Shop(shared_desk)


def names(found: list[Clip]) -> list[str]:
    return [clip.name for clip in found]


class TestRights:
    """Each change, tried by everybody who may not make it."""

    CHANGES: ClassVar[dict[str, Callable[[Database, Shop, UUID], object]]] = {
        "create_project": lambda door, shop, clip: clips.create_project(door, shop.store, "video", "Mine"),
        "rename_project": lambda door, shop, clip: clips.rename_project(door, shop.project, "Mine"),
        "delete_project": lambda door, shop, clip: clips.delete_project(door, shop.project),
        "restore_project": lambda door, shop, clip: clips.restore_project(door, shop.project),
        "upload_target": lambda door, shop, clip: clips.upload_target(door, shop.store, shop.project),
        "add": lambda door, shop, clip: clips.add(door, shop.store, shop.project, "Mine", shop.source()),
        "rename": lambda door, shop, clip: clips.rename(door, clip, "Mine"),
        "move": lambda door, shop, clip: clips.move(door, clip, shop.project),
        "delete": lambda door, shop, clip: clips.delete(door, clip),
        "restore": lambda door, shop, clip: clips.restore(door, clip),
        "retry": lambda door, shop, clip: clips.retry(door, clip),
        "put_speech": lambda door, shop, clip: clips.put_speech(door, clip, uuid4(), "mix", 1),
        "take_speech_off": lambda door, shop, clip: clips.take_speech_off(door, clip, 1),
    }

    def people(self, shop: Shop) -> dict[str, Database]:
        world = shop.world
        return {
            "another store's manager": world.as_person(
                world.person(shop.account, "manager", world.store(shop.account))
            ),
            "another company's admin": world.as_person(world.person(world.company(), "admin")),
            "a stranger": world.as_person(world.person(None)),
        }

    @pytest.mark.parametrize("change", CHANGES)
    def test_others_find_nothing(self, shop: Shop, change: str):
        clip = shop.ready()
        before = shop.world.rows("select * from public.clips where id = %s", clip)
        for who, door in self.people(shop).items():
            with pytest.raises(NotFound):
                self.CHANGES[change](door, shop, clip)
            assert shop.world.rows("select * from public.clips where id = %s", clip) == before, who

    @pytest.mark.parametrize("change", CHANGES)
    def test_finance_reads_only(self, shop: Shop, change: str):
        clip = shop.ready()
        finance = shop.world.as_person(shop.world.person(shop.account, "finance"))
        with pytest.raises(NotAllowed):
            self.CHANGES[change](finance, shop, clip)
        assert names(clips.page(finance, shop.store)) == ["Window"]

    @pytest.mark.parametrize("change", CHANGES)
    def test_who_is_not_signed_in_may_nothing(self, shop: Shop, change: str):
        with pytest.raises(AppError):
            self.CHANGES[change](shop.world.doors.anonymous(), shop, shop.ready())

    def test_another_store_s_clips_are_not_listed(self, shop: Shop):
        shop.ready()
        for who, door in self.people(shop).items():
            with pytest.raises(NotFound):
                clips.page(door, shop.store)
            assert clips.projects(door, shop.store) == [], who

    def test_an_admin_may_all(self, shop: Shop):
        admin = shop.world.as_person(shop.world.person(shop.account, "admin"))
        clip = shop.ready()
        clips.rename(admin, clip, "Door")
        clips.delete(admin, clip)
        clips.restore(admin, clip)
        assert shop.get(clip).name == "Door"

    @pytest.mark.parametrize("change", ["create_project", "upload_target", "add", "retry", "put_speech"])
    def test_nothing_is_made_for_a_suspended_store(self, shop: Shop, change: str):
        clip = shop.ready()
        shop.world.execute("update public.profiles set suspended_at = now() where id = %s", shop.store)
        with pytest.raises(StoreSuspended):
            self.CHANGES[change](shop.door, shop, clip)


class TestProjects:
    def test_one_is_made_with_its_maker(self, shop: Shop):
        (project,) = clips.projects(shop.door, shop.store)
        assert (project.name, project.kind, project.created_by) == ("Autumn", "video", shop.manager)

    def test_the_same_click_makes_one(self, shop: Shop):
        made = uuid4()
        for _ in range(2):
            clips.create_project(shop.door, shop.store, "podcast", "Bread talk", made)
        assert len(clips.projects(shop.door, shop.store)) == 2
        with pytest.raises(Conflict):
            clips.create_project(shop.door, shop.store, "podcast", "Another", made)

    @pytest.mark.parametrize("name", ["", "  \n ", "x" * 201])
    def test_a_bad_name_is_said_beside_it(self, shop: Shop, name: str):
        for change in (
            lambda: clips.create_project(shop.door, shop.store, "video", name),
            lambda: clips.rename_project(shop.door, shop.project, name),
            lambda: clips.rename(shop.door, shop.add(), name),
        ):
            with pytest.raises(InvalidInput) as said:
                change()
            assert said.value.field == "name"

    def test_a_kind_that_is_none_is_said_beside_it(self, shop: Shop):
        with pytest.raises(InvalidInput) as said:
            shop.door.call("create_project", p_id=uuid4(), p_profile_id=shop.store, p_kind="film", p_name="x")
        assert said.value.field == "kind"

    def test_deleted_it_takes_its_clips_along_and_brings_them_back(self, shop: Shop):
        gone_before, first, second = shop.ready("Gone"), shop.ready("First"), shop.ready("Second")
        clips.delete(shop.door, gone_before)
        assert clips.delete_project(shop.door, shop.project) == 2
        assert clips.projects(shop.door, shop.store) == []
        assert clips.page(shop.door, shop.store) == []
        clips.restore_project(shop.door, shop.project)
        assert {clip.id for clip in clips.page(shop.door, shop.store)} == {first, second}
        assert shop.audited()[-2:] == ["project_deleted", "project_restored"]

    def test_twice_deleted_and_twice_restored_is_once(self, shop: Shop):
        shop.ready()
        clips.delete_project(shop.door, shop.project)
        assert clips.delete_project(shop.door, shop.project) == 0
        for _ in range(2):
            clips.restore_project(shop.door, shop.project)
        assert shop.audited() == ["project_deleted", "project_restored"]


class TestAdding:
    def test_row_and_job_come_together(self, shop: Shop):
        clip_id = uuid4()
        source = shop.source(clip_id)
        assert clips.add(shop.door, shop.store, shop.project, " Shop \n window ", source) == clip_id
        clip = shop.get(clip_id)
        assert (clip.name, clip.final_status, clip.source_path) == ("Shop window", "pending", source.path)
        assert (clip.created_by, clip.media_path, clip.version) == (shop.manager, None, 1)
        (job,) = shop.jobs(clip_id)
        assert (job["kind"], job["created_by"], job["profile_id"]) == ("prepare_clip", shop.manager, shop.store)
        assert job["input"] == {"clip_id": str(clip_id), "path": source.path, "version": 1}

    def test_the_same_file_again_adds_nothing(self, shop: Shop):
        source = shop.source()
        clip_id, again = (clips.add(shop.door, shop.store, shop.project, "Window", source) for _ in range(2))
        assert clip_id == again
        assert len(shop.jobs(clip_id)) == 1

    @pytest.mark.parametrize(
        "path",
        [
            "uploads/{other}/{id}.mp4", "uploads/{own}/../{other}/{id}.mp4", "uploads/{own}/x.mp4",
            "speech/{own}/{id}.mp4", "uploads/{own}/{id}", "uploads/{own}/{id}.mp4/x", "/uploads/{own}/{id}.mp4",
            "uploads/{own}/{id}.mp4\n",
        ],
    )  # fmt: skip
    def test_a_file_elsewhere_is_refused(self, shop: Shop, path: str):
        other = Shop(shop.world)
        clip_id = uuid4()
        folders = {"own": f"{shop.account}/{shop.store}", "other": f"{other.account}/{other.store}"}
        source = {"path": path.format(id=clip_id, **folders), "name": "a", "bytes": 9, "media_type": "video"}
        with pytest.raises(InvalidInput, match="not among the store's uploads"):
            shop.door.call(
                "add_clip", p_clip_id=clip_id, p_profile_id=shop.store, p_project_id=shop.project, p_name="x",
                p_source=source,
            )  # fmt: skip

    @pytest.mark.parametrize("changes", [{"bytes": 0}, {"bytes": -1}, {"media_type": "text"}])
    def test_what_is_no_clip_is_refused(self, shop: Shop, changes: dict[str, Any]):
        clip_id = uuid4()
        source = {**shop.source(clip_id).model_dump(), **changes}
        with pytest.raises(InvalidInput):
            shop.door.call(
                "add_clip", p_clip_id=clip_id, p_profile_id=shop.store, p_project_id=shop.project, p_name="x",
                p_source=source,
            )  # fmt: skip

    def test_another_s_clip_is_not_taken_over(self, shop: Shop):
        other = Shop(shop.world)
        clip_id = other.add()
        with pytest.raises(Conflict):
            clips.add(shop.door, shop.store, shop.project, "Mine", shop.source(clip_id))

    def test_another_store_s_project_is_not_found(self, shop: Shop):
        other = Shop(shop.world)
        with pytest.raises(NotFound):
            clips.add(shop.door, shop.store, other.project, "Window", shop.source())
        with pytest.raises(NotFound):
            clips.move(shop.door, shop.add(), other.project)

    def test_a_recording_goes_into_a_podcast_only(self, shop: Shop):
        podcast = clips.create_project(shop.door, shop.store, "podcast", "Bread talk")
        with pytest.raises(InvalidInput) as said:
            shop.add(media_type="audio")
        assert said.value.field == "project"
        recording = clips.add(shop.door, shop.store, podcast, "One", shop.source(media_type="audio"))
        with pytest.raises(InvalidInput):
            clips.move(shop.door, recording, shop.project)

    def test_into_a_deleted_project_nothing_comes(self, shop: Shop):
        clips.delete_project(shop.door, shop.project)
        with pytest.raises(Conflict, match="was deleted"):
            shop.add()
        with pytest.raises(NotFound):
            clips.upload_target(shop.door, shop.store, shop.project)


class TestDeleting:
    def test_is_undone(self, shop: Shop):
        clip = shop.ready()
        clips.delete(shop.door, clip)
        assert clips.page(shop.door, shop.store) == []
        assert names(clips.page(shop.door, shop.store, status="deleted")) == ["Window"]
        clips.restore(shop.door, clip)
        assert names(clips.page(shop.door, shop.store)) == ["Window"]
        assert shop.audited() == ["clip_deleted", "clip_restored"]

    def test_while_its_project_is_deleted_a_clip_stays_deleted(self, shop: Shop):
        clip = shop.ready()
        clips.delete(shop.door, clip)
        clips.delete_project(shop.door, shop.project)
        with pytest.raises(Conflict, match="Autumn"):
            clips.restore(shop.door, clip)

    @pytest.mark.parametrize(
        "change",
        [
            lambda door, clip: clips.rename(door, clip, "x"),
            clips.retry,
            lambda door, clip: clips.put_speech(door, clip, uuid4(), "mix", 1),
        ],
    )
    def test_what_is_deleted_is_not_changed(self, shop: Shop, change: Callable[[Database, UUID], object]):
        clip = shop.ready()
        clips.delete(shop.door, clip)
        with pytest.raises(Conflict, match="was deleted"):
            change(shop.door, clip)

    @pytest.mark.parametrize("state", ["uploading", "uploaded", "sending"])
    def test_is_refused_while_a_post_is_on_its_way(self, shared_desk: World, state: str):
        at_vendor = publishing.shop(shared_desk)
        project = shared_desk.value("select project_id from public.clips where id = %s", at_vendor.clip)
        self.post(at_vendor, state)
        with pytest.raises(Conflict, match="on its way"):
            clips.delete(at_vendor.door, at_vendor.clip)
        with pytest.raises(Conflict, match="on its way"):
            clips.delete_project(at_vendor.door, project)
        assert not clips.get(at_vendor.door, at_vendor.clip).deleted_at

    @pytest.mark.parametrize("state", ["draft", "scheduled", "published", "failed", "missed", "cancelled"])
    def test_is_allowed_before_and_after(self, shared_desk: World, state: str):
        at_vendor = publishing.shop(shared_desk)
        self.post(at_vendor, state)
        clips.delete(at_vendor.door, at_vendor.clip)
        assert clips.get(at_vendor.door, at_vendor.clip).deleted_at

    def post(self, at_vendor: publishing.Shop, state: str) -> None:
        whose = {"account_id": at_vendor.account, "profile_id": at_vendor.store}
        bundle = uuid4()
        at_vendor.world.insert("public.bundles", id=bundle, clip_id=at_vendor.clip, **whose)
        at_vendor.world.insert(
            "public.publications", id=uuid4(), bundle_id=bundle, clip_id=at_vendor.clip, channel="c", name="c",
            identifier="x", state=state, **whose,
        )  # fmt: skip


class TestWork:
    """A clip's status follows its job, however that ends."""

    def test_from_queued_to_failed_and_again(self, shop: Shop):
        clip = shop.add()
        shop.end(clip, "running")
        assert shop.get(clip).final_status == "processing"
        shop.end(clip, "pending", "The media store is away.")
        assert shop.get(clip).final_status == "pending"
        shop.end(clip, "failed", "The file is broken.")
        assert (shop.get(clip).final_status, shop.get(clip).error) == ("failed", "The file is broken.")
        clips.retry(shop.door, clip)
        assert (shop.get(clip).final_status, shop.get(clip).error) == ("pending", None)
        assert [job["status"] for job in shop.jobs(clip)] == ["failed", "pending"]

    def test_cancelled_it_has_failed_and_retried_on_the_jobs_page_it_goes_on(self, shop: Shop):
        clip = shop.add()
        (job,) = clips.work(shop.door, shop.store).values()
        queue.cancel(shop.door, job.id)
        assert shop.get(clip).final_status == "failed"
        assert "cancelled" in (shop.get(clip).error or "")
        queue.retry(shop.door, job.id)
        assert shop.get(clip).final_status == "pending"

    def test_only_what_failed_is_tried_again(self, shop: Shop):
        with pytest.raises(Conflict):
            clips.retry(shop.door, shop.ready())

    def test_the_jobs_under_way_are_known_by_clip(self, shop: Shop):
        first, _ = shop.add("First"), shop.ready("Done")
        second = shop.add("Second")
        assert set(clips.work(shop.door, shop.store)) == {first, second}

    def test_another_store_s_job_changes_no_clip(self, shop: Shop):
        clip, other = shop.ready(), Shop(shop.world)
        job = shop.world.job("prepare_clip", other.store, input={"clip_id": str(clip), "version": 1})
        shop.world.execute("update public.jobs set status = 'failed' where id = %s", job)
        assert shop.get(clip).final_status == "completed"


class TestSpeech:
    def test_is_ordered_for_the_next_version(self, shop: Shop):
        clip, speech = shop.ready(), shop.speech()
        job_id = clips.put_speech(shop.door, clip, speech, "replace", 1)
        job = queue.get_job(shop.door, job_id)
        assert job.input == {"clip_id": str(clip), "speech_id": str(speech), "mode": "replace", "version": 2}
        assert (shop.get(clip).final_status, shop.get(clip).version) == ("pending", 2)
        assert shop.get(clip).speech_id is None  # until it is on it

    def test_by_who_saw_an_older_version_is_refused(self, shop: Shop):
        clip, speech = shop.ready(), shop.speech()
        clips.put_speech(shop.door, clip, speech, "mix", 1)
        shop.end(clip, "completed")
        with pytest.raises(Conflict, match="meanwhile"):
            clips.put_speech(shop.door, clip, speech, "mix", 1)

    def test_one_at_a_time(self, shop: Shop):
        clip, speech = shop.ready(), shop.speech()
        clips.put_speech(shop.door, clip, speech, "mix", 1)
        with pytest.raises(Conflict, match="being worked on"):
            clips.put_speech(shop.door, clip, speech, "mix", 2)
        assert shop.get(clip).version == 2

    def test_that_fails_leaves_the_clip_as_it_was(self, shop: Shop):
        clip = shop.ready()
        clips.put_speech(shop.door, clip, shop.speech(), "mix", 1)
        shop.end(clip, "running")
        shop.end(clip, "failed", "The speech is too long.")
        found = shop.get(clip)
        assert (found.final_status, found.error, found.ready) == ("completed", "The speech is too long.", True)

    def test_of_another_store_is_not_found(self, shop: Shop):
        elsewhere = shop.speech(shop.world.store(shop.account))
        for speech in (elsewhere, uuid4()):
            with pytest.raises(NotFound, match="Speech not found"):
                clips.put_speech(shop.door, shop.ready(), speech, "mix", 1)

    def test_deleted_it_is_not_found(self, shop: Shop):
        speech = shop.speech()
        shop.world.execute("update public.speech_assets set deleted_at = now() where id = %s", speech)
        with pytest.raises(NotFound):
            clips.put_speech(shop.door, shop.ready(), speech, "mix", 1)

    def test_is_not_put_on_a_picture_nor_on_what_is_not_ready(self, shop: Shop):
        with pytest.raises(InvalidInput, match="picture"):
            clips.put_speech(shop.door, shop.ready(media_type="image"), shop.speech(), "mix", 1)
        with pytest.raises(Conflict, match="not ready"):
            clips.put_speech(shop.door, shop.add(), shop.speech(), "mix", 1)

    def test_a_mode_that_is_none_is_refused(self, shop: Shop):
        with pytest.raises(InvalidInput) as said:
            clips.put_speech(shop.door, shop.ready(), shop.speech(), "loud", 1)  # type: ignore[arg-type] - bad on purpose
        assert said.value.field == "mode"

    def test_is_taken_off_by_preparing_the_upload_again(self, shop: Shop):
        clip = shop.ready(speech_id=shop.speech(), speech_mode="mix")
        job = queue.get_job(shop.door, clips.take_speech_off(shop.door, clip, 1))
        assert job.kind == "prepare_clip"
        assert job.input == {"clip_id": str(clip), "path": shop.get(clip).source_path, "version": 2}

    def test_where_there_is_none_nothing_is_taken_off(self, shop: Shop):
        with pytest.raises(Conflict):
            clips.take_speech_off(shop.door, shop.ready(), 1)


class TestFinding:
    def test_pages_follow_each_other_by_key(self, shop: Shop):
        for number in range(5):
            shop.ready(f"Clip {number}")
        first = clips.page(shop.door, shop.store, limit=2)
        second = clips.page(shop.door, shop.store, limit=2, after=first[-1].key)
        third = clips.page(shop.door, shop.store, limit=2, after=second[-1].key)
        assert names(first + second + third) == [f"Clip {number}" for number in (4, 3, 2, 1, 0)]

    def test_clips_of_one_instant_are_all_shown(self, shop: Shop):
        for number in range(4):
            shop.ready(f"Clip {number}", created_at="2026-01-01T00:00:00Z")
        first = clips.page(shop.door, shop.store, limit=2)
        assert len({clip.id for clip in first + clips.page(shop.door, shop.store, after=first[-1].key)}) == 4

    def test_is_narrowed_by_project_status_and_type(self, shop: Shop):
        podcast = clips.create_project(shop.door, shop.store, "podcast", "Bread talk")
        shop.ready("Video")
        shop.ready("Picture", media_type="image")
        shop.ready("Talk", project_id=podcast)
        shop.add("Waiting")
        failed = shop.add("Failed")
        shop.end(failed, "failed")

        def found(**narrowed: Any) -> set[str]:
            return set(names(clips.page(shop.door, shop.store, **narrowed)))

        assert found(project=podcast) == {"Talk"}
        assert found(status="completed") == {"Video", "Picture", "Talk"}
        assert found(status="working") == {"Waiting"}
        assert found(status="failed") == {"Failed"}
        assert found(media_type="image") == {"Picture"}
        assert found(project=shop.project, status="completed", media_type="video") == {"Video"}

    @pytest.mark.parametrize(
        ("words", "found"),
        [
            ("shop", True), ("WIND", True), ("window shop", True), ("indow", False), ("shop door", False),
            ("img_0042", True), ("größe", True), ("'); drop table", False), (":*&|!<->", True), ("", True),
            ("  ", True), ("shop's", True), ("shop'x", False), ("\u0000", True),
        ],
    )  # fmt: skip
    def test_is_searched_by_beginnings_of_words(self, shop: Shop, words: str, found: bool):
        shop.ready("Shop window, Größe 2", source_name="IMG_0042.mp4")
        if "\0" in words:
            with pytest.raises(InvalidInput):
                clips.page(shop.door, shop.store, search=words)
            return
        assert bool(clips.page(shop.door, shop.store, search=words)) is found

    def test_another_store_s_words_find_nothing(self, shop: Shop):
        other = Shop(shop.world)
        other.ready("Marmalade")
        assert clips.page(shop.door, shop.store, search="marmalade") == []


MANY = """
    insert into public.clips (id, account_id, profile_id, project_id, name, final_status, media_type, source_path,
                              created_at)
    select gen_random_uuid(), %(account)s, %(store)s, %(project)s, 'Window ' || n, 'completed', 'video',
           'uploads/' || n || '.mp4', now() - n * interval '1 minute' from generate_series(1, 20000) n
"""


@pytest.fixture(scope="module")
def crowded(shared_world: World) -> Shop:
    """A store with 20,000 clips, ten of which are in a project of their own."""
    shop = Shop(shared_world)
    shared_world.admin.execute(MANY, {"account": shop.account, "store": shop.store, "project": shop.project})
    rare = clips.create_project(shop.door, shop.store, "video", "Winter")
    shared_world.execute("update public.clips set project_id = %s where source_path like 'uploads/1000_.mp4'", rare)
    shop.project = rare
    shared_world.execute("vacuum analyze public.clips")
    return shop


class TestMany:
    """What a page asks is answered along an index, whatever the number of clips."""

    @pytest.mark.parametrize(
        ("narrowed", "index"),
        [
            ({}, "clips_page"),
            ({"p_project_id": "project"}, "clips_page_project"),
            ({"p_status": "failed"}, "clips_page_status"),
            ({"p_media_type": "audio"}, "clips_page_type"),
            ({"p_text": "19999"}, "clips_words"),
            ({"p_status": "deleted"}, "clips_page_deleted"),
        ],
    )
    def test_uses_an_index(self, crowded: Shop, narrowed: dict[str, str], index: str):
        values = {name: crowded.project if value == "project" else value for name, value in narrowed.items()}
        assert index in self.used(crowded, values)

    def used(self, crowded: Shop, values: dict[str, Any]) -> set[str]:
        """Indexes of clips that were scanned for this page."""
        query = "select indexrelname as name, idx_scan from pg_stat_all_indexes where relname = 'clips'"
        world = crowded.world
        world.execute("select pg_stat_force_next_flush()")
        before = {row["name"]: row["idx_scan"] for row in world.rows(query)}
        with world.admin.transaction():
            world.execute(
                "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
                f'{{"sub": "{crowded.manager}"}}',
            )
            arguments = ", ".join(f"{name} => %s" for name in values)
            world.rows(
                f"select public.clips_page(%s{', ' if values else ''}{arguments})", crowded.store, *values.values()
            )
            world.execute("select pg_stat_force_next_flush()")
        world.execute("select pg_stat_clear_snapshot()")
        return {row["name"] for row in world.rows(query) if row["idx_scan"] > before[row["name"]]}

    def test_the_sweeper_asks_along_an_index(self, crowded: Shop):
        plan = crowded.world.rows(
            "explain select from public.clips c where private.clip_files(c) @> array['uploads/500.mp4']"
        )
        assert any("clips_files" in row["QUERY PLAN"] for row in plan)

    def test_jobs_under_way_are_found_along_an_index(self, crowded: Shop):
        plan = crowded.world.rows(
            "explain select * from public.jobs j where j.profile_id = %s and j.kind in ('prepare_clip', 'put_speech')"
            " and j.status in ('pending', 'running')", crowded.store,
        )  # fmt: skip
        assert any("Index" in row["QUERY PLAN"] for row in plan)


class TestSweeping:
    """Files of clips stay as long as a row or a running job names them."""

    def sweep(self, world: World, tmp_path: Path) -> Folder:
        media = Folder(tmp_path / "media")
        row = {
            "id": uuid4(), "account_id": None, "profile_id": None, "kind": "sweep_media", "input": {}, "attempt": 1,
            "max_attempts": 3, "attempt_token": uuid4(), "created_by": None, "steps": {},
        }  # fmt: skip
        job = Claimed.model_validate(row)
        world.insert(
            "public.jobs", id=job.id, kind=job.kind, request_id=job.id, status="running", attempt=1,
            attempt_token=job.attempt_token,
        )  # fmt: skip
        options = settings().model_copy(update={"sweep_hours": 0})
        sweep_media(Context(job, world.as_worker(), media, options))
        return media

    @pytest.mark.parametrize("column", ["source_path", "media_path", "thumbnail_path", "subtitles_path"])
    def test_what_a_clip_names_stays_deleted_or_not(self, shop: Shop, tmp_path: Path, column: str):
        media = Folder(tmp_path / "media")
        kept, gone = f"clips/{uuid4()}.mp4", f"clips/{uuid4()}.mp4"
        clip = shop.ready(**{column: kept})
        clips.delete(shop.door, clip)
        for path in (kept, gone):
            media.write(path, b"x")
        self.sweep(shop.world, tmp_path)
        assert (media.exists(kept), media.exists(gone)) == (True, False)

    def test_uploads_and_thumbnails_that_nobody_names_go_and_other_people_s_files_stay(
        self, shop: Shop, tmp_path: Path
    ):
        media = Folder(tmp_path / "media")
        lost = [f"{folder}/{shop.account}/{shop.store}/{uuid4()}.mp4" for folder in ("uploads", "clips", "thumbnails")]
        for path in (*lost, "holiday/beach.jpg"):
            media.write(path, b"x")
        self.sweep(shop.world, tmp_path)
        assert [media.exists(path) for path in lost] == [False, False, False]
        assert media.exists("holiday/beach.jpg")

    def test_what_a_running_job_has_just_written_stays(self, shop: Shop, tmp_path: Path):
        clip, media = shop.add(), Folder(tmp_path / "media")
        shop.end(clip, "running")
        path = f"clips/{shop.account}/{shop.store}/{clip}-{uuid4()}.mp4"
        media.write(path, b"x")
        self.sweep(shop.world, tmp_path)
        assert media.exists(path)
        shop.end(clip, "failed")
        self.sweep(shop.world, tmp_path)
        assert not media.exists(path)
