"""What the vendor's lists show of publications: pure rules, from a list and a clock to the next state.

An unanswered request is told from the list only: a post is found by our reference, or by its channel and its exact
instant; or it is proven absent by three lists over ten minutes. An ERROR of the vendor may still turn into PUBLISHED.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.publishing import told
from services.publishing.told import Told
from services.publishing.vendor import VendorPost
from services.publishing.work import Ended, Planned, State

LISTS = 3  # without a post, and
ABSENCE = timedelta(minutes=10)  # from the first of them to the last: then the vendor has not got it
RESEND = timedelta(minutes=2)  # before its moment: later it is not sent again
TOO_LATE = timedelta(seconds=60)  # before its instant: a deletion may take 30 s, and then it may be at it
AT_IT = timedelta(minutes=15)  # after its instant: until then it may be publishing it, later it tries on the hour
ERROR_SETTLES = timedelta(hours=2)  # until then an ERROR may turn into PUBLISHED
STUCK = timedelta(days=2)  # after its instant: the vendor does not take up what is older
LAST_LOOK = timedelta(minutes=2)  # before its instant, at what was sent more than once: a surplus can still be deleted
GIVEN_UP = timedelta(days=30)
AGAIN = 15.0  # seconds until a deletion that came to nothing is tried again
INBOX = "https://www.tiktok.com/messages"
NEVER = 365 * 86_400.0  # seconds


class Reading(BaseModel):
    """What a list showed of a publication, as `save_readings` takes it. What is None stays as it is known.

    `error`, `absent_*` and `error_since` are replaced. `withdrawn`: it cannot be taken back any more.
    """

    model_config = ConfigDict(frozen=True)

    id: UUID
    state: State | Ended
    next_seconds: float | None = None  # until it is looked at again
    vendor_post: str | None = None
    vendor_state: str | None = None
    release_url: str | None = None
    error: str | None = None
    due_at: datetime | None = None
    comment_failed: bool | None = None
    in_app_inbox: bool | None = None
    absent_lists: int = 0
    absent_since: datetime | None = None
    error_since: datetime | None = None
    withdrawn: Literal["too late"] | None = None


# Which post is whose ------------------------------------------------------------------------------------------------


def matches(plan: Planned, posts: Iterable[VendorPost]) -> list[VendorPost]:
    """Its posts, the one that is known or was found first in front; more than one is a surplus."""
    found = {post.id: post for post in posts if _is_of(plan, post)}
    return sorted(found.values(), key=lambda post: (post.id != plan.vendor_post, post.reference != plan.id, post.id))


def _is_of(plan: Planned, post: VendorPost) -> bool:
    if post.id == plan.vendor_post or post.reference == plan.id:
        return True
    if post.id in plan.others:
        return False
    return post.reference is None and (post.channel, post.publish_at) == (plan.channel, plan.due_at)


# What it means ------------------------------------------------------------------------------------------------------


def read(
    plan: Planned,
    post: VendorPost | None,
    now: datetime,
    said: Sequence[Told] = (),
    *,
    own: bool = True,
    visible: bool = True,
    deleted: bool = False,
) -> Reading:
    """`post` None: no list has it. `own`: the lists are of the organization that it was sent to; `visible`: its channel
    is shown there, so that a post on it would be.

    `deleted`: it was listed, and the vendor says that it has just deleted it, as a person had asked.
    """
    if is_decided(plan):
        return _decided(plan, post, now, proves=deleted or (own and visible), own=own)
    if post is None and deleted:
        return _cancelled(plan)
    if post is None:
        return _absent(plan, now, own=own, visible=visible)
    if post.state == "PUBLISHED" or (post.state == "ERROR" and post.release_url):
        return _published(plan, post)
    if post.state == "ERROR":
        return _failing(plan, post, now, said)
    return _waiting(plan, post, now)


def is_decided(plan: Planned) -> bool:
    """Whether a person looked at the network and did not find it: it is to be ended, and kept from going out later."""
    return plan.state == "unconfirmed" and plan.withdraw_requested_at is not None


def _decided(plan: Planned, post: VendorPost | None, now: datetime, *, proves: bool, own: bool) -> Reading:
    if post is None:
        return Reading(id=plan.id, state="missed", error=NOT_THERE) if proves else _unreadable(plan, now, own)
    if post.state == "PUBLISHED" or (post.state == "ERROR" and post.release_url):
        return _published(plan, post)
    found = _found(plan, post)
    if post.state == "ERROR":
        return Reading.model_validate(found | {"state": "missed", "error": NOT_THERE})
    return Reading.model_validate(found | {"state": "unconfirmed", "error": plan.error, "next_seconds": 60.0})


def deletable(post: VendorPost, now: datetime) -> bool:
    """Whether it waits at the vendor, which is not about to publish it."""
    early, late = post.publish_at - now > TOO_LATE, now - post.publish_at > AT_IT
    return post.state in ("QUEUE", "DRAFT") and (early or late)


def _cancelled(plan: Planned) -> Reading:
    return Reading(id=plan.id, state="cancelled", error=_kept(plan))


def _kept(plan: Planned) -> str | None:
    """What is still true of it when it has ended."""
    return plan.error if plan.error in KEPT else None


def _found(plan: Planned, post: VendorPost) -> dict[str, object]:
    moved = post.publish_at if plan.vendor_post and post.publish_at != plan.due_at else None
    return {"id": plan.id, "vendor_post": post.id, "vendor_state": post.state, "due_at": moved}


def _published(plan: Planned, post: VendorPost) -> Reading:
    inbox = post.release_id == "missing" or (post.release_url or "").startswith(INBOX)
    error = TAKEN_BACK_TOO_LATE if plan.withdraw_requested_at else _kept(plan)
    if is_decided(plan):
        error = LIVE_AFTER_ALL
    return Reading.model_validate(
        _found(plan, post)
        | {"state": "published", "release_url": post.release_url, "in_app_inbox": inbox, "error": error}
        | {"comment_failed": post.state == "ERROR"}
    )


def _failing(plan: Planned, post: VendorPost, now: datetime, said: Sequence[Told]) -> Reading:
    since = plan.error_since or now
    reasons = [one for one in _in_time(plan, since, said) if one.of(plan.identifier, plan.name)]
    sentence = _sentence(post, reasons)
    state, seconds = "scheduled", 300.0
    if any(one.kind == "unconfirmed" for one in reasons):
        state, sentence, seconds = "unconfirmed", COULD_NOT_CONFIRM, slowly(plan, now)
    elif now - since >= ERROR_SETTLES or any(one.kind in ("disabled", "reconnect") for one in reasons):
        state = "failed"
    else:
        sentence = f"{sentence} Postiz may still try again by itself; wait until this is decided."
    return Reading.model_validate(
        _found(plan, post) | {"state": state, "error": sentence, "error_since": since, "next_seconds": seconds}
    )


def _in_time(plan: Planned, since: datetime, said: Sequence[Told]) -> list[Told]:
    return told.between(said, plan.due_at, since) if plan.due_at else []


def _sentence(post: VendorPost, reasons: Sequence[Told]) -> str:
    kinds = {one.kind for one in reasons}
    if "disabled" in kinds:
        return "The channel is switched off in Postiz. Switch it on there, then post it again."
    if "reconnect" in kinds or "refresh" in kinds:
        return "Postiz lost its permission on this channel. Reconnect the channel, then post it again."
    words = next((one.reason for one in reasons if one.reason), None) or post.error
    if words:
        return f"The network refused it: “{words.strip()[:300]}”. Mend that, then post it again."
    return "Postiz reports an error and no reason. Look at the account; if the post is not there, post it again."


def _waiting(plan: Planned, post: VendorPost, now: datetime) -> Reading:
    due, draft = plan.due_at or now, post.state == "DRAFT"
    state, error = "scheduled", TURNED_INTO_DRAFT if draft else None
    if now - due > STUCK:
        state, error = ("failed", STAYED_DRAFT) if draft else ("unconfirmed", STAYED_QUEUED)
    elif not draft and now - due > timedelta(hours=1):
        error = LATE
    withdrawn = "too late" if plan.withdraw_requested_at and due - now <= TOO_LATE else None
    if withdrawn:
        error = TAKEN_BACK_TOO_LATE
    found = _found(plan, post) | {"state": state, "error": error or _kept(plan), "withdrawn": withdrawn}
    pause = AGAIN if plan.withdraw_requested_at and not withdrawn else _pause(state, plan, now)
    return Reading.model_validate(found | {"next_seconds": pause})


def _pause(state: str, plan: Planned, now: datetime) -> float:
    if state == "unconfirmed":
        return slowly(plan, now)
    due = plan.due_at or now
    if plan.requests > 1 and due - now > 2 * LAST_LOOK:
        return (due - now - LAST_LOOK).total_seconds()
    return following(due, now)


def following(due_at: datetime, now: datetime) -> float:
    """Seconds until a post is looked at again: a minute after its instant, then ever more slowly, at least hourly."""
    after = (now - due_at).total_seconds()
    return 60 - after if after < 0 else min(max(after / 2, 60.0), 3600.0)


def slowly(plan: Planned, now: datetime) -> float:
    """Seconds between two looks for what nobody can tell of: minutes at first, hours later, for a month."""
    age = now - (plan.due_at or now)
    if age > GIVEN_UP:
        return NEVER
    return 180.0 if age < timedelta(hours=1) else 900.0 if age < timedelta(days=1) else 3600.0


# Absence ------------------------------------------------------------------------------------------------------------


def _absent(plan: Planned, now: datetime, *, own: bool, visible: bool) -> Reading:
    # A channel that is gone takes its posts out of the lists; where another key is used, so does another organization.
    if not (own if plan.vendor_post else visible):
        return _unreadable(plan, now, own)
    lists, since = plan.absent_lists + 1, plan.absent_since or now
    known = {"id": plan.id, "absent_lists": lists, "absent_since": since}
    if lists < LISTS or now - since < ABSENCE:
        left = (since + ABSENCE - now).total_seconds() + 1
        return Reading.model_validate(
            known
            | {
                "state": plan.state,
                "error": _kept(plan),
                "next_seconds": 300.0 if lists < LISTS - 1 else max(left, 30.0),
            }
        )
    state, error = _vanished(plan, since) if plan.vendor_post else _never_taken(plan, now)
    return Reading.model_validate(known | {"state": state, "error": error, "next_seconds": slowly(plan, now)})


def _unreadable(plan: Planned, now: datetime, own: bool) -> Reading:
    past = plan.due_at is not None and plan.due_at <= now
    state = "unconfirmed" if plan.state in ("sending", "scheduled") and past else plan.state
    known = {"id": plan.id, "absent_lists": plan.absent_lists, "absent_since": plan.absent_since}
    taken_back = plan.withdraw_requested_at is not None and state == "scheduled"
    error = CHANNEL_GONE if own else DELETE_THERE if taken_back else OTHER_ACCOUNT
    return Reading.model_validate(known | {"state": state, "error": error, "next_seconds": slowly(plan, now)})


def _never_taken(plan: Planned, now: datetime) -> tuple[str, str | None]:
    if plan.withdraw_requested_at:
        return "cancelled", _kept(plan)
    if plan.state == "sending" and plan.wanted_at - now >= RESEND:
        return "uploaded", None
    return "missed", NEVER_TAKEN


def _vanished(plan: Planned, since: datetime) -> tuple[str, str | None]:
    if plan.withdraw_requested_at:
        return "cancelled", _kept(plan)
    if plan.due_at and since < plan.due_at:
        return "failed", DELETED_THERE
    return "unconfirmed", VANISHED


TAKEN_BACK_TOO_LATE = "It was too late to take it back. Delete it on the network itself, if it is to go."
CHANNEL_TAKEN, STORE_ARCHIVED = (
    "The channel was taken from this store.",
    "The store was archived.",
)  # as `recall` writes
KEPT = (TAKEN_BACK_TOO_LATE, CHANNEL_TAKEN, STORE_ARCHIVED)
NOT_THERE = "Somebody looked: it is not there."
LIVE_AFTER_ALL = (
    "Somebody looked and did not find it, but Postiz shows it as published. Look again before you post it again."
)
COULD_NOT_CONFIRM = (
    "Postiz sent it and could not confirm that it is live. Look at the account before you post it again, "
    "then say here what you found."
)
TURNED_INTO_DRAFT = "Somebody turned this post into a draft in Postiz. It is not published until it is scheduled there."
STAYED_DRAFT = "Somebody turned this post into a draft in Postiz, so it was not published. Choose a new moment."
STAYED_QUEUED = (
    "Postiz still has it in its queue two days after its moment and will not take it up by itself. Look at the "
    "account, and delete the post in Postiz before you post it again."
)
LATE = "Postiz has not published it yet, though its moment has passed. It tries again every hour for two days."
OTHER_ACCOUNT = (
    "The Postiz account was changed, and this post does not show in the new one. Look into the old account before you "
    "post it again."
)
DELETE_THERE = (
    "The Postiz account was changed, so it cannot be taken back from here. Open the old account in Postiz and delete "
    "the post there before its moment."
)
CHANNEL_GONE = (
    "Postiz does not show this channel any more, nor its posts. Look at the account before you post it again."
)
NEVER_TAKEN = (
    "Postiz never got it, and its moment passed before that was certain. Nothing was posted: choose a new moment."
)
DELETED_THERE = "Somebody deleted this post, or its channel, in Postiz before its moment. Nothing was posted."
VANISHED = "This post, or its channel, was deleted in Postiz. Look at the account before you post it again."
