"""POST /posts, in the order in which Postiz works through it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from tests.fakes.postiz_faults import Kind
from tests.fakes.postiz_posts import Desk, Post
from tests.fakes.postiz_settings import misshapen, refusal
from tests.fakes.postiz_text import sanitized
from tests.fakes.postiz_wire import (
    Channel,
    Organisation,
    instant,
    internal_error,
    plan_reached,
    provider_refusal,
    string_refusal,
    validation,
)
from tests.fakes.web import Reply, json_reply

LATE = ("late", "lost_late")


class Order(NamedTuple):
    """`host`: media must lie there, None = anywhere. `lag`: how much later lists show it when `kind` says so."""

    body: dict[str, Any]
    organisation: Organisation
    desk: Desk
    now: datetime
    kind: Kind | None
    host: str | None
    lag: timedelta


def create(order: Order) -> Reply:
    """After the body was read and its sender known. What was counted says so in its headers."""
    throttle = order.organisation.throttle
    throttle.limit = order.organisation.limit
    if order.kind == "blocked":
        throttle.block(order.now)
    counted = throttle.hit(order.now)
    if isinstance(counted, Reply):
        return counted
    reply = _checked(order)
    return Reply(reply.status, reply.body, reply.content_type, {**reply.headers, **counted})


def _checked(order: Order) -> Reply:
    if order.organisation.plan_reached:
        return plan_reached("https://postiz.example.com")
    channels = _channels(order)
    if isinstance(channels, Reply):
        return channels
    problems = misshapen(order.body, channels)
    if problems:
        return validation(*problems)
    return _refused(order, channels) or _written(order, channels)


def _channels(order: Order) -> list[Channel] | Reply:
    entries = order.body.get("posts")
    ids = [_integration(entry) for entry in entries] if isinstance(entries, list) else [None]
    if None in ids:
        return string_refusal("All posts must have an integration id")
    if not ids:
        return validation("posts must contain at least 1 elements")
    found = [order.organisation.channel(str(id)) for id in ids]
    absent = next((id for id, channel in zip(ids, found, strict=True) if channel is None), None)
    if absent is not None:
        return string_refusal(f"Integration with id {absent} not found")
    return [channel for channel in found if channel is not None]


def _integration(entry: Any) -> str | None:
    named = entry.get("integration") if isinstance(entry, dict) else None
    return str(named["id"]) if isinstance(named, dict) and named.get("id") else None


def _refused(order: Order, channels: list[Channel]) -> Reply | None:
    entries = order.body["posts"]
    if any(urlsplit(path).netloc != order.host for path in _paths(entries)) and order.host:
        return string_refusal(f"Media must be uploaded to {order.host}")
    if order.kind == "bad_channel":
        return provider_refusal(channels[-1].identifier, channels[-1].name, "The channel refuses this post")
    for entry, channel in zip(entries, channels, strict=True):
        problem = refusal(entry, channel, draft=order.body.get("type") == "draft")
        if problem:
            return provider_refusal(channel.identifier, channel.name, problem)
    if any(_published_already(order, entry) for entry in entries):
        return string_refusal("The post is already published")
    return None


def _paths(entries: list[dict[str, Any]]) -> Iterator[str]:
    return (image["path"] for entry in entries for message in entry["value"] for image in message["image"])


def _published_already(order: Order, entry: dict[str, Any]) -> bool:
    post = order.desk.find(str(entry["value"][0].get("id")))
    guarded = order.body.get("type") not in ("update", "draft") and not order.body.get("republish")
    return post is not None and post.state == "PUBLISHED" and guarded


def _written(order: Order, channels: list[Channel]) -> Reply:
    """One by one, without a transaction."""
    stored = []
    for entry, channel in zip(order.body["posts"], channels, strict=True):
        stored.append({"postId": _write(order, entry, channel).id, "integration": channel.id})
        if order.kind == "partial":
            return internal_error()
    return json_reply(stored, 201)


def _write(order: Order, entry: dict[str, Any], channel: Channel) -> Post:
    old = order.desk.find(str(entry["value"][0].get("id")))
    if entry.get("group"):
        order.desk.drop_group(entry["group"])
    post = _row(order, entry, channel)
    if old is None:
        return order.desk.add(post, order.now)
    return _replace(order, old, post)


def _row(order: Order, entry: dict[str, Any], channel: Channel) -> Post:
    messages = [{**message, "content": sanitized(message["content"])} for message in entry["value"]]
    settings = {**(entry.get("settings") or {}), "__type": channel.identifier}
    kind = order.body.get("type")
    post = Post(str(uuid4()), channel, messages, settings, instant(order.body["date"]))
    post.interval = order.body.get("inter")
    if kind == "now":
        post.date = order.now.replace(second=0, microsecond=0)
    if kind == "draft":
        post.state = "DRAFT"
    if order.kind in LATE:
        post.visible_at = order.now + order.lag
    return post


def _replace(order: Order, old: Post, new: Post) -> Post:
    """An edit in place: another group, and with "update" the old timer whatever the date says."""
    old.messages, old.settings, old.date, old.group = new.messages, new.settings, new.date, new.group
    old.deleted = False
    if order.body.get("type") == "draft":
        old.state = "DRAFT"
        order.desk.stop(old)
    elif order.body.get("type") != "update":
        order.desk.start(old, order.now)
    return old
