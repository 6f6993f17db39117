"""What becomes of a post: from its order to the network, whatever the vendor answers."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from services.errors import AttemptLost, InvalidInput, NotAllowed
from tests.publishing.press import NETWORKS, Press, later
from tests.publishing.shop import Shop


@pytest.fixture
def store(press: Press) -> Shop:
    return press.open()


def handed_over(press: Press, store: Shop, **extra: object) -> UUID:
    """A post that the vendor has, an hour before its moment."""
    bundle = press.order(store, later(hours=1), **extra)
    press.tick()
    assert press.states(bundle) == {"scheduled"}
    return bundle


# The straight way ---------------------------------------------------------------------------------------------------


def test_a_post_goes_out_on_each_channel_in_one_request_and_is_followed_to_the_end(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    assert press.posted() == 1
    rows = press.rows(bundle)
    due = rows[0]["due_at"]
    assert {row["due_at"] for row in rows} == {due}
    assert timedelta(0) < due - later(hours=1) < timedelta(seconds=1)
    assert due.microsecond // 1000 % 2 == 1, "an odd millisecond, which people and other clients never choose"
    assert {row["vendor_post"] for row in rows} == {post.id for post in press.fake.posts(press.owner(store))}
    assert press.fake.live() == []

    press.run(later(hours=1, minutes=10))
    rows = press.rows(bundle)
    assert {row["state"] for row in rows} == {"published"}
    live = press.fake.live()
    assert sorted(row["release_url"] for row in rows) == sorted(each.url for each in live)
    assert {each.client_ref for each in live} == {str(row["id"]) for row in rows}
    assert press.posted() == 1
    assert press.bundle(bundle)["step"] is None


def test_a_draft_stays_a_draft(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(minutes=30))
    store.set_state(bundle, "draft")
    press.run(later(hours=1), step=600)
    assert press.states(bundle) == {"draft"}
    assert press.posted() == 0


def test_a_clip_with_many_moments_is_uploaded_once(press: Press, store: Shop) -> None:
    bundles = [press.order(store, later(hours=hour)) for hour in range(2, 7)]
    press.tick()
    assert len(press.owner(store).uploads) == 1
    bundles.append(press.order(store, later(hours=8)))
    press.tick()
    assert len(press.owner(store).uploads) == 1
    assert {state for bundle in bundles for state in press.states(bundle)} == {"scheduled"}


def test_two_posts_of_one_moment_on_one_channel_get_instants_of_their_own(press: Press, store: Shop) -> None:
    bundles = [press.order(store, later(hours=1)) for _ in range(3)]
    press.tick()
    assert len({press.bundle(bundle)["due_at"] for bundle in bundles}) == 3


def test_what_is_wanted_at_once_moves_along_while_the_upload_is_slow(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(minutes=3), at_once=True)
    press.fake.fault("error_before", "upload", times=None)
    press.run(later(minutes=20))
    press.fake.behave()
    press.run(later(minutes=45))
    assert press.states(bundle) == {"published"}
    assert len(press.fake.live()) == len(NETWORKS)


def test_what_is_wanted_at_once_waits_for_an_hour_s_block(press: Press, store: Shop) -> None:
    press.fake.fault("blocked")
    press.order(store, later(minutes=30))
    press.tick()
    bundle = press.order(store, later(minutes=3), at_once=True)
    press.run(later(minutes=59), step=600)
    assert (press.states(bundle), press.posted()) == ({"uploaded"}, 1)
    press.run(later(minutes=61), step=20)
    assert press.states(bundle) == {"scheduled"}


# Lost answers -------------------------------------------------------------------------------------------------------

TAKEN = ("lost", "cut", "truncated", "error_after", "timeout_after", "object", "no_ids", "late", "lost_late")
NOT_TAKEN = ("error_before", "proxy_502", "proxy_503", "timeout_before")


@pytest.mark.parametrize("kind", TAKEN)
def test_what_was_taken_without_an_answer_is_found_in_the_list(press: Press, store: Shop, kind: str) -> None:
    press.fake.fault(kind)
    bundle = press.order(store, later(hours=1))
    press.tick()
    press.run(later(minutes=20), step=15)
    assert press.states(bundle) == {"scheduled"}
    assert press.posted() == 1
    press.run(later(hours=1, minutes=10))
    assert press.states(bundle) == {"published"}
    assert len(press.fake.live()) == len(NETWORKS)


@pytest.mark.parametrize("kind", NOT_TAKEN)
def test_what_is_proven_absent_is_sent_again(press: Press, store: Shop, kind: str) -> None:
    press.fake.fault(kind)
    bundle = press.order(store, later(hours=1))
    press.tick()
    assert press.states(bundle) == {"sending"}
    press.run(later(minutes=9, seconds=50), step=10)
    assert (press.states(bundle), press.posted()) == ({"sending"}, 1)
    press.run(later(minutes=12), step=10)
    assert (press.states(bundle), press.posted()) == ({"scheduled"}, 2)
    press.run(later(hours=1, minutes=10))
    assert len(press.fake.live()) == len(NETWORKS)


def test_of_a_request_that_was_taken_in_part_only_the_rest_is_sent_again(press: Press, store: Shop) -> None:
    press.fake.fault("partial")
    bundle = press.order(store, later(hours=1))
    press.run(later(minutes=15), step=15)
    assert press.states(bundle) == {"scheduled"}
    press.run(later(hours=1, minutes=10))
    assert len(press.fake.live()) == len(NETWORKS)
    assert len({row["due_at"] for row in press.rows(bundle)}) == 1


@pytest.mark.parametrize("settings", ["text", "dict", "absent"])
def test_a_vendor_that_lists_no_reference_is_understood_by_channel_and_instant(
    press: Press, store: Shop, settings: str
) -> None:
    press.fake.settings = settings
    press.fake.fault("lost")
    bundle = press.order(store, later(hours=1))
    press.run(later(minutes=1), step=15)
    assert press.states(bundle) == {"scheduled"}


def test_what_was_never_taken_and_is_past_its_moment_is_missed(press: Press, store: Shop) -> None:
    press.fake.fault("error_before", times=None)
    bundle = press.order(store, later(minutes=5))
    press.run(later(minutes=30), step=15)
    assert press.states(bundle) == {"missed"}
    assert press.fake.live() == []
    assert press.posted() == 1
    assert press.bundle(bundle)["step"] is None


def test_while_the_list_cannot_be_read_nobody_can_tell_and_nothing_is_sent_again(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    press.fake.fault("error_before", "list", times=None)
    bundle = press.order(store, later(minutes=10))
    press.run(later(minutes=9), step=15)
    assert press.states(bundle) == {"sending"}
    press.run(later(minutes=25), step=15)
    assert press.states(bundle) == {"unconfirmed"}
    assert "cannot be read" in press.rows(bundle)[0]["error"]
    press.fake.behave()
    press.run(later(minutes=40), step=15)
    assert press.states(bundle) == {"published"}
    assert (press.posted(), len(press.fake.live())) == (1, len(NETWORKS))


def test_a_later_sweep_proves_that_it_was_never_taken(press: Press, store: Shop) -> None:
    press.fake.fault("error_before")
    press.fake.fault("error_before", "list", times=None)
    bundle = press.order(store, later(minutes=10))
    press.run(later(minutes=25), step=15)
    assert press.states(bundle) == {"unconfirmed"}
    press.fake.behave()
    press.run(later(minutes=60), step=15)
    assert press.states(bundle) == {"missed"}
    assert (press.posted(), press.fake.live()) == (1, [])


def test_a_surplus_is_taken_back_before_its_moment(press: Press, store: Shop) -> None:
    """The first request arrives after all, when the list had proven it absent."""
    press.fake.lag = timedelta(minutes=11)
    press.fake.fault("lost_late")
    bundle = press.order(store, later(hours=1))
    press.run(later(minutes=15), step=15)
    assert press.posted() == 2
    press.run(later(hours=1, minutes=10))
    assert len(press.fake.live()) == len(NETWORKS)
    assert press.states(bundle) == {"published"}


# Refusals -----------------------------------------------------------------------------------------------------------


def test_a_refusal_that_names_a_channel_drops_that_one_and_sends_the_rest(press: Press, store: Shop) -> None:
    press.fake.fault("bad_channel")
    bundle = press.order(store, later(hours=1))
    press.tick()
    states = sorted(row["state"] for row in press.rows(bundle))
    assert states == ["failed", "scheduled", "scheduled"]
    (failed,) = [row for row in press.rows(bundle) if row["state"] == "failed"]
    assert "refuses this post" in failed["error"]
    press.run(later(hours=1, minutes=10))
    assert {each.channel for each in press.fake.live()} == set(store.channels) - {failed["channel"]}


def test_a_channel_that_the_vendor_does_not_know_any_more_waits_and_is_missed(press: Press, store: Shop) -> None:
    gone = store.channels[0]
    press.owner(store).channels = [each for each in press.owner(store).channels if each.id != gone]
    bundle = press.order(store, later(minutes=30))
    press.tick()
    states = {row["channel"]: row["state"] for row in press.rows(bundle)}
    assert states.pop(gone) == "uploaded"
    assert set(states.values()) == {"scheduled"}
    press.run(later(hours=1))
    (missed,) = [row for row in press.rows(bundle) if row["channel"] == gone]
    assert missed["state"] == "missed"
    assert "does not show this channel" in missed["error"]


def test_a_refused_clip_fails_with_the_vendor_s_reason(press: Press, store: Shop) -> None:
    path = press.world.value("select media_path from public.clips where id = %s", store.clip)
    press.folder.write(path, b"no video at all")
    bundle = press.order(store, later(hours=1))
    press.tick()
    assert press.states(bundle) == {"failed"}
    assert "type" in press.rows(bundle)[0]["error"]


@pytest.mark.parametrize("kind", ["login_page", "login_redirect"])
def test_a_login_page_in_place_of_the_vendor_took_nothing(press: Press, store: Shop, kind: str) -> None:
    press.fake.fault(kind)
    bundle = press.order(store, later(hours=1))
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    assert press.bundle(bundle)["trouble"]
    press.run(later(minutes=5))
    assert press.states(bundle) == {"scheduled"}


# How it turns out ---------------------------------------------------------------------------------------------------


def test_an_error_with_a_reason_fails_after_two_hours_and_says_why(press: Press, store: Shop) -> None:
    channel = store.channels[0]
    press.fake.will(channel, "failed")
    bundle = handed_over(press, store)
    press.run(later(hours=2), step=120)
    row = next(row for row in press.rows(bundle) if row["channel"] == channel)
    assert row["state"] == "scheduled"
    assert "The network refused the video" in row["error"]
    press.run(later(hours=4), step=300)
    row = next(row for row in press.rows(bundle) if row["channel"] == channel)
    assert row["state"] == "failed"
    assert "The network refused the video" in row["error"]


def test_an_error_may_still_turn_into_published(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[1], "recovered")
    bundle = handed_over(press, store)
    press.run(later(hours=2), step=60)
    assert press.states(bundle) == {"published"}


def test_what_the_vendor_could_not_confirm_is_unknown(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[2], "unconfirmed")
    bundle = handed_over(press, store)
    press.run(later(hours=1, minutes=15))
    row = next(row for row in press.rows(bundle) if row["channel"] == store.channels[2])
    assert row["state"] == "unconfirmed"
    assert "Look at the account" in row["error"]


def test_a_failed_comment_leaves_the_post_live(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[0], "comment")
    bundle = handed_over(press, store)
    press.run(later(hours=1, minutes=31))
    row = next(row for row in press.rows(bundle) if row["channel"] == store.channels[0])
    assert (row["state"], row["comment_failed"], row["release_url"] is not None) == ("published", True, True)


def test_a_late_one_is_followed_until_it_is_out(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[0], "late")
    bundle = handed_over(press, store)
    press.run(later(hours=4), step=300)
    assert press.states(bundle) == {"published"}


def test_one_that_stays_in_the_queue_is_unknown_after_two_days(press: Press, store: Shop) -> None:
    press.fake.will(store.channels[0], "stuck")
    bundle = handed_over(press, store)
    press.run(later(hours=47), step=3600)
    row = next(row for row in press.rows(bundle) if row["channel"] == store.channels[0])
    assert (row["state"], "tries again every hour" in row["error"]) == ("scheduled", True)
    press.run(later(hours=51), step=3600)
    row = next(row for row in press.rows(bundle) if row["channel"] == store.channels[0])
    assert row["state"] == "unconfirmed"


def test_a_dead_permission_fails_at_once_and_marks_the_channel_until_it_works_again(press: Press, store: Shop) -> None:
    channel = press.owner(store).channels[0]
    channel.reconnect = True
    bundle = handed_over(press, store)
    press.run(later(hours=1, minutes=15))
    row = next(row for row in press.rows(bundle) if row["channel"] == channel.id)
    assert row["state"] == "failed"
    assert "Reconnect" in row["error"]
    since = "select reconnect_since from public.profile_channels where channel = %s"
    assert press.world.value(since, channel.id) is not None
    channel.reconnect = False
    press.order(store, later(hours=2))
    press.run(later(hours=2, minutes=10))
    assert press.world.value(since, channel.id) is None


def test_a_post_deleted_at_the_vendor_fails_and_a_moved_one_is_followed(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    posts = {post.channel.id: post for post in press.fake.posts(press.owner(store))}
    deleted, moved = posts[store.channels[0]], posts[store.channels[1]]
    deleted.deleted, deleted.timer = True, None
    moved.date = moved.timer = later(hours=3)
    press.world.execute("update public.bundles set next_at = 'epoch' where id = %s", bundle)
    press.run(later(minutes=40), step=60)
    states = {row["channel"]: (row["state"], row["due_at"]) for row in press.rows(bundle)}
    assert states[store.channels[0]][0] == "failed"
    assert states[store.channels[1]] == ("scheduled", later(hours=3))
    press.run(later(hours=3, minutes=10), step=120)
    assert {row["channel"] for row in press.rows(bundle) if row["state"] == "published"} == set(store.channels[1:])


# Taking back --------------------------------------------------------------------------------------------------------


def withdraw(press: Press, bundle: UUID, channel: str) -> None:
    press.world.execute(
        "update public.publications set withdraw_requested_at = now() where bundle_id = %s and channel = %s",
        bundle, channel,
    )  # fmt: skip


def test_what_a_person_takes_back_is_deleted_at_the_vendor(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    withdraw(press, bundle, store.channels[0])
    press.tick()
    states = {row["channel"]: row["state"] for row in press.rows(bundle)}
    assert states == dict(zip(store.channels, ["cancelled", "scheduled", "scheduled"], strict=True))
    press.run(later(hours=1, minutes=10))
    assert {each.channel for each in press.fake.live()} == set(store.channels[1:])


def test_a_deletion_without_an_answer_is_confirmed_by_the_list(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    withdraw(press, bundle, store.channels[0])
    press.fake.fault("error_after", "delete")
    press.run(later(minutes=20), step=30)
    assert "cancelled" in press.states(bundle)


def test_what_is_due_cannot_be_taken_back_any_more(press: Press, store: Shop) -> None:
    bundle = handed_over(press, store)
    press.fake.clock = later(minutes=59, seconds=55)
    withdraw(press, bundle, store.channels[0])
    press.tick()
    press.run(later(hours=1, minutes=10))
    assert press.states(bundle) == {"published"}


# Stores, accounts, channels -----------------------------------------------------------------------------------------


def test_a_suspended_store_waits_and_says_why(press: Press, store: Shop) -> None:
    suspend = "update public.profiles set suspended_at = %s where id = %s"
    press.world.execute(suspend, later(), store.store)
    bundle = press.order(store, later(hours=1))
    press.run(later(minutes=30), step=300)
    assert (press.states(bundle), press.posted()) == ({"uploaded"}, 0)
    assert "suspended" in press.bundle(bundle)["trouble"]
    press.world.execute(suspend, None, store.store)
    press.run(later(minutes=35))
    assert press.states(bundle) == {"scheduled"}


def test_a_channel_that_is_not_the_store_s_any_more_gets_nothing(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(hours=1))
    press.world.execute("delete from public.profile_channels where channel = %s", store.channels[0])
    press.tick()
    states = {row["channel"]: row["state"] for row in press.rows(bundle)}
    assert states == dict(zip(store.channels, ["failed", "scheduled", "scheduled"], strict=True))


def test_nothing_goes_out_on_a_channel_of_another_store_on_the_same_key(press: Press, store: Shop) -> None:
    beside = press.open(beside=store)
    bundle = press.order(store, later(hours=1), store.channels[0])
    press.world.execute("update public.publications set channel = %s where bundle_id = %s", beside.channels[0], bundle)
    press.run(later(hours=1, minutes=10), step=600)
    assert (press.states(bundle), press.posted()) == ({"failed"}, 0)
    assert "not pinned to the store" in press.rows(bundle)[0]["error"]


def test_a_channel_that_is_switched_off_waits_until_it_is_on_again(press: Press, store: Shop) -> None:
    channel = press.owner(store).channels[0]
    channel.disabled = True
    bundle = press.order(store, later(hours=1))
    press.tick()
    waiting = next(row for row in press.rows(bundle) if row["channel"] == channel.id)
    assert (waiting["state"], "switched off" in waiting["error"]) == ("uploaded", True)
    channel.disabled = False
    press.run(later(minutes=5))
    assert press.states(bundle) == {"scheduled"}


def test_a_channel_that_became_another_waits_until_an_admin_pins_it_again(press: Press, store: Shop) -> None:
    channel = press.owner(store).channels[0]
    channel.name = "Rival's shop"
    bundle = press.order(store, later(hours=1))
    press.tick()
    waiting = next(row for row in press.rows(bundle) if row["channel"] == channel.id)
    assert waiting["state"] == "uploaded"
    assert "Rival's shop" in waiting["error"]
    notices = (
        "select count(*) from public.notices where account_id = %s and kind = 'channel_changed' and resolved_at {}"
    )
    assert press.world.value(notices.format("is null"), store.account) == 1
    press.world.execute("update public.profile_channels set name = %s where channel = %s", channel.name, channel.id)
    assert press.world.value(notices.format("is not null"), store.account) == 1
    press.run(later(minutes=5))
    assert press.states(bundle) == {"scheduled"}


def test_a_new_key_of_another_account_has_the_clip_uploaded_there(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(hours=1))
    press.owner(store).limit = 0
    press.tick()
    assert press.states(bundle) == {"uploaded"}
    other = press.fake.organisation(press.owner(store).channels)
    press.replace_key(store, other)
    press.run(later(minutes=10))
    assert (len(other.uploads), press.states(bundle)) == (1, {"scheduled"})


def test_a_rotated_key_finds_what_the_old_one_was_told(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    bundle = press.order(store, later(hours=1))
    press.tick()
    press.fake.rotate(press.owner(store))
    press.replace_key(store, press.owner(store))
    press.run(later(hours=1, minutes=10))
    assert press.states(bundle) == {"published"}
    assert len(press.fake.live()) == len(NETWORKS)


# People are told ----------------------------------------------------------------------------------------------------


def test_managers_are_told_of_what_was_missed_once(press: Press, store: Shop) -> None:
    press.fake.fault("error_before", "upload", times=None)
    bundle = press.order(store, later(minutes=5), store.channels[0])
    press.run(later(minutes=30), step=60)
    assert press.states(bundle) == {"missed"}
    (notice,) = press.world.rows("select * from public.notices where account_id = %s", store.account)
    assert (notice["kind"], notice["profile_id"]) == ("post_missed", store.store)
    assert "Choose a new moment" in notice["text"]
    readers = press.world.rows("select person_id from public.notice_readers where notice_id = %s", notice["id"])
    assert {row["person_id"] for row in readers} == {store.manager, store.admin}


def test_a_notice_is_over_when_the_post_is_found(press: Press, store: Shop) -> None:
    press.fake.fault("lost")
    press.fake.fault("error_before", "list", times=None)
    press.order(store, later(minutes=10), store.channels[0])
    press.run(later(minutes=15), step=30)
    told = "select kind, resolved_at is null as open from public.notices where account_id = %s"
    assert press.world.rows(told, store.account) == [{"kind": "post_unconfirmed", "open": True}]
    press.fake.behave()
    press.run(later(minutes=40), step=30)
    assert press.world.rows(told, store.account) == [{"kind": "post_unconfirmed", "open": False}]


# What others posted -------------------------------------------------------------------------------------------------


def test_posts_that_nobody_made_here_are_shown_until_they_go(press: Press, store: Shop) -> None:
    handed_over(press, store)
    stray = press.fake.dashboard_post(store.channels[0], "By hand", later(hours=5))
    foreign = press.fake.organisation(press.fake.home.channels)
    assert foreign
    press.run(later(minutes=16), step=60)
    shown = "select vendor_post, preview from public.stray_posts where profile_id = %s"
    assert press.world.rows(shown, store.store) == [{"vendor_post": stray.id, "preview": "By hand"}]
    stray.deleted = True
    press.run(later(minutes=32), step=60)
    assert press.world.rows(shown, store.store) == []


# The doors ----------------------------------------------------------------------------------------------------------


def test_people_call_none_of_the_publisher_s_functions(press: Press, store: Shop) -> None:
    token, nothing = uuid4(), UUID(int=0)
    calls: dict[str, dict[str, object]] = {
        "claim_publishing": {"p_lease_seconds": 60},
        "keep_bundle": {"p_token": token, "p_lease_seconds": 60},
        "bundle_waits": {"p_token": token, "p_seconds": 1, "p_trouble": "mine"},
        "uploaded_bundle": {"p_token": token, "p_organization": "mine", "p_key_id": nothing},
        "begin_sending": {"p_token": token, "p_organization": "mine", "p_key_id": nothing},
        "bundle_sent": {"p_token": token, "p_posts": [], "p_allowance": None},
        "bundle_refused": {"p_token": token, "p_ids": [], "p_error": "mine", "p_allowance": None},
        "bundle_not_sent": {"p_token": token, "p_seconds": 1, "p_trouble": "mine"},
        "bundle_unclear": {"p_token": token, "p_trouble": "mine", "p_allowance": None},
        "save_readings": {"p_token": token, "p_readings": []},
        "watch_channels": {"p_credential_id": store.credential, "p_channels": []},
        "note_reconnects": {"p_credential_id": store.credential, "p_told": []},
        "claim_strays": {},
        "save_strays": {"p_credential_id": store.credential, "p_organization": "mine", "p_posts": [],
                        "p_from": later(), "p_to": later()},
    }  # fmt: skip
    for person in (store.manager, store.admin):
        for function, values in calls.items():
            with pytest.raises(NotAllowed):
                press.world.as_person(person).call(function, **values)


def test_a_person_who_changes_a_post_stops_the_publisher_that_has_it(press: Press, store: Shop) -> None:
    bundle = press.order(store, later(hours=1))
    claimed = press.world.as_worker().call("claim_publishing", p_lease_seconds=180, p_now=press.now)
    press.world.execute("update public.bundles set token = null, lease_until = null where id = %s", bundle)
    with pytest.raises(AttemptLost):
        press.world.as_worker().call(
            "uploaded_bundle", p_token=UUID(claimed["token"]), p_organization="o", p_key_id=None,
            p_media={"id": "m", "path": "p"},
        )  # fmt: skip


def test_nothing_is_sent_again_on_suspicion_whatever_the_caller_believes(press: Press, store: Shop) -> None:
    press.fake.fault("error_before")
    bundle = press.order(store, later(hours=1), store.channels[0])
    press.tick()
    press.fake.advance(minutes=1)
    worker = press.world.as_worker()
    claimed = worker.call("claim_publishing", p_lease_seconds=180, p_now=press.now)
    (row,) = press.rows(bundle)
    belief = {"id": row["id"], "state": "uploaded", "absent_lists": 3, "absent_since": later(seconds=1)}
    with pytest.raises(InvalidInput):
        worker.call("save_readings", p_token=UUID(claimed["token"]), p_readings=[belief], p_now=press.now)
    assert press.states(bundle) == {"sending"}
