"""Workers killed while they prepare clips and put speech on them: the next one finishes, and nothing half is left."""

from datetime import UTC, datetime, timedelta

import pytest

from services import clips
from services.jobs import queue
from tests import kill
from tests.video import files, work


@pytest.fixture(autouse=True)
def _only_the_jobs_of_the_test(world):
    kill.quiet(world)


PLACES = {  # where the first worker dies → which attempt completes the job
    "claimed:1": 2,
    "step_saved:1": 2,
    "clip_made:1": 2,
    "clip_written:1": 2,
    "step_saved:2": 2,
    "thumbnail_written:1": 2,
    "step_saved:3": 2,
    "ended:1": 1,
}


@pytest.mark.parametrize(("place", "attempt"), PLACES.items())
def test_a_killed_preparing_is_finished_by_the_next_worker(
    server, database, world, shop, folder, tmp_path, place, attempt
):
    clip_id = work.upload(world, shop, folder, files.film(tmp_path / "film", fmt="mov"), "mov")
    job_id = work.job_of(world, clip_id)
    kill.die_at(place, server, database, tmp_path / "media")
    kill.expire(world, job_id)
    (job,) = work.done(world, folder, job_id)
    assert (job["status"], job["attempt"], job["error"]) == ("completed", attempt, None)
    assert work.row(world, clip_id)["final_status"] == "completed"
    assert_whole(world, folder)


@pytest.mark.parametrize(
    "place", ["claimed:1", "clip_made:1", "clip_written:1", "step_saved:1", "step_saved:2", "ended:1"]
)
def test_a_killed_speech_is_finished_by_the_next_worker(server, database, world, shop, folder, tmp_path, place):
    clip_id = work.upload(world, shop, folder, files.film(tmp_path / "film"))
    speech_job = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    work.done(world, folder, work.job_of(world, clip_id), speech_job)
    speech_id = world.value("select id from public.speech_assets")
    job_id = clips.put_speech(shop.database, clip_id, speech_id, "mix", 1)
    kill.die_at(place, server, database, tmp_path / "media")
    kill.expire(world, job_id)
    (job,) = work.done(world, folder, job_id)
    assert (job["status"], job["error"]) == ("completed", None)
    assert work.row(world, clip_id)["speech_id"] == speech_id
    assert_whole(world, folder)


def test_a_killed_job_that_was_cancelled_can_be_tried_again(server, database, world, shop, folder, tmp_path):
    clip_id = work.upload(world, shop, folder, files.film(tmp_path / "film", fmt="mov"), "mov")
    job_id = work.job_of(world, clip_id)
    kill.die_at("clip_written:1", server, database, tmp_path / "media")
    assert queue.cancel(shop.database, job_id) == "stopping"
    kill.expire(world, job_id)
    assert work.done(world, folder, job_id)[0]["status"] == "cancelled"
    row = work.row(world, clip_id)
    assert (row["final_status"], row["media_path"]) == ("failed", None)
    assert_whole(world, folder)

    queue.retry(shop.database, job_id)
    work.done(world, folder, job_id)
    assert work.row(world, clip_id)["final_status"] == "completed"
    assert_whole(world, folder)


def test_a_clip_that_kills_every_worker_fails_with_a_reason(server, database, world, shop, folder, tmp_path):
    clip_id = work.upload(world, shop, folder, files.film(tmp_path / "film", fmt="mov"), "mov")
    job_id = work.job_of(world, clip_id)
    world.execute("update public.jobs set max_attempts = 1 where id = %s", job_id)
    kill.die_at("clip_made:1", server, database, tmp_path / "media")
    kill.expire(world, job_id)
    assert work.done(world, folder, job_id)[0]["status"] == "failed"
    row = work.row(world, clip_id)
    assert (row["final_status"], "stopped unexpectedly" in row["error"]) == ("failed", True)
    assert_whole(world, folder)


def assert_whole(world, folder):
    """Every file that is left has its row and every row its file; no clip waits for anybody."""
    kill.sweep(world, folder)
    names = ("source_path", "media_path", "thumbnail_path", "subtitles_path")
    rows = {row[name] for row in world.rows("select * from public.clips") for name in names if row[name]}
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert {path for place in work.ALL for path in folder.list(place, tomorrow)} == rows
    assert world.rows("select from public.clips where final_status in ('pending', 'processing')") == []
