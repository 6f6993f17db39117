"""What Postiz answers besides POST /posts: channels, media, lists, changes and notifications."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

from tests.fakes import postiz_media as media
from tests.fakes.postiz_posts import Desk, Post
from tests.fakes.postiz_settings import LIMITS, OTHER_LIMIT, schema
from tests.fakes.postiz_wire import (
    Organisation,
    instant,
    internal_error,
    plan_reached,
    said,
    stamp,
    string_refusal,
    too_large,
    validation,
)
from tests.fakes.web import Reply, Request, json_reply

PAGE = 100  # notifications
NETWORKS = frozenset(
    re.findall(
        r"\S+",
        """
        x linkedin linkedin-page facebook instagram instagram-standalone threads youtube tiktok tiktok-business
        pinterest reddit lemmy bluesky mastodon telegram nostr vk discord slack kick twitch gmb medium devto hashnode
        wordpress listmonk dribbble moltbook skool whop mewe tumblr wrapcast
        """,
    )
)
BOARDS = [{"id": "board-1", "name": "Shop window"}, {"id": "board-2", "name": "News"}]
BOARDS_TOOL = {"methodName": "boards", "description": "Get list of boards", "dataSchema": []}


class Call(NamedTuple):
    """A request of a known organisation. `body`: its JSON, {} without. `origin`: where uploads are to be seen."""

    request: Request
    body: dict[str, Any]
    organisation: Organisation
    desk: Desk
    now: datetime
    origin: str
    settings: str
    largest_image: int
    largest_video: int


def is_connected(call: Call) -> Reply:
    return json_reply({"connected": True})


def integrations(call: Call) -> Reply:
    group = call.request.query.get("group")
    return json_reply([channel.shown() for channel in call.organisation.channels if channel.of_customer(group)])


def groups(call: Call) -> Reply:
    return json_reply(call.organisation.groups())


def social(call: Call, identifier: str) -> Reply:
    if call.organisation.plan_reached:
        return plan_reached("https://postiz.example.com")
    if identifier not in NETWORKS:
        return said("Integration not allowed", 400)
    if identifier in ("mastodon", "lemmy", "wordpress"):
        return said("This integration needs an external URL", 400)
    refresh = call.request.query.get("refresh", "")
    return json_reply({"url": f"https://{identifier}.example.com/oauth?state={uuid4().hex}&refresh={refresh}"})


def integration_settings(call: Call, id: str) -> Reply:
    channel = call.organisation.channel(id)
    if channel is None:
        return said("Integration not found", 404)
    network = channel.identifier
    output = {
        "rules": f"Posts on {network} follow the rules of {network}.",
        "maxLength": LIMITS.get(network, OTHER_LIMIT),
        "settings": schema(network),
        "tools": [BOARDS_TOOL] if network == "pinterest" else [],
    }
    return json_reply({"output": output})


def integration_trigger(call: Call, id: str) -> Reply:
    channel = call.organisation.channel(id)
    if channel is None:
        return said("Integration not found", 404)
    if channel.identifier != "pinterest" or call.body.get("methodName") != "boards":
        return said("Tool not found", 404)
    if channel.reconnect:
        return said("Channel needs to be reconnected", 401)
    return json_reply({"output": channel.boards or BOARDS}, 201)


def find_slot(call: Call, id: str) -> Reply:
    """An hour ahead, on the hour; the same again, since nothing reserves it."""
    slot = (call.now + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0, tzinfo=None)
    return json_reply({"date": slot.isoformat(timespec="seconds")})


def upload(call: Call) -> Reply:
    found = media.read(call.request, call.largest_image, call.largest_video)
    if isinstance(found, Reply):
        return found
    name = f"{uuid4().hex}.{found.extension}"
    path = f"{call.origin}/uploads/{call.now:%Y/%m/%d}/{name}"
    call.organisation.uploads[path] = found.data
    absent = {"originalName": None, "thumbnail": None, "alt": None}
    return json_reply({"id": str(uuid4()), "name": name, "path": path, **absent}, 201)


def list_posts(call: Call) -> Reply:
    problems, bounds = [], []
    for name in ("startDate", "endDate"):
        try:
            bounds.append(instant(call.request.query[name]))
        except (KeyError, ValueError):
            problems.append(f"{name} must be a valid ISO 8601 date string")
    if problems:
        return validation(*problems)
    customer = call.request.query.get("customer")
    found = call.desk.between(bounds[0], bounds[1], call.now)
    return json_reply({"posts": [post.shown(call.settings) for post in found if post.channel.of_customer(customer)]})


def delete_post(call: Call, id: str) -> Reply:
    post = call.desk.find(id)
    if post is None:
        return internal_error()
    call.desk.drop_group(post.group)
    return json_reply({"error": True})


def delete_group(call: Call, group: str) -> Reply:
    call.desk.drop_group(group)
    return json_reply({"error": True})


def put_status(call: Call, id: str) -> Reply:
    wanted = call.body.get("status")
    if wanted not in ("draft", "schedule"):
        return validation("status must be one of the following values: draft, schedule")
    post = call.desk.find(id)
    if post is None:
        return string_refusal("Post not found")
    if wanted == "schedule":
        call.desk.start(post, call.now)
    else:
        call.desk.stop(post)
        post.state = "DRAFT"
    return json_reply({"id": id, "state": post.state})


def put_settings(call: Call, id: str) -> Reply:
    post = call.desk.find(id)
    if post is None:
        return said("Post not found", 404)
    if post.state != "DRAFT" and not (post.state == "QUEUE" and post.date > call.now):
        return said("Only drafts and posts that are not due yet can be changed", 400)
    post.settings = {**post.settings, **call.body.get("settings", {}), "__type": post.channel.identifier}
    return json_reply({"postId": id, "publishDate": stamp(post.date).removesuffix(".000Z")})


def put_release(call: Call, id: str) -> Reply:
    post = call.desk.find(id)
    if post is None or post.release_id != "missing":
        return internal_error()
    post.release_id = str(call.body.get("releaseId"))
    return json_reply(post.shown(call.settings))


def missing(call: Call, id: str) -> Reply:
    post = call.desk.find(id)
    return json_reply(_candidates(post) if post is not None and post.release_id == "missing" else [])


def _candidates(post: Post) -> list[dict[str, str]]:
    return [{"id": f"video-{post.id}", "url": f"https://{post.channel.identifier}.example.com/video-{post.id}"}]


def notifications(call: Call) -> Reply:
    text = call.request.query.get("page", "0")
    if not text.isdigit():
        return validation("page must not be less than 0")
    listed = sorted(call.organisation.notifications, key=lambda notice: notice["createdAt"], reverse=True)
    start = int(text) * PAGE
    page = {"notifications": listed[start : start + PAGE], "total": len(listed), "page": int(text), "limit": PAGE}
    return json_reply({**page, "hasMore": start + PAGE < len(listed)})


ROUTES: tuple[tuple[str, re.Pattern[str], Callable[..., Reply]], ...] = tuple(
    (method, re.compile(pattern), handler)
    for method, pattern, handler in (
        ("GET", "/is-connected", is_connected),
        ("GET", "/integrations", integrations),
        ("GET", "/groups", groups),
        ("GET", "/social/([^/]+)", social),
        ("GET", "/integration-settings/([^/]+)", integration_settings),
        ("POST", "/integration-trigger/([^/]+)", integration_trigger),
        ("GET", "/find-slot/([^/]+)", find_slot),
        ("POST", "/upload", upload),
        ("GET", "/posts", list_posts),
        ("DELETE", "/posts/group/([^/]+)", delete_group),
        ("DELETE", "/posts/([^/]+)", delete_post),
        ("PUT", "/posts/([^/]+)/status", put_status),
        ("PUT", "/posts/([^/]+)/settings", put_settings),
        ("PUT", "/posts/([^/]+)/release-id", put_release),
        ("GET", "/posts/([^/]+)/missing", missing),
        ("GET", "/notifications", notifications),
    )
)


def _call_with(handler: Callable[..., Reply], words: tuple[str, ...], call: Call) -> Reply:
    return handler(call, *words)


def handler_of(method: str, path: str) -> Callable[[Call], Reply] | None:
    for known, pattern, handler in ROUTES:
        match = pattern.fullmatch(path) if known == method else None
        if match:
            return partial(_call_with, handler, match.groups())
    return None


def endless(call: Call, path: str) -> bool:
    """find-slot searches for ever when the channel is unknown or disabled."""
    if not path.startswith("/find-slot/"):
        return False
    channel = call.organisation.channel(path.removeprefix("/find-slot/"))
    return channel is None or channel.disabled


def read_json(request: Request, largest: int) -> dict[str, Any] | Reply:
    """{} when it is announced as something else than JSON, or is no object."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return {}
    if len(request.body) > largest:
        return too_large()
    try:
        read = json.loads(request.body or b"{}")
    except ValueError as error:
        return string_refusal(f"{error}")
    return read if isinstance(read, dict) else {}
