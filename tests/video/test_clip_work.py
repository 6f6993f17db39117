"""The jobs that prepare clips and put speech on them, on real Postgres and a real folder."""

import errno
from itertools import pairwise

import pytest

from services import audio, clip_work, clips
from services.errors import Conflict, InvalidInput, StorageFull
from services.jobs import queue
from services.jobs.context import Cancelled
from services.video import preparing
from tests import kill
from tests.video import files, work


@pytest.fixture(autouse=True)
def _nothing_periodic(world):
    kill.quiet(world)


@pytest.fixture
def film(tmp_path):
    return files.film(tmp_path / "film", fmt="mov")


@pytest.fixture
def clip(world, shop, folder, film):
    """A film that is ready to publish."""
    clip_id = work.upload(world, shop, folder, film, "mov")
    (job,) = work.done(world, folder, work.job_of(world, clip_id))
    assert job["status"] == "completed", job["error"]
    return clip_id


def speech(world, shop, folder, text="Fresh bread at six."):
    """Speech that was made a moment ago; returns its id."""
    job_id = kill.order(world, shop.store, shop.manager, text)
    (row,) = work.done(world, folder, job_id)
    assert row["status"] == "completed", row["error"]
    return world.value("select id from public.speech_assets where job_id = %s", job_id)


# Preparing --------------------------------------------------------------------------------------------------------


def test_a_film_becomes_ready_to_publish(world, shop, folder, clip):
    row = work.row(world, clip)
    assert (row["final_status"], row["error"], row["media_type"]) == ("completed", None, "video")
    assert (row["width"], row["height"], row["has_sound"]) == (64, 48, True)
    assert float(row["duration_seconds"]) == pytest.approx(2.0, abs=0.1)
    assert row["media_path"].startswith(f"clips/{shop.account}/{shop.store}/{clip}-")
    assert row["media_path"].endswith(".mp4")
    assert row["bytes"] == folder.size(row["media_path"])
    assert files.size_of(folder.read(row["thumbnail_path"])) == (64, 48)
    assert folder.exists(row["source_path"])
    assert work.drafts(folder) == []
    kill.sweep(world, folder)
    assert all(folder.exists(row[name]) for name in ("media_path", "thumbnail_path", "source_path"))


def test_what_networks_take_is_not_stored_twice(world, shop, folder, tmp_path):
    made = files.film(tmp_path / "x", options={"movflags": "faststart"})
    clip_id = work.upload(world, shop, folder, made)
    work.done(world, folder, work.job_of(world, clip_id))
    row = work.row(world, clip_id)
    assert (row["final_status"], row["media_path"]) == ("completed", row["source_path"])


@pytest.mark.parametrize("ending", ["jpg", "mp3"])
def test_photos_and_recordings(world, shop, folder, tmp_path, ending):
    is_photo = ending == "jpg"
    made = files.jpeg(tmp_path / "x", files.pattern(0, 60, 40), 6) if is_photo else files.recording(tmp_path / "x")
    clip_id = work.upload(world, shop, folder, made, ending, "image" if is_photo else "audio")
    work.done(world, folder, work.job_of(world, clip_id))
    row = work.row(world, clip_id)
    assert (row["final_status"], row["media_type"]) == ("completed", "image" if is_photo else "audio")
    assert (row["width"], row["height"]) == ((40, 60) if is_photo else (None, None))
    assert (row["thumbnail_path"] is not None) == is_photo


def test_the_content_decides_what_a_clip_is(world, shop, folder, tmp_path):
    clip_id = work.upload(world, shop, folder, files.jpeg(tmp_path / "x", files.pattern(0, 60, 40)))
    work.done(world, folder, work.job_of(world, clip_id))
    assert work.row(world, clip_id)["media_type"] == "image"


def test_a_bad_file_fails_with_a_sentence_and_may_be_tried_again(world, shop, folder, tmp_path):
    bad = tmp_path / "x"
    bad.write_bytes(b"%PDF-1.7 this is no film")
    clip_id = work.upload(world, shop, folder, bad)
    (job,) = work.done(world, folder, work.job_of(world, clip_id))
    assert (job["status"], job["attempt"]) == ("failed", 1)
    row = work.row(world, clip_id)
    assert row["final_status"] == "failed"
    assert "a PDF document" in row["error"]
    assert row["media_path"] is None

    folder.write(row["source_path"], files.film(tmp_path / "good").read_bytes())
    queue.retry(shop.database, job["id"])
    assert work.row(world, clip_id)["final_status"] == "pending"
    work.done(world, folder, job["id"])
    assert (work.row(world, clip_id)["final_status"], work.row(world, clip_id)["error"]) == ("completed", None)


def test_a_missing_file_fails_with_a_sentence(world, shop, folder, film):
    clip_id = work.upload(world, shop, folder, film)
    folder.delete(work.row(world, clip_id)["source_path"])
    work.done(world, folder, work.job_of(world, clip_id))
    assert "missing" in work.row(world, clip_id)["error"]


def test_a_clip_that_was_changed_meanwhile_keeps_its_change(world, shop, folder, film):
    clip_id = work.upload(world, shop, folder, film)
    context = claimed(world, folder, "prepare_clip")
    real = context.finish

    def finish(function, **params):
        world.execute("update public.clips set version = version + 1, name = 'Other' where id = %s", clip_id)
        real(function, **params)

    context.finish = finish
    with pytest.raises(Conflict, match="changed while"):
        clip_work.prepare(context)
    assert work.row(world, clip_id)["media_path"] is None
    with pytest.raises(Conflict, match="changed after"):
        clip_work.prepare(context)


def test_finished_steps_are_not_repeated(world, shop, folder, film, monkeypatch):
    clip_id = work.upload(world, shop, folder, film)
    context = claimed(world, folder, "prepare_clip")
    context.finish = _stop
    with pytest.raises(KeyboardInterrupt):
        clip_work.prepare(context)
    kill.expire(world, context.job.id)
    monkeypatch.setattr(preparing, "publishable", _stop)
    work.done(world, folder, context.job.id)
    row = work.row(world, clip_id)
    assert row["final_status"] == "completed"
    assert str(context.job.attempt_token) in row["media_path"]


def test_a_person_stops_the_work(world, shop, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(clip_work, "CHECK_SECONDS", 0.0)
    clip_id = work.upload(world, shop, folder, files.film(tmp_path / "x", codec="libx265"))
    context = claimed(world, folder, "prepare_clip")
    queue.cancel(shop.database, context.job.id)
    context.check = _counted(context.check, 5)
    with pytest.raises(Cancelled):
        clip_work.prepare(context)
    context.fail(None, None)
    assert work.drafts(folder) == []
    assert "cancelled" in work.row(world, clip_id)["error"]
    kill.sweep(world, folder)
    assert list(folder.list("clips", kill.datetime.max.replace(tzinfo=kill.UTC))) == []


def test_a_full_disk_is_told(world, shop, folder, tmp_path, film, monkeypatch):
    work.upload(world, shop, folder, film)
    context = claimed(world, folder, "prepare_clip")

    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(preparing, "publishable", full)
    with pytest.raises(StorageFull, match="worker's disk"):
        clip_work.prepare(context)
    assert work.drafts(folder) == []


def test_work_without_end_is_ended(world, shop, folder, film, monkeypatch):
    monkeypatch.setattr(clip_work, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(clip_work, "LONGEST_WORK", -1.0)
    work.upload(world, shop, folder, film)
    with pytest.raises(InvalidInput, match="six hours"):
        clip_work.prepare(claimed(world, folder, "prepare_clip"))


def test_drafts_of_dead_workers_are_cleared_away(world, shop, folder, film):
    clip_id = work.upload(world, shop, folder, film)
    context = claimed(world, folder, "prepare_clip")
    left = context.options.clipdesk_data / "work" / f"{context.job.id}-older"
    left.mkdir(parents=True)
    (left / "publishable").write_bytes(b"half")
    clip_work.prepare(context)
    assert work.drafts(folder) == []
    assert work.row(world, clip_id)["final_status"] == "completed"


def test_a_store_far_away_is_copied_to_this_machine(world, shop, folder, film):
    clip_id = work.upload(world, shop, folder, film)
    context = claimed(world, folder, "prepare_clip")
    context.media = Remote(folder)
    clip_work.prepare(context)
    assert work.row(world, clip_id)["final_status"] == "completed"
    assert context.media.opened == [work.row(world, clip_id)["source_path"]]
    assert work.drafts(folder) == []


# Speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["replace", "mix"])
def test_speech_is_put_on_a_clip_and_taken_off(world, shop, folder, clip, mode):
    before = work.row(world, clip)
    speech_id = speech(world, shop, folder)
    (job,) = work.done(world, folder, clips.put_speech(shop.database, clip, speech_id, mode, before["version"]))
    assert job["status"] == "completed", job["error"]
    row = work.row(world, clip)
    assert (row["final_status"], row["speech_id"], row["speech_mode"]) == ("completed", speech_id, mode)
    assert row["media_path"] != before["media_path"]
    assert audio.loudness(folder.read(row["media_path"])) == pytest.approx(audio.TARGET, abs=1.0)
    assert row["thumbnail_path"] == before["thumbnail_path"]
    assert work.drafts(folder) == []
    kill.sweep(world, folder)
    assert folder.exists(row["media_path"])
    assert not folder.exists(before["media_path"])

    (job,) = work.done(world, folder, clips.take_speech_off(shop.database, clip, row["version"]))
    assert job["status"] == "completed", job["error"]
    row = work.row(world, clip)
    assert (row["speech_id"], row["speech_mode"], row["subtitles_path"]) == (None, None, None)
    assert row["bytes"] == before["bytes"]


def test_other_speech_is_put_on_the_clips_own_sound(world, shop, folder, clip):
    for text in ("Fresh bread at six.", "The door opens at nine."):
        speech_id = speech(world, shop, folder, text)
        version = work.row(world, clip)["version"]
        (job,) = work.done(world, folder, clips.put_speech(shop.database, clip, speech_id, "mix", version))
        assert job["status"] == "completed", job["error"]
    row = work.row(world, clip)
    assert row["speech_id"] == speech_id
    seconds = world.value("select duration_seconds from public.speech_assets where id = %s", speech_id)
    assert float(row["duration_seconds"]) == pytest.approx(max(float(seconds), 2.0), abs=0.1)


def test_subtitles_follow_the_passages(world, shop, folder, clip):
    text = "Fresh bread at six.\n\nThe door opens at nine.\n\nCome in."
    speech_id = speech(world, shop, folder, text)
    work.done(world, folder, clips.put_speech(shop.database, clip, speech_id, "replace", 1))
    cues = folder.read(work.row(world, clip)["subtitles_path"]).decode().strip().split("\n\n")
    assert [cue.split("\n")[1] for cue in cues[1:]] == text.split("\n\n")
    spans = [[seconds(at) for at in cue.split("\n")[0].split(" --> ")] for cue in cues[1:]]
    pauses = [later[0] - earlier[1] for earlier, later in pairwise(spans)]
    assert pauses == pytest.approx([audio.PAUSE - 2 * audio.MARGIN] * 2, abs=0.002)
    whole = world.value("select duration_seconds from public.speech_assets where id = %s", speech_id)
    assert spans[-1][1] == pytest.approx(float(whole), abs=0.002)
    kill.sweep(world, folder)
    assert folder.exists(work.row(world, clip)["subtitles_path"])


def test_old_speech_of_several_passages_has_no_subtitles(world, shop, folder, clip):
    speech_id = speech(world, shop, folder, "Fresh bread at six.\n\nThe door opens at nine.")
    world.execute("update public.job_steps set outcome = outcome - 'spans'")
    (job,) = work.done(world, folder, clips.put_speech(shop.database, clip, speech_id, "replace", 1))
    assert job["status"] == "completed", job["error"]
    assert work.row(world, clip)["subtitles_path"] is None


def test_speech_that_was_deleted_leaves_the_clip_as_it_was(world, shop, folder, clip):
    speech_id = speech(world, shop, folder)
    job_id = clips.put_speech(shop.database, clip, speech_id, "mix", 1)
    world.execute("update public.speech_assets set deleted_at = now() where id = %s", speech_id)
    (job,) = work.done(world, folder, job_id)
    assert (job["status"], "deleted" in job["error"]) == ("failed", True)
    row = work.row(world, clip)
    assert (row["final_status"], row["speech_id"]) == ("completed", None)
    assert folder.exists(row["media_path"])


def test_a_worker_that_was_overtaken_stores_nothing(world, shop, folder, clip):
    speech_id = speech(world, shop, folder)
    job_id = clips.put_speech(shop.database, clip, speech_id, "mix", 1)
    slow = claimed(world, folder, "put_speech")
    kill.expire(world, job_id)
    work.done(world, folder, job_id)
    path = work.row(world, clip)["media_path"]
    with pytest.raises(Conflict):
        clip_work.put_speech(slow)
    assert work.row(world, clip)["media_path"] == path
    kill.sweep(world, folder)
    assert [p for p in folder.list("clips", kill.datetime.max.replace(tzinfo=kill.UTC)) if p.endswith("mp4")] == [path]


def seconds(clock):
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def claimed(world, folder, kind):
    return kill.claim(world, folder, kind, clipdesk_data=folder.path("x").parent.parent / "data")


def _stop(*_, **__):
    raise KeyboardInterrupt


def _counted(check, calls):
    """`check` from the given call on: whoever cancels comes late."""
    counted = iter(range(calls))

    def run():
        if next(counted, None) is None:
            check()

    return run


class Remote:
    """A store that has no folder on this machine."""

    def __init__(self, folder):
        self._folder = folder
        self.opened = []

    def open(self, path):
        self.opened.append(path)
        return self._folder.open(path)

    def write(self, path, data):
        self._folder.write(path, data)

    def exists(self, path):
        return self._folder.exists(path)
