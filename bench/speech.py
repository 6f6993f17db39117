"""From a click to sound: one sentence with each voice that speaks here, and what buying it adds to a bare SDK call."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from bench.measure import Spread, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world, short_folder
from services.config import Settings
from services.jobs.periodic import Calendar
from services.jobs.worker import Worker
from services.media.folder import Folder
from services.speech import generation, hibari, registry
from services.speech.generation import SpeechOrder
from services.speech.provider import Line
from tests import kill
from tests.builders import World
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.speech import vendor

FREE = (("hibari", "heart", "heart"), ("practice", "premium", "premium"))


def run(full: bool) -> None:
    """The paid vendor is a fake on this machine that answers at once: what is left is our own work."""
    print("speech: from the click to a stored file, one sentence")
    rounds = 20 if full else 5
    with (
        fresh_server() as server,
        fresh_world(server) as world,
        short_folder() as data,
        FakeElevenLabs() as fake,
        vendor.connected(fake, data / "spool", clipdesk_data=data),
    ):
        hibari.warm()
        measure(world, Folder(data / "media"), rounds)


def measure(world: World, folder: Folder, rounds: int) -> None:
    account = world.company()
    store = world.store(account)
    person = world.person(account, "manager", store)
    vendor.set_up(world, folder, account)
    paid = ("elevenlabs", vendor.MODEL, vendor.ORDINARY)
    worker = Worker(world.as_worker(), folder, Settings(job_poll_seconds=0.05), calendar=Calendar({}))
    worker.start()
    try:
        times = {name: timed(rounds, lambda n, v=(name, *rest): click(world, store, person, v, n))
                 for name, *rest in (*FREE, paid)}  # fmt: skip
    finally:
        worker.stop()
    for name, spread in times.items():
        show_times(f"{name}: click → file", spread)
    bare = timed(rounds, lambda n: registry.provider("elevenlabs").synthesize(line(paid, sentence(n)), 30) and None)
    show_times("elevenlabs: the SDK call alone", bare)
    show_ratio("click → file ÷ SDK call alone", ratio(times["elevenlabs"], bare))


def timed(rounds: int, once: Callable[[int], None]) -> Spread:
    seconds = []
    for number in range(rounds):
        began = time.perf_counter()
        once(number)
        seconds.append(time.perf_counter() - began)
    return Spread(tuple(seconds))


def click(world: World, store: UUID, person: UUID, voice: tuple[str, ...], number: int) -> None:
    provider, model, name = voice
    wanted = SpeechOrder(text=sentence(number), provider=provider, model=model, voice=name)
    job_id = generation.order_speech(world.as_person(person), store, wanted, uuid4())
    (row,) = kill.wait_for_end(world, job_id)
    assert row["status"] == "completed", row["error"]


def sentence(number: int) -> str:
    """Another one each time, so that nothing is reused."""
    return f"Loaf number {number} of {uuid4().hex[:6]} is out of the oven."


def line(voice: tuple[str, ...], text: str) -> Line:
    return Line(text=text, voice=voice[2], model=voice[1])
