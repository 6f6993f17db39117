"""Workers killed at every place of a paid call, and while the vendor answers: nothing is paid twice or lost."""

import os
import shutil
import signal
from collections import Counter

import pytest

from tests import kill
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.forge import environment, forge
from tests.speech import vendor

PLACES = [
    "claimed", "intended", "sent", "answered", "spooled", "written", "settled", "joined", "joined_written",
    "step_saved", "ended", "billed",
]  # fmt: skip


@pytest.fixture(scope="module")
def forged():
    with forge() as smith:
        yield smith


@pytest.fixture
def fake():
    with FakeElevenLabs() as server:
        server.seconds_per_character = 0.01
        server.account(server.key, credits=10**9)
        yield server


@pytest.fixture
def works(fake, tmp_path, world, shop, folder, server, database, forged):
    """works(kill_at) → how a worker that is killed there ended; None: it works to the end."""
    spool = tmp_path / "spool"
    with vendor.connected(fake, spool) as settings:
        vendor.set_up(world, folder, shop.account)
        world.execute("update public.profiles set monthly_quota_usd = 0 where id = %s", shop.store)

        def run(place: str | None = None, number: int = 1, **values: str) -> int:
            at = f"{place}:{number}" if place and place != "billed" else ""
            given = environment(server, database, tmp_path / "media", **settings, CLIPDESK_KILL_AT=at, **values)
            pid = []
            fake.on_billed = lambda _: os.kill(pid[0], signal.SIGKILL) if place == "billed" else None
            pid.append(forged.start(**given))
            ended = forged.wait()
            fake.on_billed = lambda _: None
            return ended

        run.spool = spool
        yield run


def time_passes(world):
    """Leases run out, deadlines pass, waits are over."""
    world.execute("update public.jobs set lease_until = now() - interval '1 second' where status = 'running'")
    world.execute("update public.jobs set run_after = now() where status = 'pending'")
    world.execute("update public.purchases set deadline = now() - interval '1 hour' where state = 'sent'")


def finish(world, works, job_id, **values):
    for _ in range(8):
        time_passes(world)
        works(**values)
        row = kill.job_row(world, job_id)
        if row["status"] in ("completed", "failed"):
            return row
    raise AssertionError(f"still {row['status']}: {row['message']}")


@pytest.mark.parametrize("runs", [len(PLACES) * 2, pytest.param(500, marks=pytest.mark.full)])
def test_a_text_is_paid_once_wherever_the_worker_dies(world, shop, folder, fake, works, runs):
    for number in range(runs):
        place = PLACES[number % len(PLACES)]
        text = f"Line {number}, freshly baked."
        job_id = vendor.order(world, shop.store, shop.manager, text)
        assert works(place) == -signal.SIGKILL, place
        if (number // len(PLACES)) % 2:  # another machine goes on: this one's spool is out of reach
            shutil.rmtree(works.spool, ignore_errors=True)
        assert finish(world, works, job_id)["status"] == "completed", place
    assert set(Counter(charge.text for charge in fake.bill).values()) == {1}
    assert len(fake.bill) == runs
    vendor.assert_books_equal_the_bill(world, fake)
    kill.assert_nothing_lost(world, folder)


@pytest.mark.parametrize("passages", [12, pytest.param(30, marks=pytest.mark.full)])
def test_passages_killed_at_each_are_each_paid_once(world, shop, folder, fake, works, passages):
    text = "\n\n".join(f"Passage {number} of the long story." for number in range(passages))
    job_id = vendor.order(world, shop.store, shop.manager, text)
    world.execute("update public.jobs set max_attempts = 20")
    places = ["sent", "answered", "spooled", "written", "settled", "billed"]
    for number in range(passages):
        time_passes(world)
        world.execute("update public.jobs set attempt = 0")
        assert works(places[number % len(places)]) == -signal.SIGKILL
    world.execute("update public.jobs set attempt = 0")
    assert finish(world, works, job_id)["status"] == "completed"
    assert set(Counter(charge.text for charge in fake.bill).values()) == {1}
    assert len(fake.bill) == passages
    vendor.assert_books_equal_the_bill(world, fake)
    kill.assert_nothing_lost(world, folder)


@pytest.mark.parametrize("place", ["sent", "billed", "answered", "spooled"])
def test_a_vendor_without_a_list_is_never_paid_again_without_a_click(world, shop, fake, works, place):
    job_id = vendor.order(world, shop.store, shop.manager, "Only once, please.")
    assert works(place, FORGETFUL="1") == -signal.SIGKILL
    row = finish(world, works, job_id, FORGETFUL="1")
    assert len(fake.bill) == (0 if place == "sent" else 1)
    if place == "spooled":  # the answer was kept
        assert row["status"] == "completed"
        vendor.assert_books_equal_the_bill(world, fake)
    else:
        assert row["status"] == "failed"
        assert "nobody can tell" in row["error"]
        assert world.value("select state from public.cost_holds") == "committed"
