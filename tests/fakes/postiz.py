"""A stand-in for Postiz on 127.0.0.1: its public API behind the official image's web app, with its refusals.

A test drives `clock`, says how posts turn out (`will`) and what goes wrong (`fault`, `faults`), and asks `live` what
the networks really show, whatever the answers said.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from tests.fakes import postiz_faults, postiz_media, postiz_routes
from tests.fakes.postiz_create import Order, create
from tests.fakes.postiz_faults import Faults, Kind, Ordered, Route
from tests.fakes.postiz_posts import Desk, Ending, Live, Outcome, Post
from tests.fakes.postiz_wire import (
    LARGEST_JSON,
    Channel,
    Organisation,
    default_channels,
    provider_refusal,
    said,
    string_refusal,
    throttled,
    unknown_route,
    validation,
)
from tests.fakes.web import HANG_UP, Reply, Request, Web, html, redirect

__all__ = [
    "Channel",
    "FakePostiz",
    "Faults",
    "Live",
    "Organisation",
    "Outcome",
    "Post",
    "default_channels",
    "provider_refusal",
    "string_refusal",
    "throttled",
    "validation",
]


class FakePostiz(Web):
    """The official image, whose web app answers everything outside of `prefix`; with "" the bare API.

    `front`: what the web app does with strangers, "redirect" to its login page or show the "page" itself.
    `clock`: None = the real time. `patience`: seconds after which a time-out hangs up. `lag`: how much later lists
    show what was created under the fault "late". `settings`: how lists show them, "text", "dict" or "absent".
    `restricted`: media of other hosts are refused.
    """

    def __init__(self, prefix: str = "/api", front: str = "redirect", **options: Any) -> None:
        super().__init__(**options)
        self.prefix = prefix
        self.front = front
        self.clock: datetime | None = None
        self.patience = 60.0
        self.lag = timedelta(seconds=60)
        self.settings = "text"
        self.restricted = False
        self.largest_image = postiz_media.LARGEST_IMAGE
        self.largest_video = postiz_media.LARGEST_VIDEO
        self.faults: Faults | None = None
        self.organisations: dict[str, Organisation] = {}
        self._ordered: list[Ordered] = []
        self._desks: dict[str, Desk] = {}
        self._work = threading.RLock()
        self.home = self.organisation(default_channels())
        self.key = self.home.key
        self.api = self.url + prefix

    # What a test says and asks ------------------------------------------------------------------------------

    def organisation(self, channels: list[Channel], key: str | None = None, **values: Any) -> Organisation:
        made = Organisation(key or uuid4().hex * 2, channels, **values)
        self.organisations[made.key] = made
        self._desks[made.key] = Desk(made)
        return made

    def rotate(self, organisation: Organisation) -> str:
        """Another key for the same organisation; the old one is dead at once."""
        with self._work:
            del self.organisations[organisation.key]
            desk = self._desks.pop(organisation.key)
            organisation.key = uuid4().hex * 2
            self.organisations[organisation.key], self._desks[organisation.key] = organisation, desk
        return organisation.key

    def now(self) -> datetime:
        return self.clock or datetime.now(UTC)

    def advance(self, **span: float) -> datetime:
        """Move the clock on by a timedelta's words (seconds=…, minutes=…)."""
        self.clock = self.now() + timedelta(**span)
        return self.clock

    def will(self, channel: str, *outcomes: Outcome | Ending) -> None:
        """How the channel's next posts turn out, in order; the last holds from then on."""
        planned = [each if isinstance(each, Outcome) else Outcome(each) for each in outcomes]
        with self._work:
            for desk in self._desks.values():
                desk.outcomes[channel] = list(planned)

    def fault(self, kind: Kind, route: Route = "create", times: int | None = 1) -> None:
        """Let the route's next requests meet trouble; None = from now on."""
        with self._work:
            self._ordered.append(Ordered(kind, route, times))

    def behave(self) -> None:
        super().behave()
        with self._work:
            self._ordered.clear()
            self.faults = None

    def another_client(self, requests: int, organisation: Organisation | None = None) -> None:
        """Somebody else spends that much of the allowance."""
        owner = organisation or self.home
        with self._work:
            owner.throttle.limit = owner.limit
            owner.throttle.hit(self.now(), requests)

    def dashboard_post(self, channel: str, content: str, date: datetime, state: str = "QUEUE") -> Post:
        """A post that a person made at the vendor."""
        owner, found = next(
            (each, found) for each in self.organisations.values() if (found := each.channel(channel)) is not None
        )
        post = Post(str(uuid4()), found, [{"content": content, "image": []}], {"__type": found.identifier}, date, state)
        post.method = "WEB"
        with self._work:
            return self._desks[owner.key].add(post, self.now())

    def posts(self, organisation: Organisation | None = None) -> list[Post]:
        """The vendor's rows, deleted ones too, in the order of their creation."""
        with self._work:
            return list(self._settled(organisation or self.home).posts.values())

    def live(self, channel: str | None = None) -> list[Live]:
        """What the networks show by now, of all organisations: one entry for each time that something went out."""
        with self._work:
            shown = [each for owner in self.organisations.values() for each in self._settled(owner).network]
        return [each for each in shown if channel in (None, each.channel)]

    def _settled(self, organisation: Organisation) -> Desk:
        desk = self._desks[organisation.key]
        desk.settle(self.now())
        return desk

    # What a client meets ------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith(f"{self.prefix}/"):
            return html() if self.front == "page" else redirect("/auth/login?return=%2F")
        path = request.path.removeprefix(self.prefix)
        kind = self._trouble_of(_route(request.method, path))
        if kind == "timeout_before":
            return self._hang()
        reply = postiz_faults.instead(kind) or self._api(request, path, kind)
        if reply is HANG_UP or reply.status >= 300:
            return reply
        if kind in ("lost", "lost_late"):
            return HANG_UP
        return self._hang() if kind == "timeout_after" else postiz_faults.spoiled(reply, kind)

    def _trouble_of(self, route: Route) -> Kind | None:
        with self._work:
            ordered = next((kind for each in self._ordered if (kind := each.take(route))), None)
            faults = self.faults
        return ordered or (faults.draw(route) if faults else None)

    def _hang(self) -> Reply:
        self.pause(self.patience)
        return HANG_UP

    def _api(self, request: Request, path: str, kind: Kind | None) -> Reply:
        if not path.startswith("/public/v1/"):
            return unknown_route(request)
        body = postiz_routes.read_json(request, LARGEST_JSON)
        if isinstance(body, Reply):
            return body
        opened = self._open(request.headers.get("authorization", ""))
        if isinstance(opened, Reply):
            return opened
        place = path.removeprefix("/public/v1")
        with self._work:
            call = self._call(request, body, opened)
            endless = postiz_routes.endless(call, place)
            reply = HANG_UP if endless else self._answer(call, place, kind)
        return self._hang() if endless else reply

    def _open(self, key: str) -> Organisation | Reply:
        if not key:
            return said("No API Key found", 401)
        found = self.organisations.get(key)
        if found is None:
            return said("Invalid OAuth token" if key.startswith("pos_") else "Invalid API key", 401)
        if found.database_down:
            return Reply(401, headers={"logout": "true"})
        return found if found.subscribed else said("No subscription found", 401)

    def _call(self, request: Request, body: dict[str, Any], owner: Organisation) -> postiz_routes.Call:
        sizes = (self.largest_image, self.largest_video)
        desk = self._settled(owner)
        return postiz_routes.Call(request, body, owner, desk, self.now(), self.url, self.settings, *sizes)

    def _answer(self, call: postiz_routes.Call, place: str, kind: Kind | None) -> Reply:
        if (call.request.method, place) == ("POST", "/posts"):
            host = urlsplit(self.url).netloc if self.restricted else None
            reply = create(Order(call.body, call.organisation, call.desk, call.now, kind, host, self.lag))
            call.desk.settle(call.now)
            return reply
        handler = postiz_routes.handler_of(call.request.method, place)
        return handler(call) if handler else unknown_route(call.request)


def _route(method: str, path: str) -> Route:
    place = path.removeprefix("/public/v1")
    if place == "/posts":
        return "create" if method == "POST" else "list"
    if method == "DELETE":
        return "delete"
    return "upload" if place == "/upload" else "other"
