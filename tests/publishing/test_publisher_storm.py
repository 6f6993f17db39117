"""Everything goes wrong at once, and publishers are killed at random; and killed at each place one after the other."""

import random
import threading
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.publishing import publisher as module
from services.publishing import wire
from services.publishing.publisher import Publisher
from tests.fakes.postiz import Faults
from tests.publishing.press import NETWORKS, START, Press, later
from tests.publishing.shop import Shop

OVER = {"published", "missed", "failed"}
PLACES = (
    "publish_claimed", "media_uploaded", "media_noted", "send_intended", "posts_created", "posts_noted", "listed",
    "readings_saved",
)  # fmt: skip


class Killed(BaseException):
    """As SIGKILL: nothing handles it."""


class Dice:
    """Kills whoever passes a checkpoint, with that probability."""

    def __init__(self, rate: float, seed: int) -> None:
        self.rate = rate
        self.deaths = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def reached(self, place: str) -> None:
        with self._lock:
            dies = self._random.random() < self.rate
            self.deaths += dies
        if dies:
            raise Killed(place)


def tick(press: Press, publisher: Publisher) -> None:
    """Again after each death, as another worker would."""
    try:
        press.tick(publisher)
    except Killed:
        return


def together(press: Press, publishers: list[Publisher]) -> None:
    threads = [threading.Thread(target=tick, args=(press, each)) for each in publishers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def play(press: Press, until: datetime, workers: int) -> None:
    """Jump from one instant at which something is due to the next."""
    publishers = [press.publisher() for _ in range(workers)]
    due = (
        "select least(min(greatest(next_at, coalesce(lease_until, next_at))), %s) from public.bundles"
        " where step is not null and greatest(next_at, coalesce(lease_until, next_at)) > %s"
    )
    while press.now < until:
        following = press.world.value(due, press.now + timedelta(minutes=10), press.now)
        press.fake.clock = max(following, press.now + timedelta(seconds=10))
        together(press, publishers)


def storm(press: Press, monkeypatch: pytest.MonkeyPatch, posts: int, hours: float, seed: int) -> Dice:
    """`posts` bundles on three channels each, in four stores on two keys, within `hours`."""
    first, second = press.open(), press.open()
    stores = [first, second, press.open(beside=first), press.open(beside=second)]
    chance = random.Random(seed)
    for number in range(posts):
        wanted = START + timedelta(minutes=5) + timedelta(minutes=chance.randrange(int(hours * 60)))
        press.order(stores[number % 4], wanted)
    dice = Dice(0.03, seed)
    monkeypatch.setattr(module, "reached", dice.reached)
    press.fake.faults = Faults(0.2, seed, routes=("create", "list", "upload", "delete", "other"))
    play(press, later(hours=hours, minutes=5), workers=2)
    press.fake.behave()
    dice.rate = 0.0
    play(press, later(hours=hours + 4), workers=1)
    return dice


def assert_the_truth(press: Press) -> dict[str, int]:
    """What is written here is what the networks show. Returns how many of each state there are."""
    rows = press.world.rows("select * from public.publications where account_id in (select account_id from"
                            " public.profile_channels)")  # fmt: skip
    live = press.fake.live()
    shown = [each.client_ref for each in live]
    assert len(shown) == len(set(shown)), "something went out twice"
    by_id = {str(row["id"]): row for row in rows}
    pinned = press.world.rows("select profile_id, channel from public.profile_channels")
    own = {(row["profile_id"], row["channel"]) for row in pinned}
    assert {each for each in live if (by_id[each.client_ref or ""]["profile_id"], each.channel) not in own} == set()
    assert {row["state"] for row in rows} <= OVER
    published = {str(row["id"]): row["vendor_post"] for row in rows if row["state"] == "published"}
    assert published == {each.client_ref: each.post_id for each in live}
    assert press.world.rows("select id from public.bundles where step is not null") == []
    states = [row["state"] for row in rows]
    return {state: states.count(state) for state in OVER}


def test_a_small_storm(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = storm(press, monkeypatch, posts=34, hours=3, seed=7)
    ends = assert_the_truth(press)
    assert sum(ends.values()) == 102
    assert ends["published"] >= 60
    assert dice.deaths > 3


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm(press: Press, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    dice = storm(press, monkeypatch, posts=334, hours=14, seed=seed)
    ends = assert_the_truth(press)
    assert sum(ends.values()) == 1002
    assert ends["published"] >= 800
    assert dice.deaths > 30


# One death at a time ------------------------------------------------------------------------------------------------


@pytest.fixture
def store(press: Press) -> Shop:
    return press.open()


def die_once(press: Press, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The first that comes there is killed; who comes after is not."""
    deaths: list[str] = []

    def reached(name: str) -> None:
        if name == place and not deaths:
            deaths.append(name)
            raise Killed(name)

    monkeypatch.setattr(module, "reached", reached)
    for _ in range(100):
        tick(press, press.publisher())
        if deaths:
            return
        press.fake.advance(minutes=1)
    raise AssertionError(f"nobody came to {place}")


@pytest.mark.parametrize("place", PLACES)
def test_after_a_death_at_any_place_it_goes_out_once(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    bundle = press.order(store, later(hours=1))
    die_once(press, monkeypatch, place)
    press.run(later(hours=1, minutes=15), step=60)
    assert press.states(bundle) == {"published"}
    assert len(press.fake.live()) == len(NETWORKS)
    assert press.bundle(bundle)["step"] is None


def test_a_publisher_that_was_taken_for_dead_writes_nothing_any_more(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps with the vendor's answer in its hand; another finds the posts in the list meanwhile."""
    bundle = press.order(store, later(hours=1))
    seen: list[UUID] = []

    def reached(place: str) -> None:
        if place == "posts_created" and not seen:
            seen.append(bundle)
            press.fake.advance(minutes=4)
            press.tick(press.publisher())

    monkeypatch.setattr(module, "reached", reached)
    press.publisher().tick(press.now)
    assert seen
    assert press.states(bundle) == {"scheduled"}
    press.run(later(hours=1, minutes=15), step=60)
    assert (press.posted(), len(press.fake.live())) == (1, len(NETWORKS))


def test_a_process_that_slept_after_its_intent_does_not_send(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = press.order(store, later(hours=1))
    times = iter([0.0, 60.0])
    monkeypatch.setattr(wire, "awake", lambda: next(times, 60.0))
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    assert press.posted() == 0
    press.run(later(minutes=5))
    assert (press.states(bundle), press.posted()) == ({"scheduled"}, 1)
