"""Several worker processes at once, their end by a signal, and a database that goes away."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.config import ROOT
from services.database import embedded
from services.database.connect import Doors
from services.database.migrate import migrate
from services.database.postgres import open_pool
from services.jobs.context import Context
from services.jobs.periodic import Calendar
from services.jobs.worker import Worker
from tests import kill
from tests.builders import World
from tests.places import short_folder


def test_many_claim_each_job_once(server, database, world):
    jobs = {str(world.job("work")) for _ in range(100)}
    url = server.url("clipdesk_worker", database)
    command = [sys.executable, "-m", "tests.jobs.claimer", url, "8"]
    many = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in many:
        assert process.stdout.readline() == "ready\n"
    claimed = [line for process in many for line in process.communicate(timeout=30)[0].split()]
    assert len(claimed) == 100
    assert set(claimed) == jobs
    assert world.rows("select distinct status, attempt from public.jobs") == [{"status": "completed", "attempt": 1}]


def test_a_worker_process_speaks_and_ends_on_sigterm(server, database, world, shop, folder, tmp_path):
    job_id = kill.order(world, shop.store, shop.manager, "Fresh bread at six.")
    with kill.program(kill.environment(server, database, tmp_path / "media")) as worker:
        try:
            (row,) = kill.wait_for_end(world, job_id)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(kill.PATIENCE) == 0
        finally:
            worker.kill()
    assert (row["status"], row["error"]) == ("completed", None)
    kill.assert_nothing_lost(world, folder)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"DATABASE_URL": "postgresql://clipdesk_app@/x?host=/nowhere"}, "Set DATABASE_WORKER_URL"),
        ({"WORKER_THREADS": "9"}, "Setting WORKER_THREADS"),
    ],
)
def test_a_worker_with_wrong_settings_says_which(settings, sentence):
    ended = subprocess.run(
        [sys.executable, "-m", "services.jobs.worker"],
        env={**os.environ, **settings}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def own_server() -> Iterator[embedded.Server]:
    """A server of this test's own, which it may kill."""
    with short_folder() as folder:
        running = embedded.start(folder)
        migrate(running.url("postgres"), {login: running.passwords[login] for login in embedded.LOGINS})
        yield running
        embedded.stop(folder)


@pytest.fixture
def own_doors(own_server: embedded.Server) -> Iterator[Doors]:
    doors = Doors(open_pool(own_server.url("clipdesk_app"), 5), open_pool(own_server.url("clipdesk_worker"), 5))
    yield doors
    doors.close()


@contextmanager
def looking(running: embedded.Server, doors: Doors) -> Iterator[World]:
    """Facts and builders for as long as the server lives."""
    world = World(running.url("postgres"), doors)
    try:
        yield world
    finally:
        world.admin.close()


def kill_server(running: embedded.Server) -> None:
    os.kill(int((running.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)


def test_an_idle_worker_outlives_its_database_and_says_so_once(own_server, own_doors, folder, caplog):
    caplog.set_level(logging.INFO, logger="services.jobs")
    worker = Worker(own_doors.worker(), folder, kill.options(), {"work": lambda _: None}, Calendar({}))
    worker.start()
    try:
        with looking(own_server, own_doors) as world:
            kill.wait_for_end(world, world.job("work"))
        kill_server(own_server)
        kill.wait_until(lambda: "does not answer" in caplog.text, "the outage was noticed")
        embedded.start(own_server.folder)
        with looking(own_server, own_doors) as world:
            kill.wait_for_end(world, world.job("work"))
        assert worker.alive()
    finally:
        worker.stop()
    assert caplog.text.count("does not answer") == 1
    assert caplog.text.count("answers again") == 1


def test_a_job_goes_on_after_its_database_was_away(own_server, own_doors, folder):
    revived = threading.Thread(target=lambda: embedded.start(own_server.folder))

    def handler(context: Context) -> dict[str, object]:
        context.step("before", lambda: {})
        kill_server(own_server)
        revived.start()
        context.step("meanwhile", lambda: {})
        return {"attempt": context.job.attempt}

    with looking(own_server, own_doors) as world:
        job_id = world.job("outlive")
    options = kill.options(job_lease_seconds=30)
    worker = Worker(own_doors.worker(), folder, options, {"outlive": handler}, Calendar({}))
    worker.start()
    try:
        kill.wait_until(lambda: revived.ident, "the server was killed")
        revived.join()
        with looking(own_server, own_doors) as world:
            (row,) = kill.wait_for_end(world, job_id)
    finally:
        worker.stop()
    assert (row["status"], row["result"]) == ("completed", {"attempt": 1})
