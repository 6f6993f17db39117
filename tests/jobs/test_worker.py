"""What a worker does with jobs, with handlers made for the purpose; the database is real."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.errors import AttemptLost, InvalidInput, StorageFull, Unavailable
from services.jobs import attempt, periodic, queue
from services.jobs.context import Cancelled, Context
from services.jobs.periodic import Calendar
from tests.kill import LEASE, claim, expire, job_row, wait_for_end, wait_until


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(attempt, "backoff", lambda _: 0.0)


# Running ---------------------------------------------------------------------------------------------------------


def test_a_job_runs_and_keeps_its_result(world, shop, start):
    start({"add": lambda context: {"sum": sum(context.job.input["numbers"])}})
    (row,) = wait_for_end(world, world.job("add", shop.store, input={"numbers": [2, 3]}))
    assert (row["status"], row["result"], row["progress"], row["message"]) == ("completed", {"sum": 5}, 1, "Done")
    assert row["attempt"] == 1
    assert row["attempt_token"] is None
    assert row["started_at"] <= row["finished_at"]


def test_kinds_without_a_handler_are_never_claimed(world, start):
    alien = world.job("alien")
    start({"known": lambda _: None})
    wait_for_end(world, world.job("known"), world.job("known"))
    assert (job_row(world, alien)["status"], job_row(world, alien)["attempt"]) == ("pending", 0)


def test_finished_steps_are_not_repeated_by_the_next_attempt(world, start):
    ran: list[str] = []

    def handler(context: Context) -> dict[str, object]:
        first = context.step("first", lambda: ran.append("first") or {"number": 7})
        if context.job.attempt == 1:
            raise Unavailable
        second = context.step("second", lambda: ran.append("second") or {"number": first["number"] + 1})
        return {"number": second["number"]}

    start({"steps": handler})
    (row,) = wait_for_end(world, world.job("steps"))
    assert row["result"] == {"number": 8}
    assert ran == ["first", "second"]


def test_a_stored_outcome_that_is_of_no_use_any_more_is_made_again(world, start):
    def handler(context: Context) -> dict[str, object]:
        made = context.step("make", lambda: {"by": context.job.attempt}, usable=lambda _: False)
        if context.job.attempt == 1:
            raise Unavailable
        return made

    start({"steps": handler})
    (row,) = wait_for_end(world, world.job("steps"))
    assert row["result"] == {"by": 2}


def test_progress_reaches_the_job_and_the_last_word_wins(world, start):
    seen, go_on = threading.Event(), threading.Event()

    def handler(context: Context) -> None:
        for hundredth in range(50):
            context.progress(hundredth / 100, f"{hundredth} done")
        seen.set()
        go_on.wait(20)

    start({"slow": handler})
    job_id = world.job("slow")
    assert seen.wait(20)
    wait_until(lambda: job_row(world, job_id)["message"] == "49 done", "progress was written")
    assert float(job_row(world, job_id)["progress"]) == 0.49
    go_on.set()
    wait_for_end(world, job_id)


def test_progress_is_written_at_most_once_a_second(world, folder, monkeypatch):
    job_id = world.job("slow")
    context = claim(world, folder, "slow")
    clock = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    written = []
    for step in range(30):  # a tenth of a second each
        clock += 0.1
        context.progress(step / 100, f"{step}")
        context.check()
        written.append(job_row(world, job_id)["message"])
    assert len(set(written)) - 1 <= 3  # and "Started"


# Failing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [InvalidInput("The text has no words."), StorageFull()])
def test_what_waiting_cannot_mend_fails_at_once_with_its_sentence(world, start, error):
    def handler(_: Context) -> None:
        raise error

    start({"bad": handler})
    (row,) = wait_for_end(world, world.job("bad"))
    assert (row["status"], row["attempt"], row["error"]) == ("failed", 1, str(error))


def test_an_unexpected_error_is_tried_again_and_then_told_plainly(world, start, caplog):
    def handler(_: Context) -> None:
        raise ZeroDivisionError("secret detail")

    start({"bad": handler})
    job_id = world.job("bad")
    (row,) = wait_for_end(world, job_id)
    assert (row["status"], row["attempt"]) == ("failed", 3)
    assert str(job_id) in row["error"]
    assert "secret" not in row["error"]
    assert "ZeroDivisionError: secret detail" in caplog.text  # with its traceback


def test_a_waiting_job_says_why_it_waits(world, folder):
    job_id = world.job("busy")
    assert claim(world, folder, "busy").fail("The database was away.", 60) == "pending"
    row = job_row(world, job_id)
    assert (row["error"], row["message"]) == ("The database was away.", "Trying again soon (attempt 2 of 3)")
    assert row["run_after"] > datetime.now(UTC) + timedelta(seconds=50)


def test_backoff_doubles_up_to_a_minute_with_jitter(monkeypatch):
    monkeypatch.undo()
    for number, longest in ((1, 2), (2, 4), (5, 32), (6, 60), (20, 60)):
        waits = {attempt.backoff(number) for _ in range(50)}
        assert longest / 2 <= min(waits)
        assert max(waits) <= longest
        assert len(waits) > 1


def test_a_job_whose_worker_vanished_too_often_fails_and_does_not_block_the_next(world, folder, start):
    lost = world.job("work", max_attempts=1)
    claim(world, folder, "work")
    expire(world, lost)
    start({"work": lambda _: None})
    rows = wait_for_end(world, lost, world.job("work"))
    assert [row["status"] for row in rows] == ["failed", "completed"]
    assert "stopped unexpectedly" in rows[0]["error"]


# Leases and fencing ----------------------------------------------------------------------------------------------


def test_a_long_job_keeps_its_lease(world, start):
    go_on, attempts = threading.Event(), []

    def handler(context: Context) -> None:
        attempts.append(context.job.attempt)
        go_on.wait(20)

    for _ in range(2):
        start({"long": handler})
    job_id = world.job("long")
    first = wait_until(lambda: job_row(world, job_id)["lease_until"], "it was claimed")
    later = first + timedelta(seconds=3 * LEASE)
    wait_until(lambda: job_row(world, job_id)["lease_until"] > later, "the lease was extended well beyond the first")
    go_on.set()
    assert wait_for_end(world, job_id)[0]["status"] == "completed"
    assert attempts == [1]


def test_the_job_of_a_silent_worker_is_taken_over_and_its_writes_are_refused(world, folder):
    job_id = world.job("work")
    silent = claim(world, folder, "work")
    expire(world, job_id)
    successor = claim(world, folder, "work")
    assert successor.job.attempt == 2
    for write in (
        lambda: silent.write("save_step", p_name="late", p_outcome={}),
        lambda: silent.finish("complete_job", p_result={"by": "silent"}),
        lambda: silent.fail("too late", None),
        silent.check,
        silent.give_back,
    ):
        with pytest.raises(AttemptLost):
            write()
    successor.finish("complete_job", p_result={"by": "successor"})
    assert job_row(world, job_id)["result"] == {"by": "successor"}
    assert world.rows("select * from public.job_steps") == []


def test_a_lost_attempt_is_refused_by_the_database_itself(world, folder):
    job_id = world.job("work")
    old = claim(world, folder, "work").job
    expire(world, job_id)
    claim(world, folder, "work")
    worker, mine = world.as_worker(), {"p_job_id": job_id, "p_attempt_token": old.attempt_token}
    for call in (
        lambda: worker.call("save_step", **mine, p_name="late", p_outcome={}),
        lambda: worker.call("heartbeat_job", **mine, p_lease_seconds=30),
        lambda: worker.call("complete_job", **mine, p_result=None),
        lambda: worker.call("fail_job", **mine, p_error="late"),
        lambda: worker.call("give_back_job", **mine),
        lambda: worker.call("save_speech", **mine, p_speech={"id": str(uuid4())}),
    ):
        with pytest.raises(AttemptLost):
            call()


def test_a_stopped_worker_gives_back_what_it_cannot_finish(world, start):
    started, hang = threading.Event(), threading.Event()

    def handler(context: Context) -> dict[str, object]:
        if not started.is_set():
            started.set()
            hang.wait(20)
        return {"attempt": context.job.attempt}

    worker = start({"long": handler}, job_lease_seconds=600)
    job_id = world.job("long", max_attempts=1)
    assert started.wait(20)
    worker.stop(timeout=0.1)
    row = job_row(world, job_id)
    assert (row["status"], row["attempt"], row["message"]) == ("pending", 0, "Waiting for a worker")
    start({"long": handler})
    assert wait_for_end(world, job_id)[0]["result"] == {"attempt": 1}
    hang.set()


def test_a_stopped_worker_finishes_what_it_can(world, start):
    started, go_on = threading.Event(), threading.Event()

    def handler(_: Context) -> None:
        started.set()
        go_on.wait(20)

    worker = start({"short": handler})
    job_id = world.job("short")
    assert started.wait(20)
    threading.Timer(0.1, go_on.set).start()
    worker.stop(timeout=20)
    assert job_row(world, job_id)["status"] == "completed"
    assert not worker.alive()


# Cancelling ------------------------------------------------------------------------------------------------------


def test_a_running_job_shows_stopping_and_then_stops(world, shop, start):
    started, go_on, stopped = threading.Event(), threading.Event(), []

    def handler(context: Context) -> None:
        started.set()
        go_on.wait(20)
        try:
            context.check()
        except Cancelled:
            stopped.append(True)
            raise

    start({"long": handler})
    job_id = world.job("long", shop.store)
    assert started.wait(20)
    assert queue.cancel(shop.database, job_id) == "stopping"
    job = queue.get_job(shop.database, job_id)
    assert (job.status, job.message, job.stopping) == ("running", "Stopping…", True)
    go_on.set()
    (row,) = wait_for_end(world, job_id)
    assert (row["status"], row["message"], row["error"]) == ("cancelled", "Cancelled", None)
    assert stopped == [True]


def test_no_further_step_begins_after_a_cancel(world, shop, start):
    ran: list[str] = []

    def handler(context: Context) -> None:
        context.step("first", lambda: queue.cancel(shop.database, context.job.id) and {})
        context.step("second", lambda: ran.append("second") or {})

    start({"long": handler})
    (row,) = wait_for_end(world, world.job("long", shop.store))
    assert (row["status"], ran) == ("cancelled", [])


def test_a_cancelled_job_whose_worker_vanished_ends_cancelled(world, folder, shop, start):
    job_id = world.job("work", shop.store)
    claim(world, folder, "work")
    queue.cancel(shop.database, job_id)
    expire(world, job_id)
    start({"work": lambda _: None})
    assert wait_for_end(world, job_id)[0]["status"] == "cancelled"


# Waking, periods, sweeping ---------------------------------------------------------------------------------------


def test_an_idle_worker_is_woken_by_the_process_that_enqueued(world, start):
    first = world.job("work")
    start({"work": lambda _: None}, job_poll_seconds=60)
    wait_for_end(world, first)
    second = world.job("work")
    queue.wake()
    assert wait_for_end(world, second)[0]["status"] == "completed"  # within half of the poll, or the wait gives up


def test_two_workers_make_one_job_a_slot(world):
    calendars = [Calendar({"tidy": 3600}) for _ in range(2)]
    worker = world.as_worker()
    at = 1_800_000_000.0
    assert [calendar.plan(worker, at) for calendar in calendars] == [1, 0]
    assert [calendar.plan(worker, at + 1) for calendar in calendars] == [0, 0]
    assert [calendar.plan(worker, at + 3600) for calendar in calendars] == [1, 0]
    slots = world.rows("select slot from public.jobs where kind = 'tidy' order by slot")
    assert [row["slot"] for row in slots] == ["500000", "500001"]


def test_a_slot_is_made_once_by_many_at_the_same_instant(world):
    together = threading.Barrier(8)
    made: list[int] = []

    def plan() -> None:
        together.wait()
        made.append(Calendar({"tidy": 60}).plan(world.as_worker(), 600.0))

    threads = [threading.Thread(target=plan) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0] * 7 + [1]


def test_a_worker_runs_periodic_work_by_itself(world, start):
    start({"tidy": periodic.tidy}, {"tidy": 3600})
    wait_until(lambda: world.value("select count(*) from public.jobs where status = 'completed'"), "tidy ran")


def test_tidy_forgets_old_periodic_jobs_only(world, shop, start):
    old = datetime.now(UTC) - timedelta(days=15)
    world.job("tidy", slot="1", status="completed", finished_at=old)
    kept = world.job("speech", shop.store, status="completed", finished_at=old)
    start({"tidy": periodic.tidy})
    wanted = {kept, world.job("tidy", slot="2")}
    wait_for_end(world, *wanted)
    assert {row["id"] for row in world.rows("select id from public.jobs")} == wanted


def test_the_sweeper_keeps_young_files_and_those_of_open_jobs(world, shop, folder, start):
    running, failed = world.job("hand", shop.store), world.job("other", shop.store, status="failed")
    for name in ("lost", "open", "ended"):
        folder.write(f"speech/{name}.mp3", b"x")
    folder.write("sheets/theirs.csv", b"x")
    for job_id, name in ((running, "open"), (failed, "ended")):
        world.insert("public.job_steps", job_id=job_id, name="speak", outcome={"media_path": f"speech/{name}.mp3"})
    start({"sweep_media": periodic.sweep_media}, sweep_hours=1)
    assert wait_for_end(world, world.job("sweep_media"))[0]["result"] == {"deleted": 0}
    start({"sweep_now": periodic.sweep_media}, sweep_hours=0)
    assert wait_for_end(world, world.job("sweep_now"))[0]["result"] == {"deleted": 2}
    left = [path for path in ("speech/open.mp3", "sheets/theirs.csv") if folder.exists(path)]
    assert left == ["speech/open.mp3", "sheets/theirs.csv"]


def test_sweeping_goes_on_beyond_one_batch(world, folder, start):
    for number in range(periodic.BATCH + 5):
        folder.write(f"speech/{number}.mp3", b"x")
    start({"sweep_media": periodic.sweep_media}, sweep_hours=0)
    assert wait_for_end(world, world.job("sweep_media"))[0]["result"] == {"deleted": periodic.BATCH + 5}


def test_the_nightly_check_finds_money_that_does_not_add_up(world, shop, start, caplog):
    start({"check_money": periodic.check_money})
    world.spend(shop.store, "1")
    assert wait_for_end(world, world.job("check_money"))[0]["result"] == {"companies": 1, "differences": 0}
    world.execute("update public.quota_counters set settled_usd = 2 where scope_id = %s", shop.store)
    assert wait_for_end(world, world.job("check_money"))[0]["result"] == {"companies": 1, "differences": 1}
    assert f"money of company {shop.account} differs" in caplog.text


# Logs ------------------------------------------------------------------------------------------------------------


def test_log_lines_name_the_store_or_say_that_there_is_none(world, shop, start, caplog):
    caplog.set_level(logging.DEBUG, logger="services.jobs")
    start({"work": lambda _: None})
    with_store, without = world.job("work", shop.store), world.job("work")
    wait_for_end(world, with_store, without)
    wait_until(lambda: caplog.text.count(": completed") == 2, "both lines were written")
    for job_id, mark in ((with_store, f"[Profile {shop.store}]"), (without, "[No profile]")):
        lines = [record for record in caplog.records if str(job_id) in record.getMessage()]
        assert lines
        assert {record.levelno for record in lines} == {logging.DEBUG}
        assert all(record.getMessage().startswith(mark) for record in lines)
