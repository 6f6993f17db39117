"""Workers killed by SIGKILL: every job ends all the same, every file has its row, every row its file, money adds up."""

import random
import time

import pytest

from services.speech import hibari
from tests import kill


@pytest.fixture(autouse=True)
def _only_the_jobs_of_the_test(world):
    kill.quiet(world)
    hibari.warm()


PLACES = {  # where the first worker dies → which attempt completes the job
    "claimed:1": 2,
    "spoken:1": 2,
    "written:1": 2,
    "step_saved:1": 2,
    "ended:1": 1,
}


@pytest.mark.parametrize(("place", "attempt"), PLACES.items())
def test_a_worker_killed_at_a_step_boundary_loses_nothing(
    server, database, world, shop, folder, tmp_path, place, attempt
):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    kill.die_at(place, server, database, tmp_path / "media")
    row = finish(world, folder, job_id)
    assert (row["status"], row["attempt"], row["error"]) == ("completed", attempt, None)
    kill.assert_nothing_lost(world, folder)


def test_a_job_that_kills_every_worker_fails_with_a_reason(server, database, world, shop, folder, tmp_path):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    world.execute("update public.jobs set max_attempts = 2 where id = %s", job_id)
    for place in ("written:1", "step_saved:1"):
        kill.expire(world, job_id)
        kill.die_at(place, server, database, tmp_path / "media")
    row = finish(world, folder, job_id)
    assert (row["status"], row["attempt"]) == ("failed", 2)
    assert "stopped unexpectedly 2 times" in row["error"]
    kill.assert_nothing_lost(world, folder)


def finish(world, folder, job_id):
    """Let the dead worker's lease run out and another one finish the job; returns its row."""
    kill.expire(world, job_id)
    successor = kill.inside(world, folder, job_lease_seconds=kill.LONG_LEASE)
    successor.start()
    (row,) = kill.wait_for_end(world, job_id)
    successor.stop()
    return row


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.full)])
def test_workers_killed_at_any_moment_lose_nothing(server, database, world, shop, folder, tmp_path, kills):
    chance = random.Random(kills)
    jobs = [
        kill.order(world, shop.store, shop.manager, f"Loaf number {number}, please.") for number in range(2 * kills)
    ]
    world.execute("update public.jobs set max_attempts = 20")
    with kill.processes(2, server, database, tmp_path / "media") as workers:
        for number in range(kills):
            kill.wait_until(lambda: kill.working(world), "somebody works")
            time.sleep(chance.uniform(0, 0.2))  # anywhere in a job of some 0.1 s, or after it
            kill.kill(workers[number % 2])
            workers[number % 2] = kill.process(server, database, tmp_path / "media")
        ended = [kill.wait_for_end(world, job_id) for job_id in jobs]
    assert {row["status"] for (row,) in ended} == {"completed"}
    kill.assert_nothing_lost(world, folder)
