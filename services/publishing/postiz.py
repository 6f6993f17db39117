"""Postiz' public API, as far as the product uses it."""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr

from services.errors import (
    Allowance,
    AppError,
    PublishingMisconfigured,
    PublishingRefused,
    PublishingUnclear,
    PublishingUnreachable,
)
from services.logs import tag
from services.publishing import shapes, wire
from services.publishing.answers import Kind, Reader, allowance
from services.publishing.content import plain, to_content
from services.publishing.networks import settings_of
from services.publishing.vendor import (
    REFERENCE,
    Created,
    Entry,
    Notification,
    Notifications,
    Released,
    Rules,
    State,
    Tool,
    Vendor,
    VendorChannel,
    VendorMedia,
    VendorPost,
)
from services.publishing.wire import Answer, Lost, Overslept

__all__ = [
    "Allowance", "Client", "Created", "Entry", "Notification", "Notifications", "Released", "Rules", "State", "Tool",
    "Vendor", "VendorChannel", "VendorMedia", "VendorPost", "plain", "to_content", "upload_seconds",
]  # fmt: skip

log = logging.getLogger(__name__)

SLOT_SECONDS = 10.0  # Postiz looks for ever for a free time of a channel that is disabled or gone
UPLOAD_RATE = 512 * 1024  # bytes a second: the slowest connection that large files are for
LARGEST_BODY = 100 * 1024  # bytes of JSON that Postiz takes
LARGEST_ANSWER = 1024 * 1024  # bytes
LARGEST_LIST = 32 * 1024 * 1024  # bytes: lists have no pages
MEGABYTE = 1_000_000
POSTABLE = re.compile(r"\.(png|jpe?g|gif|webp|mp4)(\?|$)")  # Postiz refuses posts with any other path


class Client:
    """One key at one address. Safe from many threads; keeps no connection between calls.

    `private`: it may be in a private network. `seconds`: the longest that a call takes, uploads apart.
    Raises `PublishingMisconfigured` for an address or key that cannot be called with.
    """

    def __init__(self, address: str, key: SecretStr, *, private: bool = False, seconds: float = 30.0) -> None:
        self._address = address.rstrip("/")
        self._key = key
        self._private = private
        self._seconds = seconds
        self._reader = Reader(self._address, key)
        _check(self._address, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open between calls."""

    def connected(self) -> None:
        self._reader.read(shapes.Connected, self._get("/is-connected"), kind="read")

    def channels(self, group: str | None = None) -> list[VendorChannel]:
        answer = self._get("/integrations", LARGEST_LIST, **({"group": group} if group else {}))
        return self._reader.read(shapes.Channels, answer, kind="read", listed_as="items").told()

    def rules(self, channel_id: str) -> Rules:
        answer = self._get(f"/integration-settings/{_part(channel_id)}")
        return self._reader.read(shapes.RulesAnswer, answer, kind="read").told()

    def tool(self, channel_id: str, method: str, data: Mapping[str, Any]) -> Any:
        path = f"/integration-trigger/{_part(channel_id)}"
        answer = self._send("POST", path, "tool", {"methodName": method, "data": dict(data)})
        return self._reader.read(shapes.ToolAnswer, answer, kind="tool").output

    def reconnect_url(self, identifier: str, channel_id: str) -> str:
        answer = self._get(f"/social/{_part(identifier)}", refresh=channel_id)
        return self._reader.read(shapes.Link, answer, kind="read").url

    def find_slot(self, channel_id: str) -> datetime:
        answer = self._ask("GET", f"/find-slot/{_part(channel_id)}", "read", seconds=min(SLOT_SECONDS, self._seconds))
        return self._reader.read(shapes.Slot, answer, kind="read").date

    def upload(self, file: BinaryIO, name: str, profile_id: UUID | None = None) -> VendorMedia:
        size = _size(file)
        log.info("%s uploads %s (%.2f MB) to Postiz", tag(profile_id), _printable(name), size / MEGABYTE)
        content = {"file": (_printable(name), file, "application/octet-stream")}
        answer = self._ask("POST", "/upload", "read", seconds=upload_seconds(size, self._seconds), files=content)
        media = self._reader.read(shapes.Media, answer, kind="read").told()
        if not POSTABLE.search(media.path):
            raise PublishingRefused(NOT_POSTABLE)
        log.info("%s uploaded %s to Postiz as media %s", tag(profile_id), _printable(name), media.id)
        return media

    def create(
        self,
        date: datetime,
        entries: Sequence[Entry],
        *,
        kind: Literal["schedule", "draft"] = "schedule",
        profile_id: UUID | None = None,
        before: float | None = None,
    ) -> Created:
        """See `Vendor.create`. `date` counts to the millisecond."""
        body = _request(date, entries, kind)
        log.info("%s creates posts on %d platforms for %s", tag(profile_id), len(entries), _stamp(date))
        answer = self._ask("POST", "/posts", "change", content=body, headers=JSON, before=before)
        try:
            made = self._reader.read(shapes.CreatedPosts, answer, kind="change", listed_as="items").told()
        except PublishingRefused as refused:
            _place(refused, entries)
            raise
        left = allowance(answer.headers)
        _check_complete(made, entries, left)
        log.info("%s created posts %s", tag(profile_id), ", ".join(post_id for _, post_id in made.posts))
        return Created(made.posts, left)

    def posts(self, start: datetime, end: datetime) -> list[VendorPost]:
        answer = self._get("/posts", LARGEST_LIST, startDate=_stamp(start), endDate=_stamp(end))
        return self._reader.read(shapes.Posts, answer, kind="read").told()

    def delete(self, post_id: str, profile_id: UUID | None = None) -> None:
        log.info("%s deletes post %s at Postiz", tag(profile_id), post_id)
        answer = self._ask("DELETE", f"/posts/{_part(post_id)}", "change")
        try:
            self._reader.json(answer, kind="change")  # {"error": true} is its success
        except PublishingRefused:
            if answer.status != 404:
                raise

    def requeue(self, post_id: str, profile_id: UUID | None = None) -> None:
        log.info("%s requeues post %s at Postiz", tag(profile_id), post_id)
        answer = self._send("PUT", f"/posts/{_part(post_id)}/status", "change", {"status": "schedule"})
        self._reader.json(answer, kind="change")

    def set_release(self, post_id: str, release_id: str, profile_id: UUID | None = None) -> None:
        log.info("%s says that post %s at Postiz is %s", tag(profile_id), post_id, _printable(release_id))
        answer = self._send("PUT", f"/posts/{_part(post_id)}/release-id", "change", {"releaseId": release_id})
        self._reader.json(answer, kind="change")

    def missing(self, post_id: str) -> list[Released]:
        answer = self._get(f"/posts/{_part(post_id)}/missing")
        return self._reader.read(shapes.ReleasedPosts, answer, kind="read", listed_as="items").told()

    def notifications(self, page: int = 0) -> Notifications:
        answer = self._get("/notifications", page=str(page))
        return self._reader.read(shapes.NotificationsAnswer, answer, kind="read").told()

    # One call ----------------------------------------------------------------------------------------------------

    def _get(self, path: str, largest: int = LARGEST_ANSWER, **query: str) -> Answer:
        return self._ask("GET", path, "read", largest=largest, params=query or None)

    def _send(self, method: str, path: str, kind: Kind, body: dict[str, Any]) -> Answer:
        return self._ask(method, path, kind, content=_json(body), headers=JSON)

    def _ask(
        self,
        method: str,
        path: str,
        kind: Kind,
        *,
        seconds: float | None = None,
        largest: int = LARGEST_ANSWER,
        headers: Mapping[str, str] | None = None,
        before: float | None = None,
        **content: Any,
    ) -> Answer:
        granted = self._seconds if seconds is None else seconds
        error: AppError
        whole = {"authorization": self._key.get_secret_value(), **HEADERS, **(headers or {})}
        request = httpx.Request(method, f"{self._address}/public/v1{path}", headers=whole, **content)
        try:
            return wire.call(request, private=self._private, seconds=granted, largest=largest, before=before)
        except Lost as lost:
            error = self._reader.lost(lost, kind=kind)
        except Overslept:
            error = PublishingUnreachable(OVERSLEPT)
        raise error


HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
JSON = {"content-type": "application/json"}
OVERSLEPT = "The worker slept, or was too slow, so nothing was sent; it is tried again."
NOT_POSTABLE = (
    "Postiz keeps this file under a name that it takes no posts with. "
    "Use a PNG, JPEG, GIF or WebP image or an MP4 video."
)


def upload_seconds(size: int, seconds: float = 30.0) -> float:
    """The longest that an upload of `size` bytes takes."""
    return seconds + size / UPLOAD_RATE


def _check(address: str, key: SecretStr) -> None:
    """Raises `PublishingMisconfigured`, and nothing that would quote the key."""
    text = key.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text or not text:
        raise PublishingMisconfigured("The saved key of Postiz is none. An admin must type it again.")
    try:
        url = httpx.URL(address)
        usable = url.scheme in ("http", "https") and bool(url.host) and urlsplit(address).port != 0
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise PublishingMisconfigured("The saved address of Postiz is none. An admin must type it again.")


def _check_complete(made: Created, entries: Sequence[Entry], left: Allowance | None) -> None:
    """An answer that is not about these very entries may be about some of them. Raises `PublishingUnclear`."""
    channels = [channel for channel, _ in made.posts]
    if channels != [entry.channel for entry in entries] or len({post_id for _, post_id in made.posts}) < len(entries):
        raise PublishingUnclear(INCOMPLETE, allowance=left)


def _place(refused: PublishingRefused, entries: Sequence[Entry]) -> None:
    """Find the entry that a refusal is about, where it names the channel, or a network that only one entry is for."""
    if refused.index is None:
        named = [refused.channel, refused.provider]
        fitting = [index for index, entry in enumerate(entries) if {entry.channel, entry.identifier} & {*named}]
        refused.index = fitting[0] if len(fitting) == 1 else None
    if refused.index is not None and refused.index < len(entries):
        refused.channel = entries[refused.index].channel


INCOMPLETE = "Postiz took the request but did not name every post of it. Its list shows which it took."


def _request(date: datetime, entries: Sequence[Entry], kind: Literal["schedule", "draft"]) -> bytes:
    """Raises `PublishingRefused` where Postiz would not read it for its size; `index` is the largest entry."""
    posts = [_post(entry) for entry in entries]
    body = _json({"type": kind, "date": _stamp(date), "shortLink": False, "tags": [], "posts": posts})
    if len(body) <= LARGEST_BODY:
        return body
    sizes = [len(_json(post)) for post in posts]
    raise PublishingRefused(TOO_LONG, index=sizes.index(max(sizes)))


TOO_LONG = (
    "The texts of this clip are together longer than Postiz takes in one request (100 KiB). "
    "Shorten the longest one, or publish it separately."
)


def _post(entry: Entry) -> dict[str, Any]:
    media = [{"id": one.id, "path": one.path} for one in entry.media]
    return {
        "integration": {"id": entry.channel},
        "value": [{"content": to_content(entry.content), "image": media}],
        "settings": {**settings_of(entry.identifier, entry.settings), REFERENCE: str(entry.reference)},
    }


def _json(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _stamp(moment: datetime) -> str:
    """Raises `ValueError` for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("The time has no zone.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _size(file: BinaryIO) -> int:
    """In bytes; it is read from its beginning afterwards. Raises `PublishingRefused` for an empty file."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size == 0:
        raise PublishingRefused("The file is empty. Add the clip again.")
    return size


def _part(name: str) -> str:
    return quote(name, safe="")


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:200]
