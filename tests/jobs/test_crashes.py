"""Workers killed by SIGKILL: every job ends all the same, every file has its row, every row its file, money adds up."""

import random
import time
from uuid import uuid4

import pytest

from services.jobs import queue
from services.speech import hibari
from tests import kill
from tests.builders import speech


@pytest.fixture(autouse=True)
def _only_the_jobs_of_the_test(world):
    kill.quiet(world)
    hibari.warm()


PLACES = {  # where the first worker dies → which attempt completes the job
    "claimed:1": 2,
    "intended:1": 2,
    "sent:1": 2,
    "answered:1": 2,
    "written:1": 2,
    "settled:1": 2,
    "joined:1": 2,
    "joined_written:1": 2,
    "step_saved:1": 2,
    "ended:1": 1,
}


SPOKEN_AGAIN = ("sent:1", "answered:1", "written:1")  # nothing was lost at a local voice but its time


@pytest.mark.parametrize(("place", "attempt"), PLACES.items())
def test_a_worker_killed_at_a_step_boundary_loses_nothing(
    server, database, world, shop, folder, tmp_path, place, attempt
):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    kill.die_at(place, server, database, tmp_path / "media")
    row = finish(world, folder, job_id)
    assert (row["status"], row["attempt"], row["error"]) == ("completed", attempt, None)
    kill.assert_nothing_lost(world, folder)
    assert purchases(world, job_id) == (["refused", "settled"] if place in SPOKEN_AGAIN else ["settled"])


LONG = [f"Loaf number {number} is fresh." for number in range(1, 4)]


@pytest.mark.parametrize(
    "place", ["claimed:1", "intended:2", "sent:2", "answered:2", "written:2", "settled:2", "settled:3"]
)
def test_a_worker_killed_between_passages_buys_none_of_them_twice(
    server, database, world, shop, folder, tmp_path, place
):
    job_id = ordered_in_passages(world, shop)
    kill.die_at(place, server, database, tmp_path / "media")
    kept = world.rows(BOUGHT, job_id)
    row = finish(world, folder, job_id)
    assert (row["status"], row["error"]) == ("completed", None)
    kill.assert_nothing_lost(world, folder)
    booked = world.rows(BOUGHT, job_id)
    assert [purchase["place"] for purchase in booked] == [0, 1, 2]
    assert [purchase for purchase in booked if purchase in kept] == kept, "bought before the kill, and used"
    refused = "select place from public.purchases where job_id = %s and state = 'refused'"
    wanted = [{"place": 1}] if place in ("sent:2", "answered:2", "written:2") else []
    assert world.rows(refused, job_id) == wanted


BOUGHT = "select id, place from public.purchases where job_id = %s and state = 'settled' order by place"


def ordered_in_passages(world, shop):
    job_id = uuid4()
    wanted = speech(" ".join(LONG), chunks=LONG)
    world.as_person(shop.manager).call("enqueue_speech", p_job_id=job_id, p_profile_id=shop.store, p_speech=wanted)
    return job_id


def purchases(world, job_id):
    rows = world.rows("select state from public.purchases where job_id = %s order by created_at", job_id)
    return [row["state"] for row in rows]


def test_a_cancelled_job_keeps_what_it_bought(server, database, world, shop, folder, tmp_path):
    job_id = ordered_in_passages(world, shop)
    kill.die_at("settled:2", server, database, tmp_path / "media")
    assert queue.cancel(shop.database, job_id) == "stopping"
    assert finish(world, folder, job_id)["status"] == "cancelled"
    kill.assert_nothing_lost(world, folder)
    assert purchases(world, job_id) == ["settled", "settled"]

    queue.retry(shop.database, job_id)
    assert finish(world, folder, job_id)["status"] == "completed"
    kill.assert_nothing_lost(world, folder)
    assert purchases(world, job_id) == ["settled"] * 3


def test_a_job_that_kills_every_worker_fails_with_a_reason(server, database, world, shop, folder, tmp_path):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    world.execute("update public.jobs set max_attempts = 2 where id = %s", job_id)
    for place in ("written:1", "joined_written:1"):
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
