"""The posts that Postiz keeps, how they turn out on a clock that tests drive, and what the networks really show."""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from tests.fakes.postiz_text import published
from tests.fakes.postiz_wire import Channel, Organisation, stamp

Ending = Literal[
    "published",  # after 1 to 3 minutes
    "failed",  # ERROR with a notification that says `reason`
    "silent",  # ERROR without a word: the vendor did not understand the network's answer
    "unconfirmed",  # ERROR, "couldn't confirm": it is live all the same
    "comment",  # the post is live, its first comment failed: ERROR with a release URL
    "recovered",  # ERROR first, PUBLISHED ten minutes later
    "late",  # found by the hourly sweep: an hour after it was due
    "stuck",  # QUEUE for ever
]
NOT_CONFIRMED = (
    "Your post was sent to {network}, but we couldn't confirm it was published. "
    "Please check your account before posting again to avoid duplicates."
)
INBOX_URL = "https://www.tiktok.com/messages?lang=en"
SWEEP = timedelta(hours=1)
RECOVERY = timedelta(minutes=10)


class Outcome(NamedTuple):
    ending: Ending = "published"
    reason: str = "The network refused the video"


class Live(NamedTuple):
    """What the world sees: a test's truth."""

    channel: str
    content: str
    at: datetime
    client_ref: str | None
    post_id: str
    url: str


class _Change(NamedTuple):
    """`state`: None leaves it as it is. `live`: what the network shows from then on."""

    at: datetime
    state: str | None = None
    url: str | None = None
    release: str | None = None
    notice: str | None = None
    live: Live | None = None


@dataclass
class Post:
    """`date`: its publishDate. `timer`: when it goes out, None = never. `visible_at`: when lists begin to show it."""

    id: str
    channel: Channel
    messages: list[dict[str, Any]]
    settings: dict[str, Any]
    date: datetime
    state: str = "QUEUE"
    group: str = field(default_factory=lambda: str(uuid4()))
    timer: datetime | None = None
    visible_at: datetime | None = None
    interval: int | None = None
    release_url: str | None = None
    release_id: str | None = None
    deleted: bool = False
    method: str = "API"
    changes: list[_Change] = field(default_factory=list)

    @property
    def content(self) -> str:
        return str(self.messages[0]["content"])

    def listed(self, now: datetime) -> bool:
        return not self.deleted and (self.visible_at is None or self.visible_at <= now)

    def shown(self, settings: str) -> dict[str, Any]:
        """A row of GET /posts; `settings`: as "text", as a "dict", or "absent" as up to 2.23.0."""
        row: dict[str, Any] = {
            "id": self.id,
            "content": self.content,
            "publishDate": stamp(self.date),
            "releaseURL": self.release_url,
            "releaseId": self.release_id,
            "state": self.state,
            "intervalInDays": self.interval,
            "group": self.group,
            "creationMethod": self.method,
            "tags": [],
            "integration": {
                "id": self.channel.id,
                "providerIdentifier": self.channel.identifier,
                "name": self.channel.name,
                "picture": self.channel.picture,
            },
        }
        if settings == "absent":
            return row
        return {**row, "settings": json.dumps(self.settings) if settings == "text" else self.settings}


class Desk:
    """One organisation's posts. Its methods expect to be called one at a time, with the clock's instant.

    `minutes`: between which a post turns PUBLISHED after it was due.
    """

    def __init__(self, organisation: Organisation, seed: int = 0):
        self.organisation = organisation
        self.posts: dict[str, Post] = {}
        self.network: list[Live] = []
        self.outcomes: dict[str, list[Outcome]] = {}
        self.minutes = (1.0, 3.0)
        self._random = random.Random(seed)

    def find(self, id: str) -> Post | None:
        post = self.posts.get(id)
        return None if post is None or post.deleted else post

    def add(self, post: Post, now: datetime) -> Post:
        self.posts[post.id] = post
        if post.state == "QUEUE":
            self.start(post, now)
        return post

    def start(self, post: Post, now: datetime) -> None:
        """Queue it, whatever its state: with a date that has passed it goes out at once, again if need be."""
        post.state, post.changes = "QUEUE", []
        post.timer = max(post.date, now)

    def stop(self, post: Post) -> None:
        post.timer, post.changes = None, []

    def between(self, start: datetime, end: datetime, now: datetime) -> list[Post]:
        return [post for post in self.posts.values() if post.listed(now) and start <= post.date <= end]

    def drop_group(self, group: str) -> None:
        for post in self.posts.values():
            if post.group == group:
                post.deleted = True
                self.stop(post)

    def settle(self, now: datetime) -> None:
        """Let everything happen that was due by now."""
        for post in list(self.posts.values()):
            if post.timer is not None and post.timer <= now:
                self._fire(post, post.timer)
            for change in [each for each in post.changes if each.at <= now]:
                self._apply(post, change)

    def _apply(self, post: Post, change: _Change) -> None:
        post.changes.remove(change)
        post.state = change.state or post.state
        post.release_url = change.url or post.release_url
        post.release_id = change.release or post.release_id
        if change.notice:
            self.organisation.notify(change.notice, change.at)
        if change.live:
            self.network.append(change.live)

    def _fire(self, post: Post, at: datetime) -> None:
        post.timer = None
        shown_at = at + timedelta(minutes=self._random.uniform(*self.minutes))
        channel = post.channel
        if channel.disabled or channel.reconnect:
            why = "it's disabled." if channel.disabled else "you need to reconnect it."
            notice = f"We couldn't post to {channel.identifier} for {channel.name} because {why}"
            post.changes = [_Change(shown_at, "ERROR", notice=notice)]
        else:
            post.changes = _story(post, self._outcome(channel.id), at, shown_at)

    def _outcome(self, channel: str) -> Outcome:
        planned = self.outcomes.get(channel, [])
        return (planned.pop(0) if len(planned) > 1 else planned[0]) if planned else Outcome()


def _story(post: Post, outcome: Outcome, at: datetime, shown_at: datetime) -> list[_Change]:
    network = post.channel.identifier
    failed = f"An error occurred while posting on {network}: {outcome.reason}"
    minute = timedelta(minutes=1)
    stories: dict[Ending, list[_Change]] = {
        "published": _published(post, at, shown_at),
        "failed": [_Change(shown_at, "ERROR", notice=failed)],
        "silent": [_Change(shown_at, "ERROR")],
        "unconfirmed": [
            _published(post, at, shown_at)[0],
            _Change(shown_at, "ERROR", notice=NOT_CONFIRMED.format(network=network.capitalize())),
        ],
        "comment": [*_published(post, at, shown_at), _Change(shown_at + minute, "ERROR", notice=failed)],
        "recovered": [_Change(shown_at, "ERROR"), *_published(post, shown_at + RECOVERY, shown_at + RECOVERY)],
        "late": _published(post, at + SWEEP, shown_at + SWEEP),
        "stuck": [],
    }
    return stories[outcome.ending]


def _published(post: Post, at: datetime, shown_at: datetime) -> list[_Change]:
    """The network shows it at once, the vendor's list says so later."""
    live = _live(post, at)
    release = "missing" if live.url == INBOX_URL else live.url.rsplit("/", 1)[-1]
    notice = f"Your post has been published on {post.channel.identifier.capitalize()} at {live.url}"
    return [_Change(at, live=live), _Change(shown_at, "PUBLISHED", live.url, release, notice)]


def _live(post: Post, at: datetime) -> Live:
    """TikTok's inbox counts as seen, since a person posts it from there."""
    inbox = post.settings.get("content_posting_method") == "UPLOAD"
    url = INBOX_URL if inbox else f"https://{post.channel.identifier}.example.com/posts/{uuid4().hex}"
    reference = post.settings.get("client_ref")
    return Live(post.channel.id, published(post.content), at.astimezone(UTC), reference, post.id, url)
