"""What goes wrong between Postiz and its clients: one thing at a time when a test says so, or by a seeded dice."""

import json
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from tests.fakes.postiz_wire import internal_error
from tests.fakes.web import Reply, html, redirect

Route = Literal["create", "list", "upload", "delete", "other"]
Before = Literal[  # nothing is done
    "error_before",  # 500
    "proxy_502",  # a proxy's page
    "proxy_503",
    "timeout_before",
    "login_page",  # the web app's, with 200
    "login_redirect",
    "blocked",  # create: the organisation is blocked for an hour
    "bad_channel",  # create: 400 that names the last entry's channel, whatever the request says
]
After = Literal[  # everything is done, the answer goes wrong
    "lost",  # the connection ends without a byte
    "cut",  # it ends after half of the answer
    "truncated",  # the answer is whole, its JSON is not
    "error_after",  # 500
    "timeout_after",
    "object",  # an object where a list is due, and the other way round
    "no_ids",
    "partial",  # create: the first entry is stored, then 500
    "late",  # create: lists show the posts only `FakePostiz.lag` later
    "lost_late",  # create: both
]
Kind = Before | After
KINDS: dict[Route, tuple[Kind, ...]] = {
    "create": (*get_args(Before), *get_args(After)),
    "list": ("error_before", "proxy_502", "timeout_before", "login_page", "lost", "cut", "truncated", "object"),
    "upload": ("error_before", "proxy_503", "timeout_before", "timeout_after", "lost", "truncated", "no_ids"),
    "delete": ("error_before", "proxy_502", "timeout_after", "lost", "error_after"),
    "other": ("error_before", "proxy_503", "lost"),
}
PROXY_PAGE = b"<html><head><title>Bad Gateway</title></head><body><center><h1>nginx</h1></center></body></html>"


class Faults:
    """A dice: each request meets trouble with probability `rate`, of `kinds` as far as its route knows them."""

    def __init__(
        self,
        rate: float = 0.2,
        seed: int = 0,
        kinds: Sequence[Kind] = (),
        routes: Sequence[Route] = ("create", "list", "upload"),
    ):
        self.rate = rate
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._kinds = {route: [kind for kind in KINDS[route] if kind in (kinds or KINDS[route])] for route in routes}

    def draw(self, route: Route) -> Kind | None:
        with self._lock:
            met = self._random.random() < self.rate
            kinds = self._kinds.get(route, [])
            return self._random.choice(kinds) if met and kinds else None


@dataclass
class Ordered:
    """Trouble that a test asked for."""

    kind: Kind
    route: Route
    times: int | None

    def take(self, route: Route) -> Kind | None:
        if self.route != route or self.times == 0:
            return None
        self.times = self.times and self.times - 1
        return self.kind


def instead(kind: Kind | None) -> Reply | None:
    """The answer in place of any work."""
    if kind == "error_before":
        return internal_error()
    if kind in ("proxy_502", "proxy_503"):
        return html(PROXY_PAGE, int(kind.removeprefix("proxy_")))
    if kind == "login_page":
        return html()
    return redirect("/auth/login?return=%2F") if kind == "login_redirect" else None


def spoiled(reply: Reply, kind: Kind | None) -> Reply:
    """The answer of work that was done."""
    if kind == "error_after":
        return internal_error()
    if kind == "cut":
        return replace(reply, cut=True)
    if kind == "truncated":
        return replace(reply, body=reply.body[: len(reply.body) // 2])
    if kind in ("object", "no_ids"):
        change = _reshaped if kind == "object" else _without_ids
        return replace(reply, body=json.dumps(change(json.loads(reply.body))).encode())
    return reply


def _reshaped(value: Any) -> Any:
    return {"data": value} if isinstance(value, list) else [value]


def _without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_ids(each) for each in value]
    return {name: each for name, each in value.items() if name not in ("id", "postId")}
