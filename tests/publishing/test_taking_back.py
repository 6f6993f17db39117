"""What was handed over and is not to go out after all: taken back, decided by a person, its channel taken away."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.publishing import looking, posts, wire
from services.publishing.postiz import Client
from services.publishing.vendor import VendorPost
from tests.fakes import postiz_routes
from tests.fakes.web import Reply, json_reply
from tests.publishing.press import NETWORKS, Press, later
from tests.publishing.shop import Shop


@pytest.fixture
def store(press: Press) -> Shop:
    return press.open()


def handed_over(press: Press, store: Shop, *channels: str) -> UUID:
    """A post that the vendor has, an hour before its moment."""
    bundle = press.order(store, later(hours=1), *channels)
    press.tick()
    assert press.states(bundle) == {"scheduled"}
    return bundle


def row_of(press: Press, bundle: UUID, channel: str) -> dict[str, Any]:
    return next(row for row in press.rows(bundle) if row["channel"] == channel)


def take_back(press: Press, store: Shop, bundle: UUID, channel: str) -> None:
    posts.cancel(store.door, row_of(press, bundle, channel)["id"])


def deletions(press: Press) -> int:
    return sum(request.method == "DELETE" for request in press.fake.requests)


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let that happen while the first list is read."""
    real, done = Client.posts, []

    def listed(client: Client, start: datetime, end: datetime) -> list[VendorPost]:
        found = real(client, start, end)
        if not done:
            done.append(True)
            act()
        return found

    monkeypatch.setattr(Client, "posts", listed)


# Taken back -------------------------------------------------------------------------------------------------------


def test_what_is_taken_back_while_a_list_is_read_is_deleted_too(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = handed_over(press, store)
    first, second, _ = store.channels
    take_back(press, store, bundle, first)
    meanwhile(monkeypatch, lambda: take_back(press, store, bundle, second))
    press.tick()
    assert [row_of(press, bundle, channel)["state"] for channel in (first, second)] == ["cancelled", "cancelled"]
    press.run(later(hours=1, minutes=10))
    assert {each.channel for each in press.fake.live()} == {store.channels[2]}


def test_what_is_taken_back_while_the_rest_is_sent_is_looked_at_at_once(press: Press, store: Shop) -> None:
    press.owner(store).channels[1].disabled = True
    bundle = press.order(store, later(hours=1))
    press.tick()
    worker = press.world.as_worker()
    press.fake.advance(minutes=2)
    claimed = worker.call("claim_publishing", p_lease_seconds=180, p_now=press.now)
    take_back(press, store, bundle, store.channels[0])
    worker.call(
        "bundle_waits", p_token=UUID(claimed["token"]), p_seconds=600, p_trouble="Nothing came of it.", p_now=press.now
    )
    press.tick()
    assert row_of(press, bundle, store.channels[0])["state"] == "cancelled"


def test_a_deletion_that_would_leave_too_late_does_not_leave(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list takes so long that the vendor may be publishing the post when the deletion arrives."""
    bundle = handed_over(press, store, store.channels[0])
    press.fake.clock = later(minutes=58, seconds=40)
    take_back(press, store, bundle, store.channels[0])
    real = wire.awake
    meanwhile(monkeypatch, lambda: monkeypatch.setattr(wire, "awake", lambda: real() + 25))
    press.tick()
    (row,) = press.rows(bundle)
    assert (deletions(press), row["state"], row["error"]) == (0, "scheduled", looking.TAKEN_BACK_TOO_LATE)


def test_what_was_taken_back_too_late_says_so_for_good(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store, store.channels[0])
    press.fake.clock = later(minutes=59, seconds=10)
    take_back(press, store, bundle, store.channels[0])
    press.tick()
    assert press.rows(bundle)[0]["error"] == looking.TAKEN_BACK_TOO_LATE
    press.run(later(hours=1, minutes=10))
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"]) == ("published", looking.TAKEN_BACK_TOO_LATE)


def test_another_organization_s_key_takes_nothing_back(
    press: Press, store: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found() -> Reply:
        return json_reply({"msg": "Post not found"}, 404)

    monkeypatch.setattr(postiz_routes, "internal_error", not_found)
    bundle = handed_over(press, store, store.channels[0])
    press.replace_key(store, press.fake.organisation(list(press.owner(store).channels)))
    take_back(press, store, bundle, store.channels[0])
    press.run(later(minutes=50), step=300)
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"], deletions(press)) == ("scheduled", looking.DELETE_THERE, 0)
    press.run(later(hours=1, minutes=30), step=120)
    assert (press.states(bundle), len(press.fake.live())) == ({"unconfirmed"}, 1)


def test_each_channel_of_a_bundle_is_taken_back_where_it_went(press: Press, store: Shop) -> None:
    """The key was replaced by another organization's when one channel still waited."""
    press.owner(store).channels[1].disabled = True
    bundle = press.order(store, later(hours=1))
    press.tick()
    press.replace_key(store, press.fake.organisation(press.channels(store)))
    press.run(later(minutes=5))
    assert press.states(bundle) == {"scheduled"}
    for channel in store.channels[:2]:
        take_back(press, store, bundle, channel)
    press.tick()
    first, second = (row_of(press, bundle, channel) for channel in store.channels[:2])
    assert (first["state"], first["error"]) == ("scheduled", looking.DELETE_THERE)
    assert (second["state"], deletions(press)) == ("cancelled", 1)


@pytest.mark.parametrize("settings", ["text", "absent"])
def test_with_a_rotated_key_only_the_post_that_is_meant_is_taken_back(press: Press, store: Shop, settings: str) -> None:
    press.fake.settings = settings
    bundles = [handed_over(press, store, store.channels[0])]
    press.fake.rotate(press.owner(store))
    press.replace_key(store, press.owner(store))
    bundles.append(handed_over(press, store, store.channels[0]))
    assert len({press.rows(bundle)[0]["due_at"] for bundle in bundles}) == 2
    take_back(press, store, bundles[0], store.channels[0])
    press.tick()
    assert [press.states(bundle) for bundle in bundles] == [{"cancelled"}, {"scheduled"}]
    press.run(later(hours=1, minutes=10))
    assert (press.states(bundles[1]), len(press.fake.live())) == ({"published"}, 1)


# Taken away ---------------------------------------------------------------------------------------------------------


def unpin(press: Press, channel: str) -> None:
    press.world.execute("delete from public.profile_channels where channel = %s", channel)


def test_what_was_handed_over_on_a_channel_that_was_taken_away_does_not_go_out(press: Press, store: Shop) -> None:
    beside = press.open(beside=store)
    bundle, other = handed_over(press, store), handed_over(press, beside)
    unpin(press, store.channels[0])
    press.tick()
    row = row_of(press, bundle, store.channels[0])
    assert (row["state"], row["error"]) == ("cancelled", looking.CHANNEL_TAKEN)
    press.run(later(hours=1, minutes=10))
    assert {each.channel for each in press.fake.live()} == {*store.channels[1:], *beside.channels}
    assert press.states(other) == {"published"}


def test_nothing_of_an_archived_store_goes_out(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    press.world.execute("update public.profiles set archived_at = now() where id = %s", store.store)
    press.tick()
    assert {(row["state"], row["error"]) for row in press.rows(bundle)} == {("cancelled", looking.STORE_ARCHIVED)}
    press.run(later(hours=1, minutes=10))
    assert press.fake.live() == []


def test_what_was_being_handed_over_when_its_channel_was_taken_away_is_taken_back(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    bundle = press.order(store, later(hours=1), store.channels[0])
    press.tick()
    assert press.states(bundle) == {"sending"}
    unpin(press, store.channels[0])
    press.run(later(minutes=2), step=15)
    assert (press.states(bundle), press.posted()) == ({"cancelled"}, 1)


# Decided by a person -----------------------------------------------------------------------------------------------


def unconfirmed(press: Press, store: Shop, fault: str) -> UUID:
    """No list could be read when the moment of a post passed whose answer was lost."""
    press.fake.fault(fault)  # type: ignore[arg-type]  # one of the fake's kinds
    press.fake.fault("error_before", "list", times=None)
    bundle = press.order(store, later(minutes=10), store.channels[0])
    press.run(later(minutes=16), step=30)
    assert press.states(bundle) == {"unconfirmed"}
    return bundle


def say_not_there(press: Press, store: Shop, bundle: UUID) -> None:
    posts.decide(store.door, press.rows(bundle)[0]["id"], live=False)


def test_what_a_person_did_not_find_is_kept_from_going_out_later(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[0], "late")
    bundle = unconfirmed(press, store, "lost")
    say_not_there(press, store, bundle)
    press.fake.behave()
    press.tick()
    assert press.states(bundle) == {"unconfirmed"}, "the vendor may be publishing it"
    press.run(later(minutes=30))
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"]) == ("missed", looking.NOT_THERE)
    press.run(later(hours=2), step=300)
    assert press.fake.live() == []


def test_what_a_person_did_not_find_needs_one_list_without_it(press: Press, store: Shop) -> None:
    bundle = unconfirmed(press, store, "error_before")
    say_not_there(press, store, bundle)
    press.tick()
    assert press.states(bundle) == {"unconfirmed"}, "no list could be read yet"
    press.fake.behave()
    press.run(later(minutes=20), step=30)
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"], row["absent_lists"]) == ("missed", looking.NOT_THERE, 0)


def test_what_a_person_did_not_find_and_is_live_is_told(press: Press, store: Shop) -> None:
    bundle = unconfirmed(press, store, "lost")
    say_not_there(press, store, bundle)
    press.fake.behave()
    press.tick()
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"]) == ("published", looking.LIVE_AFTER_ALL)


def test_what_was_believed_lost_and_is_live_is_told(press: Press, store: Shop) -> None:
    bundle = unconfirmed(press, store, "lost")
    store.set_state(bundle, "missed")
    press.fake.behave()
    press.run(later(minutes=35))
    (row,) = press.rows(bundle)
    assert (row["state"], row["vendor_post"]) == ("published", press.fake.posts(press.owner(store))[0].id)


def test_what_was_believed_lost_and_still_waits_at_the_vendor_is_shown(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    bundle = press.order(store, later(hours=3), store.channels[0])
    press.tick()
    store.set_state(bundle, "missed")
    press.run(later(minutes=16))
    strays = press.world.rows("select vendor_post from public.stray_posts where profile_id = %s", store.store)
    assert [row["vendor_post"] for row in strays] == [post.id for post in press.fake.posts(press.owner(store))]


# Surplus, moved, gone ------------------------------------------------------------------------------------------------


def test_a_surplus_is_taken_back_while_another_channel_still_waits(press: Press, store: Shop) -> None:
    press.fake.lag = timedelta(minutes=11)
    press.fake.fault("lost_late")
    bundle = press.order(store, later(hours=1))
    press.run(later(minutes=9), step=15)
    press.owner(store).channels[1].disabled = True
    press.run(later(minutes=15), step=15)
    assert press.posted() == 2
    assert row_of(press, bundle, store.channels[1])["state"] == "uploaded"
    press.run(later(hours=1, minutes=10), step=30)
    assert [len(press.fake.live(channel)) for channel in store.channels] == [1, 0, 1]


def test_posts_that_somebody_moved_to_one_instant_are_all_followed(press: Press, store: Shop) -> None:
    channel = store.channels[0]
    bundles = [handed_over(press, store, each) for each in (channel, channel, store.channels[1])]
    for post in press.fake.posts(press.owner(store)):
        if post.channel.id == channel:
            post.date = post.timer = later(hours=1, minutes=30)
    press.run(later(hours=2), step=120)
    assert [press.states(bundle) for bundle in bundles] == [{"published"}] * 3
    assert len(press.fake.live()) == len(NETWORKS)


def test_a_reading_that_contradicts_another_stops_its_own_bundle_only(press: Press, store: Shop) -> None:
    bundles = [handed_over(press, store, store.channels[0]) for _ in range(2)]
    press.fake.clock = later(hours=1, minutes=5)
    worker = press.world.as_worker()
    claimed = worker.call("claim_publishing", p_lease_seconds=180, p_now=press.now)
    ids = [publication["id"] for bundle in claimed["bundles"] for publication in bundle["publications"]]
    assert len(ids) == 2
    known = press.world.value("select vendor_post from public.publications where id = %s", ids[1])
    told = [{"id": ids[0], "state": "published", "vendor_post": known}, {"id": ids[1], "state": "published"}]
    worker.call("save_readings", p_token=UUID(claimed["token"]), p_readings=told, p_now=press.now)
    assert sorted(state for bundle in bundles for state in press.states(bundle)) == ["published", "scheduled"]


def test_a_channel_that_is_gone_with_its_posts_proves_nothing(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    bundle = press.order(store, later(minutes=30), store.channels[0])
    press.tick()
    owner = press.owner(store)
    for post in press.fake.posts(owner):
        post.deleted = True
    owner.channels = [channel for channel in owner.channels if channel.id != store.channels[0]]
    press.run(later(minutes=40), step=60)
    (row,) = press.rows(bundle)
    assert (row["state"], row["error"], press.posted()) == ("unconfirmed", looking.CHANNEL_GONE, 1)


def test_a_refused_clip_does_not_make_a_request_undone(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(hours=1), requests=2)
    press.folder.write(press.world.value("select media_path from public.clips where id = %s", store.clip), b"no video")
    press.tick()
    assert (press.states(bundle), press.bundle(bundle)["requests"]) == ({"failed"}, 2)
