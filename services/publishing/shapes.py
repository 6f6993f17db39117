"""What Postiz answers, in the product's terms. Several versions are read; what is not needed is left out."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from services.connections.shapes import Picture, VendorShape, Word
from services.publishing.vendor import (
    REFERENCE,
    Created,
    Notification,
    Notifications,
    Released,
    Rules,
    Tool,
    VendorChannel,
    VendorMedia,
    VendorPost,
)

LONGEST_TEXT = 100_000  # characters of a post or notification; the longest post of a network has 63,206


UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")  # controls, halves of surrogate pairs


def _storable(text: str) -> str:
    """Without what no database takes."""
    return UNSTORABLE.sub("", text[:LONGEST_TEXT])


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _or_empty(value: Any) -> Any:
    return "" if value is None else value


def _schema(value: Any) -> Any:
    """Where nothing is required, a sentence stands in the schema's place."""
    return value if isinstance(value, dict) else None


def _length(value: Any) -> Any:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10_000_000
    return int(value) if usable else None


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][!-~]{0,199}$")]  # becomes part of paths; none leads out of its own
Text = Annotated[str, BeforeValidator(_or_empty), AfterValidator(_storable)]
Moment = Annotated[datetime, AfterValidator(_utc)]


class Connected(VendorShape):
    connected: Literal[True]


class _Customer(VendorShape):
    name: Word


class _Channel(VendorShape):
    id: Id
    name: Word
    identifier: Word
    picture: Picture = None
    disabled: bool = False
    profile: Word | None = None
    customer: _Customer | None = None

    def told(self) -> VendorChannel:
        customer = self.customer.name if self.customer else None
        return VendorChannel(
            self.id, self.name, self.identifier, self.picture, self.disabled, self.profile or None, customer
        )


class Channels(VendorShape):
    items: list[_Channel]

    def told(self) -> list[VendorChannel]:
        return [channel.told() for channel in self.items]


class _Tool(VendorShape):
    method: Id = Field(alias="methodName")
    description: Text = ""
    parameters: Any = Field(None, alias="dataSchema")

    def told(self) -> Tool:
        parts = self.parameters if isinstance(self.parameters, list) else []
        return Tool(self.method, self.description, tuple(part for part in parts if isinstance(part, dict)))


class _Output(VendorShape):
    rules: Text = ""
    max_length: Annotated[int | None, BeforeValidator(_length)] = Field(None, alias="maxLength")
    settings: Annotated[dict[str, Any] | None, BeforeValidator(_schema)] = None
    tools: list[_Tool] | None = None


class RulesAnswer(VendorShape):
    output: _Output

    def told(self) -> Rules:
        said = self.output
        return Rules(said.rules, said.max_length, said.settings, [tool.told() for tool in said.tools or []])


class ToolAnswer(VendorShape):
    output: Any  # whatever the network says; null where it says nothing


class Link(VendorShape):
    url: Annotated[str, Field(pattern="^https?://", max_length=4000)]


class Slot(VendorShape):
    date: Moment


class Media(VendorShape):
    id: Id
    path: Annotated[str, Field(pattern="^https?://", max_length=4000)]

    def told(self) -> VendorMedia:
        return VendorMedia(self.id, self.path)


class _CreatedPost(VendorShape):
    post_id: Id = Field(alias="postId")
    integration: Id


class CreatedPosts(VendorShape):
    items: list[_CreatedPost]

    def told(self) -> Created:
        return Created([(item.integration, item.post_id) for item in self.items])


class _Integration(VendorShape):
    id: Id
    identifier: Word = Field("", alias="providerIdentifier")


class _Post(VendorShape):
    id: Id
    content: Text = ""
    publish_at: Moment = Field(alias="publishDate")
    state: Word
    release_url: Picture = Field(None, alias="releaseURL")
    release_id: Word | None = Field(None, alias="releaseId")
    integration: _Integration
    group: Word | None = None
    settings: Any = None
    error: Any = None

    def told(self) -> VendorPost:
        return VendorPost(
            id=self.id,
            content=self.content,
            publish_at=self.publish_at,
            state=self.state,
            release_url=self.release_url,
            release_id=self.release_id,
            channel=self.integration.id,
            identifier=self.integration.identifier,
            group=self.group,
            reference=reference_of(self.settings),
            error=_storable(self.error) if isinstance(self.error, str) and self.error else None,
        )


class Posts(VendorShape):
    """An item that cannot be read spoils the list: left out, its post would count as absent and be sent again."""

    posts: list[_Post]

    def told(self) -> list[VendorPost]:
        return [post.told() for post in self.posts]


class _Released(VendorShape):
    id: Word
    url: Text = ""


class ReleasedPosts(VendorShape):
    items: list[_Released]

    def told(self) -> list[Released]:
        return [Released(item.id, item.url) for item in self.items]


class _Notification(VendorShape):
    id: Id
    content: Text = ""
    created_at: Moment = Field(alias="createdAt")


class NotificationsAnswer(VendorShape):
    notifications: list[_Notification]
    more: bool = Field(False, alias="hasMore")

    def told(self) -> Notifications:
        items = [Notification(item.id, item.content, item.created_at) for item in self.notifications]
        return Notifications(items, self.more)


def reference_of(settings: Any) -> UUID | None:
    """Our own name among a post's settings, which are JSON in a string, an object or absent."""
    told = settings
    if isinstance(settings, str):
        try:
            told = json.loads(settings)
        except (ValueError, RecursionError):
            return None
    named = told.get(REFERENCE) if isinstance(told, Mapping) else None
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None
