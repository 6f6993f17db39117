"""What a list shows of a publication, case by case, without a database."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.publishing import looking, told
from services.publishing.looking import Reading
from services.publishing.vendor import Notification, VendorPost
from services.publishing.work import Planned
from tests.publishing.press import later

DUE = later(hours=1) + timedelta(milliseconds=1)
OURS = UUID(int=7)


def plan(**values: Any) -> Planned:
    return Planned.model_validate(
        {"id": OURS, "profile_id": uuid4(), "channel": "c1", "name": "My shop", "identifier": "x", "caption": "Bread",
         "settings": {}, "state": "sending", "wanted_at": later(hours=1), "due_at": DUE, "vendor_post": None,
         "absent_lists": 0, "absent_since": None, "error_since": None, "requests": 1, "withdraw_requested_at": None,
         **values}
    )  # fmt: skip


def post(**values: Any) -> VendorPost:
    return VendorPost(**{
        "id": "p1", "content": "Bread", "publish_at": DUE, "state": "QUEUE", "release_url": None, "release_id": None,
        "channel": "c1", "identifier": "x", **values,
    })  # fmt: skip


def said(content: str, at: datetime = DUE + timedelta(minutes=1)) -> list[told.Told]:
    return told.read([Notification("n", content, at)])


@pytest.mark.parametrize(
    ("values", "ours"),
    [
        ({}, True),
        ({"reference": OURS}, True),
        ({"reference": OURS, "publish_at": later(hours=9)}, True),
        ({"reference": UUID(int=8)}, False),
        ({"channel": "c2"}, False),
        ({"publish_at": DUE + timedelta(milliseconds=1)}, False),
    ],
)
def test_whose_a_post_is(values: dict[str, Any], ours: bool) -> None:
    assert bool(looking.matches(plan(), [post(**values)])) is ours


def test_what_another_publication_has_at_the_same_instant_is_never_taken_for_its_own() -> None:
    assert looking.matches(plan(others=["p1"]), [post(id="p1")]) == []
    assert looking.matches(plan(others=["p1"]), [post(id="p1", reference=OURS)])


@pytest.mark.parametrize(
    ("state", "before", "deletable"),
    [
        ("QUEUE", timedelta(seconds=61), True),
        ("QUEUE", timedelta(seconds=60), False),
        ("QUEUE", timedelta(minutes=-15), False),
        ("DRAFT", timedelta(minutes=-16), True),
        ("ERROR", timedelta(hours=1), False),
    ],
)
def test_what_the_vendor_may_be_publishing_is_not_deleted(state: Any, before: timedelta, deletable: bool) -> None:
    assert looking.deletable(post(state=state), DUE - before) is deletable


@pytest.mark.parametrize(
    ("found", "own", "visible", "state"),
    [
        (None, True, True, "missed"),
        (None, True, False, "unconfirmed"),
        (None, False, True, "unconfirmed"),
        ({"state": "ERROR"}, True, True, "missed"),
        ({"state": "QUEUE"}, True, True, "unconfirmed"),
        ({"state": "PUBLISHED"}, True, True, "published"),
    ],
)
def test_what_a_person_did_not_find_ends_with_what_the_list_shows(
    found: dict[str, Any] | None, own: bool, visible: bool, state: str
) -> None:
    decided = plan(state="unconfirmed", vendor_post="p1", withdraw_requested_at=later(hours=2))
    shown = post(**found) if found else None
    assert looking.read(decided, shown, later(hours=2), own=own, visible=visible).state == state


@pytest.mark.parametrize(("vendor_post", "state"), [(None, "sending"), ("p1", "failed")])
def test_a_list_that_does_not_show_the_channel_proves_nothing_of_what_it_may_never_have_had(
    vendor_post: str | None, state: str
) -> None:
    known = {"state": "scheduled" if vendor_post else "sending", "vendor_post": vendor_post}
    waiting = plan(absent_lists=2, absent_since=later(), **known)
    assert looking.read(waiting, None, later(minutes=30), visible=False).state == state


def test_the_known_one_comes_first_and_a_repeating_one_counts_once() -> None:
    known = plan(state="scheduled", vendor_post="p2")
    found = looking.matches(known, [post(id="p1"), post(id="p2"), post(id="p2", publish_at=later(days=7))])
    assert [each.id for each in found] == ["p2", "p1"]


def absent(lists: int, minutes: float, **values: Any) -> Reading:
    now = later(minutes=30)
    since = now - timedelta(minutes=minutes)
    return looking.read(plan(absent_lists=lists, absent_since=since, **values), None, now)


@pytest.mark.parametrize(
    ("lists", "minutes", "state"), [(0, 0, "sending"), (1, 20, "sending"), (2, 9.9, "sending"), (2, 10, "uploaded")]
)
def test_absence_takes_three_lists_and_ten_minutes(lists: int, minutes: float, state: str) -> None:
    assert absent(lists, minutes).state == state


def test_what_is_absent_is_not_sent_again_in_its_last_two_minutes_nor_when_it_was_unknown() -> None:
    late = plan(absent_lists=2, absent_since=later(), wanted_at=later(minutes=31, seconds=59))
    assert looking.read(late, None, later(minutes=30)).state == "missed"
    assert absent(2, 10, state="unconfirmed").state == "missed"
    assert absent(2, 10, withdraw_requested_at=later()).state == "cancelled"


def test_a_list_of_another_organization_proves_nothing() -> None:
    waiting = plan(absent_lists=2, absent_since=later())
    assert looking.read(waiting, None, later(minutes=30), own=False, visible=False).state == "sending"
    assert looking.read(waiting, None, later(hours=2), own=False, visible=False).state == "unconfirmed"


@pytest.mark.parametrize(
    ("values", "inbox"),
    [
        ({"release_url": "https://x.example/1", "release_id": "1"}, False),
        ({"release_url": "https://www.tiktok.com/messages?lang=en", "release_id": "missing"}, True),
        ({"release_url": None, "release_id": "missing"}, True),
    ],
)
def test_live_and_handed_to_the_app_s_inbox_are_told_apart(values: dict[str, Any], inbox: bool) -> None:
    reading = looking.read(plan(), post(state="PUBLISHED", **values), later(hours=2))
    assert (reading.state, reading.in_app_inbox, reading.vendor_post) == ("published", inbox, "p1")


@pytest.mark.parametrize(
    ("content", "hours", "state", "words"),
    [
        ("An error occurred while posting on x: Too dark", 0.1, "scheduled", "Too dark"),
        ("An error occurred while posting on x: Too dark", 2, "failed", "Too dark"),
        ("An error occurred while posting on tiktok: Too dark", 2, "failed", "no reason"),
        ("We couldn't post to x for My shop because it's disabled.", 0.1, "failed", "switched off"),
        ("We couldn't post to x for My shop because you need to reconnect it.", 0.1, "failed", "Reconnect"),
        ("We couldn't post to x for Other shop because it's disabled.", 0.1, "scheduled", "no reason"),
        (
            "Your post was sent to X, but we couldn't confirm it was published.",
            0.1,
            "unconfirmed",
            "Look at the account",
        ),
        ("Could not refresh your x channel oh. Please go back", 2, "failed", "Reconnect"),
        ("Your post has been published on X at https://x.example/1", 2, "failed", "no reason"),
    ],
)
def test_what_an_error_means(content: str, hours: float, state: str, words: str) -> None:
    since = DUE + timedelta(minutes=2)
    failing = plan(state="scheduled", vendor_post="p1", error_since=since)
    reading = looking.read(failing, post(state="ERROR"), since + timedelta(hours=hours), said(content))
    assert reading.state == state
    assert words in (reading.error or "")


def test_a_notification_of_another_time_is_of_another_post() -> None:
    failing = plan(state="scheduled", vendor_post="p1", error_since=DUE + timedelta(minutes=2))
    old = said("An error occurred while posting on x: Too dark", DUE - timedelta(hours=1))
    reading = looking.read(failing, post(state="ERROR"), DUE + timedelta(hours=3), old)
    assert "no reason" in (reading.error or "")


def test_a_draft_at_the_vendor_is_told_and_fails_after_two_days() -> None:
    waiting = plan(state="scheduled", vendor_post="p1")
    early = looking.read(waiting, post(state="DRAFT"), DUE + timedelta(hours=1))
    assert (early.state, "into a draft" in (early.error or "")) == ("scheduled", True)
    assert looking.read(waiting, post(state="DRAFT"), DUE + timedelta(days=3)).state == "failed"


def test_what_is_unknown_is_looked_for_ever_more_slowly_and_at_last_not_at_all() -> None:
    unknown = plan(state="unconfirmed", vendor_post="p1")
    pauses = [looking.read(unknown, post(), DUE + timedelta(days=days)).next_seconds or 0 for days in (2.1, 10, 31)]
    assert pauses == [3600.0, 3600.0, looking.NEVER]
    assert looking.following(DUE, DUE - timedelta(hours=1)) == 3660
    assert looking.following(DUE, DUE + timedelta(minutes=1)) == 60
    assert looking.following(DUE, DUE + timedelta(days=1)) == 3600
