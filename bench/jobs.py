"""From ordering a job to its start: with a worker woken in the same process, and with one that polls."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from bench.measure import Spread, ratio, show, show_ratio, show_times
from bench.place import fresh_server, fresh_world, short_folder
from services.config import Settings
from services.jobs import queue
from services.jobs.context import Context
from services.jobs.periodic import Calendar
from services.jobs.worker import Worker
from services.media.folder import Folder
from tests.builders import World

PATIENCE_SECONDS = 30
BATCH = 300  # no-op jobs


class Stopwatch:
    """A handler that notes when it was entered."""

    def __init__(self) -> None:
        self.entered: list[float] = []
        self.changed = threading.Condition()

    def __call__(self, _: Context) -> None:
        with self.changed:
            self.entered.append(time.perf_counter())
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.entered) >= count, PATIENCE_SECONDS):
                raise TimeoutError(f"{count} jobs did not start")


def run(full: bool) -> None:
    """A no-op handler, so that only the queue is measured."""
    print("jobs: from the commit of the order to the handler's first line")
    rounds = 30 if full else 8
    with fresh_server() as server, fresh_world(server) as world:
        woken = delays(world, rounds, wake=True)
        polled = delays(world, rounds, wake=False)
        show_times("worker inside, woken by the order", woken)
        show_times("another process's worker, which polls each second", polled)
        show_ratio("polled ÷ woken", ratio(polled, woken))
        show("no-op jobs a second, 2 threads", f"{jobs_a_second(world):,.0f}")


def delays(world: World, rounds: int, *, wake: bool) -> Spread:
    """Seconds from order to start, a value a round; the worker has nothing to do in between."""
    seconds = []
    stopwatch = Stopwatch()
    with working(world, stopwatch):
        time.sleep(2)  # idle, and polling as slowly as it soon will
        for place in range(rounds):
            insert(world, 1)
            ordered = time.perf_counter()
            if wake:
                queue.wake()
            stopwatch.wait_for(place + 1)
            seconds.append(stopwatch.entered[-1] - ordered)
            time.sleep(0.3)
    return Spread(tuple(seconds))


def jobs_a_second(world: World) -> float:
    stopwatch = Stopwatch()
    insert(world, BATCH)
    began = time.perf_counter()
    with working(world, stopwatch):
        stopwatch.wait_for(BATCH)
    return BATCH / (time.perf_counter() - began)


def insert(world: World, count: int) -> None:
    for _ in range(count):
        job = uuid4()
        world.insert("public.jobs", id=job, kind="bench", request_id=job)


@contextmanager
def working(world: World, stopwatch: Stopwatch) -> Iterator[None]:
    with short_folder() as folder:
        options = Settings(clipdesk_data=folder)
        worker = Worker(world.as_worker(), Folder(folder), options, {"bench": stopwatch}, Calendar({}))
        worker.start()
        try:
            yield
        finally:
            worker.stop()
