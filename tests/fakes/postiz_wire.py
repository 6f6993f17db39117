"""What Postiz' public API is made of on the wire: its channels, its organisations and the shapes of its refusals."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from tests.fakes.web import Reply, Request, json_reply

LARGEST_JSON = 102_400  # bytes of a body: the framework's default, whatever the vendor's documents say
WINDOW = timedelta(hours=1)


@dataclass
class Channel:
    """`reconnect`: its permission at the network is gone, which no list shows. `boards`: Pinterest's."""

    id: str
    name: str
    identifier: str
    picture: str | None = "https://cdn.example.com/picture.jpg"
    disabled: bool = False
    profile: str | None = "handle"
    customer: dict[str, str] | None = None  # left out of the answer when None
    reconnect: bool = False
    boards: list[dict[str, str]] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        names = ("id", "name", "identifier", "picture", "disabled", "profile")
        listed = {name: getattr(self, name) for name in names}
        return listed if self.customer is None else {**listed, "customer": self.customer}

    def of_customer(self, customer: str | None) -> bool:
        return customer is None or (self.customer or {}).get("id") == customer


@dataclass
class Throttle:
    """Counts requests in a fixed window that the first opens; the first above `limit` blocks for a full hour."""

    limit: int = 90
    hits: int = 0
    ends: datetime | None = None
    blocked_until: datetime | None = None

    def hit(self, now: datetime, requests: int = 1) -> Reply | dict[str, str]:
        """The refusal, or the headers of the answer."""
        self._renew(now)
        self.hits += requests
        if self.blocked_until is None and self.hits > self.limit:
            self.block(now)
        if self.blocked_until is not None:
            return throttled(_seconds(self.blocked_until - now))
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.limit - self.hits),
            "x-ratelimit-reset": str(_seconds((self.ends or now) - now)),
        }

    def block(self, now: datetime) -> None:
        self.blocked_until = now + WINDOW

    def _renew(self, now: datetime) -> None:
        ended = self.ends is None or self.ends <= now
        if self.blocked_until is not None:
            ended = self.blocked_until <= now
        if ended:
            self.hits, self.ends, self.blocked_until = 0, now + WINDOW, None


def _seconds(span: timedelta) -> int:
    return max(math.ceil(span.total_seconds()), 0)


@dataclass
class Organisation:
    """What a key opens. `subscribed`: on the cloud, whether it pays. `database_down`: an empty 401, as in reality.

    `limit`: POST /posts in an hour. `plan_reached`: the cloud's plan allows no more posts.
    """

    key: str
    channels: list[Channel] = field(default_factory=list)
    subscribed: bool = True
    database_down: bool = False
    limit: int = 90
    plan_reached: bool = False
    throttle: Throttle = field(default_factory=Throttle)
    notifications: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    uploads: dict[str, bytes] = field(default_factory=dict)  # by path

    def channel(self, id: str) -> Channel | None:
        return next((channel for channel in self.channels if channel.id == id), None)

    def notify(self, content: str, at: datetime) -> None:
        notice = {"id": str(uuid4()), "content": content, "link": None, "createdAt": stamp(at)}
        self.notifications.append(notice)

    def groups(self) -> list[dict[str, str]]:
        found = {channel.customer["id"]: channel.customer for channel in self.channels if channel.customer}
        return list(found.values())


def default_channels() -> list[Channel]:
    return [
        Channel("cm4tiktok", "My Shop", "tiktok"),
        Channel("cm4insta", "My Shöp", "instagram", picture=None, profile=None, customer={"id": "c1", "name": "North"}),
        Channel("cm4x", "Old shop", "x", disabled=True),
    ]


# Instants -----------------------------------------------------------------------------------------------------


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant(text: str) -> datetime:
    """Text without an offset is UTC; a bare date is its midnight. Raises ValueError."""
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


# The four shapes of its refusals ----------------------------------------------------------------------------


def validation(*messages: str) -> Reply:
    return json_reply({"message": list(messages), "error": "Bad Request", "statusCode": 400}, 400)


def string_refusal(message: str, status: int = 400) -> Reply:
    return json_reply({"message": message, "error": "Bad Request", "statusCode": status}, status)


def provider_refusal(provider: str, name: str, message: str) -> Reply:
    return json_reply({"statusCode": 400, "provider": provider, "name": name, "message": message}, 400)


def said(message: str, status: int) -> Reply:
    return json_reply({"msg": message}, status)


def unknown_route(request: Request) -> Reply:
    message = f"Cannot {request.method} {request.path}"
    return json_reply({"message": message, "error": "Not Found", "statusCode": 404}, 404)


def throttled(seconds: int = 3600) -> Reply:
    body = {"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}
    return json_reply(body, 429, retry_after=str(seconds))


def internal_error() -> Reply:
    return json_reply({"statusCode": 500, "message": "Internal server error"}, 500)


def too_large() -> Reply:
    return json_reply({"statusCode": 413, "message": "request entity too large"}, 413)


def plan_reached(front: str) -> Reply:
    message = "You have reached the maximum number of posts for your subscription. Please upgrade your subscription."
    return json_reply({"statusCode": 402, "message": message, "url": f"{front}/billing"}, 402)
