"""Read a vendor's lists for bundles that were handed over, and take back what is too much."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.errors import PublishingRefused, PublishingUnclear
from services.logs import tag
from services.publishing import looking, told
from services.publishing.looking import TOO_LATE, Reading
from services.publishing.told import Told
from services.publishing.vendor import Vendor, VendorChannel, VendorPost
from services.publishing.work import Planned, Work

log = logging.getLogger(__name__)

EDGE = timedelta(seconds=1)  # around the instants of what is looked for
MOVED_BACK, MOVED_ON = timedelta(days=31), timedelta(days=366)  # where a post is looked for that somebody moved there
PAGES = 5  # of notifications, 100 each


class Lists:
    """What the lists of `organization` show for the publications of `work`."""

    def __init__(self, vendor: Vendor, work: Work, organization: str) -> None:
        self._vendor = vendor
        self._work = work
        self._organization = organization
        self._said: list[Told] | None = None
        self._deleted: set[UUID] = set()  # publications whose post the vendor says to have deleted

    def readings(self) -> list[Reading]:
        """One for each publication. Raises as the vendor's methods do."""
        plans = self._work.publications
        if not plans:
            return []
        posts = self._listed(plans)
        if self._take_back(plans, posts):
            posts = self._listed(plans)
        found = {plan.id: looking.matches(plan, posts) for plan in plans}
        shown_now = set() if all(found.values()) else {channel.id for channel in self._vendor.channels()}
        return [self._reading(plan, found[plan.id], plan.channel in shown_now) for plan in plans]

    def lost_permissions(self) -> list[dict[str, Any]]:
        """The channels that the notifications read so far say to have lost their permission."""
        return lost_permissions(self._said or [])

    def _reading(self, plan: Planned, found: list[VendorPost], visible: bool) -> Reading:
        post = found[0] if found else None
        failing = post is not None and post.state == "ERROR" and not post.release_url
        return looking.read(
            plan, post, self._work.instant, self._told() if failing else (), own=self._is_own(plan), visible=visible,
            deleted=plan.id in self._deleted,
        )  # fmt: skip

    def _listed(self, plans: list[Planned]) -> list[VendorPost]:
        """Posts around the instants of these; and wherever else one with a known id is by now."""
        instants = [plan.due_at for plan in plans if plan.due_at]
        posts = self._vendor.posts(min(instants) - EDGE, max(instants) + EDGE)
        seen = {post.id for post in posts}
        moved = {plan.vendor_post for plan in plans if plan.vendor_post and plan.vendor_post not in seen}
        if moved:
            wide = self._vendor.posts(min(instants) - MOVED_BACK, max(instants) + MOVED_ON)
            posts = posts + [post for post in wide if post.id in moved]
        return posts

    def _take_back(self, plans: list[Planned], posts: list[VendorPost]) -> bool:
        """Delete what is surplus and what a person takes back, while it cannot be live. Returns whether it tried."""
        tried = False
        listed = {post.id for post in posts}
        for plan in plans:
            for post_id in self._unwanted(plan, posts):
                tried = True
                # Of one that was not listed nobody can tell whether it was there: the next lists say.
                if self._delete(plan, post_id) and post_id == plan.vendor_post and post_id in listed:
                    self._deleted.add(plan.id)
        return tried

    def _unwanted(self, plan: Planned, posts: list[VendorPost]) -> Iterator[str]:
        """Looked at one by one, because a deletion takes its time."""
        found = looking.matches(plan, posts)
        if plan.withdraw_requested_at and not found and self._may_delete_unseen(plan):
            yield plan.vendor_post or ""
        for post in found if plan.withdraw_requested_at else found[1:]:
            if self._in_time(plan) and looking.deletable(post, self._work.instant):
                yield post.id

    def _may_delete_unseen(self, plan: Planned) -> bool:
        """What another organization has is not for this key to delete."""
        return self._is_own(plan) and plan.vendor_post is not None and self._in_time(plan)

    def _is_own(self, plan: Planned) -> bool:
        """Each by itself: a bundle may have gone to two, when its key was replaced in between."""
        return plan.organization == self._organization

    def _in_time(self, plan: Planned) -> bool:
        early = plan.due_at is not None and plan.due_at - self._work.instant > TOO_LATE
        return early or looking.is_decided(plan)

    def _delete(self, plan: Planned, post_id: str) -> bool:
        """Whether the vendor says so; the list has the last word."""
        log.warning("%s %s: post %s is taken back", tag(plan.profile_id), plan, post_id)
        try:
            self._vendor.delete(post_id, plan.profile_id)
        except (PublishingUnclear, PublishingRefused) as exc:
            log.warning("%s %s: post %s may not be deleted: %s", tag(plan.profile_id), plan, post_id, exc)
            return False
        return True

    def _told(self) -> list[Told]:
        """Notifications back to the first instant, read once for all."""
        if self._said is None:
            instants = [each.due_at for each in self._work.publications if each.due_at]
            self._said = notifications(self._vendor, min(instants))
        return self._said


def notifications(vendor: Vendor, since: datetime) -> list[Told]:
    """What went wrong since then, newest first; at most `PAGES` pages."""
    found: list[Told] = []
    for page in range(PAGES):
        answer = vendor.notifications(page)
        found += told.read(answer.items)
        if not answer.more or not answer.items or answer.items[-1].created_at < since - told.SLACK:
            break
    return found


def lost_permissions(said: list[Told]) -> list[dict[str, Any]]:
    """As `note_reconnects` takes them."""
    return [
        {"network": one.network, "name": one.name, "at": one.at.isoformat()}
        for one in said
        if one.kind in ("reconnect", "refresh")
    ]


def shown(channel: VendorChannel) -> dict[str, Any]:
    """As `watch_channels` takes it."""
    return {
        "id": channel.id, "name": channel.name, "identifier": channel.identifier, "handle": channel.profile,
        "disabled": channel.disabled,
    }  # fmt: skip
