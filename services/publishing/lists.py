"""Read a vendor's lists for bundles that were handed over, and take back what is too much."""

import logging
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
    """What the lists show for the publications of `work`. `own`: they went to the organization that is asked."""

    def __init__(self, vendor: Vendor, work: Work, *, own: bool) -> None:
        self._vendor = vendor
        self._work = work
        self._own = own
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
        visible = None if self._own else {channel.id for channel in self._vendor.channels()}
        return [self._reading(plan, posts, visible is None or plan.channel in visible) for plan in plans]

    def lost_permissions(self) -> list[dict[str, Any]]:
        """The channels that the notifications read so far say to have lost their permission."""
        return lost_permissions(self._said or [])

    def _reading(self, plan: Planned, posts: list[VendorPost], proves: bool) -> Reading:
        found = looking.matches(plan, posts)
        post = found[0] if found else None
        failing = post is not None and post.state == "ERROR" and not post.release_url
        return looking.read(
            plan, post, self._work.now, self._told() if failing else (), proves=proves, deleted=plan.id in self._deleted
        )

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
        for plan in plans:
            for post_id in self._unwanted(plan, posts):
                tried = True
                if self._delete(plan, post_id) and post_id == plan.vendor_post:
                    self._deleted.add(plan.id)
        return tried

    def _unwanted(self, plan: Planned, posts: list[VendorPost]) -> list[str]:
        found = looking.matches(plan, posts)
        if plan.due_at is None or plan.due_at - self._work.now <= TOO_LATE:
            return []
        if plan.withdraw_requested_at:
            known = [plan.vendor_post] if plan.vendor_post and not found else []
            return known + [post.id for post in found if self._waits(post)]
        return [post.id for post in found[1:] if self._waits(post)]

    def _waits(self, post: VendorPost) -> bool:
        return post.state in ("QUEUE", "DRAFT") and post.publish_at - self._work.now > TOO_LATE

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
