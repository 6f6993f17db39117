"""Workers killed by SIGKILL: afterwards every job has ended, every file has its row, every row its file, money adds up."""

import random
import time

import pytest

from services.speech import hibari
from tests import kill

pytest_plugins = ["tests.jobs.fixtures"]


@pytest.fixture(autouse=True)
def _only_the_jobs_of_the_test(world):
    kill.quiet(world)
    hibari.warm()


@pytest.mark.parametrize("place", ["claimed:1", "spoken:1", "written:1", "step_saved:1", "ended:1"])
def test_a_worker_killed_at_a_step_boundary_loses_nothing(server, database, world, shop, folder, tmp_path, place):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    world.execute("update public.jobs set max_attempts = 20")  # a busy machine's late heartbeats cost attempts, too
    assert kill.killed_itself(kill.process(server, database, tmp_path / "media", kill_at=place))
    ended = kill.job_row(world, job_id)["status"] == "completed"
    assert ended == (place == "ended:1")
    successor = kill.inside(world, folder)
    successor.start()
    (row,) = kill.wait_for_end(world, job_id)
    successor.stop()
    assert (row["status"], row["error"]) == ("completed", None)
    assert ended or row["attempt"] > 1
    kill.assert_nothing_lost(world, folder)


def test_a_job_that_kills_every_worker_fails_with_a_reason(server, database, world, shop, folder, tmp_path):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    world.execute("update public.jobs set max_attempts = 2 where id = %s", job_id)
    for place in ("written:1", "step_saved:1"):
        assert kill.killed_itself(kill.process(server, database, tmp_path / "media", kill_at=place))
        kill.expire(world, job_id)
    successor = kill.inside(world, folder)
    successor.start()
    (row,) = kill.wait_for_end(world, job_id)
    successor.stop()
    assert (row["status"], row["attempt"]) == ("failed", 2)
    assert "stopped unexpectedly 2 times" in row["error"]
    kill.assert_nothing_lost(world, folder)


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.full)])
def test_workers_killed_at_any_moment_lose_nothing(server, database, world, shop, folder, tmp_path, kills):
    chance = random.Random(kills)
    jobs = [
        kill.order(world, shop.store, shop.manager, f"Loaf number {number}, please.") for number in range(2 * kills)
    ]
    world.execute("update public.jobs set max_attempts = 20")
    workers = [kill.process(server, database, tmp_path / "media") for _ in range(2)]
    for number in range(kills):
        kill.wait_until(lambda: kill.working(world), "somebody works")
        time.sleep(chance.uniform(0, 0.2))  # anywhere in a job of some 0.1 s, or after it
        kill.kill(workers[number % 2])
        workers[number % 2] = kill.process(server, database, tmp_path / "media")
    rows = kill.wait_for_end(world, *jobs)
    for worker in workers:
        kill.kill(worker)
    assert {row["status"] for row in rows} == {"completed"}
    kill.assert_nothing_lost(world, folder)
