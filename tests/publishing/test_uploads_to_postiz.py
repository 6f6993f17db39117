"""Clips on their way to the vendor's library: which file is sent, and what waits meanwhile."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from nacl.public import PrivateKey

from services.config import VAULT_PRIVATE, Settings
from services.publishing import publisher, wire
from services.publishing.publisher import Publisher
from services.vault import _text
from tests.fakes.web import Reply
from tests.publishing.press import MP4, NETWORKS, Press, later
from tests.publishing.shop import Shop

JPEG = b"\xff\xd8\xff\xe0" + bytes(32)


@pytest.fixture
def store(press: Press) -> Shop:
    return press.open()


def uploads(press: Press, store: Shop) -> int:
    return len(press.owner(store).uploads)


def put_speech_on(press: Press, store: Shop) -> str:
    """The clip gets another file; returns its path."""
    path = f"clips/{uuid4()}.mp4"
    press.folder.write(path, MP4 + b"speech")
    press.world.execute("update public.clips set media_path = %s where id = %s", path, store.clip)
    return path


# The clip's file ----------------------------------------------------------------------------------------------------


def meanwhile(press: Press, happens: Callable[[], object]) -> Publisher:
    """A publisher during whose first upload something happens."""
    made, open_file = press.publisher(), press.folder.open
    left = [happens]

    class Slow:
        def open(self, path: str) -> Any:
            if left:
                left.pop()()
            return open_file(path)

    made._media = Slow()  # type: ignore[assignment]  # it only opens
    return made


def test_what_was_changed_during_its_upload_goes_out_as_it_is_now(press: Press, store: Shop) -> None:
    old = press.world.value("select media_path from public.clips where id = %s", store.clip)
    bundle, new = press.order(store, later(hours=1)), []
    press.tick(meanwhile(press, lambda: new.append(put_speech_on(press, store))))
    assert press.states(bundle) == {"scheduled"}
    assert uploads(press, store) == 2
    assert press.bundle(bundle)["media"]["source"] == new[0]
    known = press.world.rows(
        "select media_path, media from private.vendor_media where media_path in (%s, %s)", old, *new
    )
    assert {row["media_path"]: row["media"]["id"] for row in known}[new[0]] == press.bundle(bundle)["media"]["id"]
    assert len({row["media"]["id"] for row in known}) == 2


def test_what_was_changed_after_its_upload_is_uploaded_again(press: Press, store: Shop) -> None:
    press.fake.fault("login_page")
    bundle = press.order(store, later(hours=1))
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    new = put_speech_on(press, store)
    press.run(later(minutes=5))
    assert press.states(bundle) == {"scheduled"}
    assert press.bundle(bundle)["media"]["source"] == new
    assert uploads(press, store) == 2
    assert len({media["id"] for media in sent_media(press)}) == 2


def sent_media(press: Press) -> list[dict[str, str]]:
    """The first file of each request for posts."""
    place = f"{press.fake.prefix}/public/v1/posts"
    bodies = [json.loads(r.body) for r in press.fake.requests if (r.method, r.path) == ("POST", place)]
    return [body["posts"][0]["value"][0]["image"][0] for body in bodies]


def test_what_may_have_reached_the_vendor_stays_as_it_was_sent(press: Press, store: Shop) -> None:
    press.fake.fault("error_before")
    bundle = press.order(store, later(hours=1))
    press.tick()
    put_speech_on(press, store)
    press.run(later(minutes=12), step=10)
    assert (press.states(bundle), press.posted(), uploads(press, store)) == ({"scheduled"}, 2, 1)


# Pinterest's cover --------------------------------------------------------------------------------------------------


@pytest.fixture
def pinned(press: Press) -> Shop:
    """A store with a Pinterest channel beside another, whose clip has a thumbnail."""
    store = press.open(("pinterest", "facebook"))
    path = f"thumbnails/{uuid4()}.jpg"
    press.folder.write(path, JPEG)
    press.world.execute("update public.clips set thumbnail_path = %s where id = %s", path, store.clip)
    return store


def order(press: Press, store: Shop, hours: int, *channels: str) -> UUID:
    bundle = press.order(store, later(hours=hours), *channels)
    press.world.execute(
        "update public.publications set settings = jsonb_build_object('board', 'b1') where bundle_id = %s", bundle
    )
    return bundle


def files(press: Press, store: Shop) -> dict[str, list[str]]:
    """What was posted on each network, by the ends of the files' names."""
    return {
        post.channel.identifier: [media["path"].rpartition(".")[2] for media in post.messages[0]["image"]]
        for post in press.fake.posts(press.owner(store))
    }


def test_pinterest_gets_the_thumbnail_beside_a_video_and_no_other_network_does(press: Press, pinned: Shop) -> None:
    bundle = order(press, pinned, 1)
    press.tick()
    assert press.states(bundle) == {"scheduled"}
    assert files(press, pinned) == {"pinterest": ["mp4", "jpg"], "facebook": ["mp4"]}


def test_the_cover_is_uploaded_once_and_only_where_it_is_needed(press: Press, pinned: Shop) -> None:
    pinterest, facebook = pinned.channels
    order(press, pinned, 1, facebook)
    press.tick()
    assert uploads(press, pinned) == 1
    bundles = [order(press, pinned, hours, pinterest) for hours in (2, 3)]
    press.tick()
    assert uploads(press, pinned) == 2
    assert {state for bundle in bundles for state in press.states(bundle)} == {"scheduled"}
    assert files(press, pinned)["pinterest"] == ["mp4", "jpg"]


# What else is due ---------------------------------------------------------------------------------------------------


def test_slow_uploads_leave_a_thread_for_what_is_due(press: Press, store: Shop) -> None:
    slow, other = press.open(), press.open()
    sent = press.order(store, later(hours=2))
    press.fake.fault("login_page")
    press.tick()
    assert press.states(sent) == {"uploaded"}
    waiting = [press.order(each, later(hours=3)) for each in (slow, other)]
    press.fake.advance(minutes=5)
    entered, go_on = threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        assert go_on.wait(20)

    held = meanwhile(press, stuck)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(press.tick, held)
        try:
            assert entered.wait(20)
            press.tick()
            assert press.states(sent) == {"scheduled"}
            assert {state for bundle in waiting for state in press.states(bundle)} == {"uploading"}
        finally:
            go_on.set()
        first.result(20)
    assert {state for bundle in waiting for state in press.states(bundle)} == {"scheduled"}


# A machine that sleeps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [1, 2])
def test_what_sleeps_between_the_intent_and_the_request_does_not_send(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    """Before the connection is made, and while it is: by the clock that goes on meanwhile."""
    bundle = press.order(store, later(hours=1))
    clock = iter([0.0] * looks)
    monkeypatch.setattr(wire, "awake", lambda: next(clock, 3600.0))
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    assert press.bundle(bundle)["requests"] == 0
    assert "slept" in press.bundle(bundle)["trouble"]
    assert press.fake.posts(press.owner(store)) == []
    monkeypatch.undo()
    press.run(later(minutes=2))
    assert len(press.fake.posts(press.owner(store))) == len(NETWORKS)


def test_nothing_leaves_in_the_last_half_minute_before_its_instant(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = press.order(store, later(seconds=40))
    clock = iter([0.0])
    monkeypatch.setattr(wire, "awake", lambda: next(clock, 11.0))
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    assert press.fake.posts(press.owner(store)) == []


# Waiting ------------------------------------------------------------------------------------------------------------


def test_a_day_s_pause_of_a_list_does_not_leave_it_unread_for_a_day(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    bundle = press.order(store, later(hours=1))
    press.tick()
    press.fake.advance(seconds=20)
    press.fake.misbehave(Reply(429, headers={"retry-after": "86400"}))
    press.tick()
    assert (press.bundle(bundle)["next_at"] - press.now).total_seconds() <= publisher.LONGEST_BLIND
    press.fake.behave()
    press.run(later(minutes=5), step=15)
    assert press.states(bundle) == {"scheduled"}


# The organization's name --------------------------------------------------------------------------------------------


def test_an_organization_keeps_its_name_whatever_becomes_of_the_vault_s_keys(press: Press, store: Shop) -> None:
    names = {named(press, store, Settings(vault_keys=_text(PrivateKey.generate(), VAULT_PRIVATE))) for _ in range(2)}
    assert len(names) == 1


def test_another_database_calls_it_otherwise(press: Press, store: Shop) -> None:
    """So a name that is seen somewhere says nothing without the pepper of its own database."""
    first = named(press, store, Settings())
    press.world.execute("delete from private.publishing_pepper")
    assert named(press, store, Settings()) != first


def named(press: Press, store: Shop, options: Settings) -> str:
    made = Publisher(press.world.as_worker(), press.folder, options, vendor=press.client, opened=press.opened)
    return made.account(store.credential).organization
