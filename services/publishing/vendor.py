"""What a publishing service is asked and what it answers, whoever it is: Postiz, or the practice account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO, Literal, Protocol
from uuid import UUID

from services.errors import Allowance

REFERENCE = "client_ref"  # among the settings of a post: our own name for it, which comes back in lists


@dataclass(frozen=True)
class VendorChannel:
    """A channel as the vendor shows it. `customer`: the name of the customer it is filed under there."""

    id: str
    name: str
    identifier: str  # the network, such as "tiktok"
    picture: str | None = None
    disabled: bool = False
    profile: str | None = None  # the handle
    customer: str | None = None


@dataclass(frozen=True)
class Tool:
    """A question that a channel answers, such as which boards it has."""

    method: str
    description: str = ""
    parameters: tuple[Mapping[str, Any], ...] = ()  # {key, type, description} of what `data` may hold


@dataclass(frozen=True)
class Rules:
    """What the vendor says of a channel. `rules` is prose, `max_length` in characters, `settings` a JSON schema."""

    rules: str = ""
    max_length: int | None = None
    settings: dict[str, Any] | None = None
    tools: list[Tool] = field(default_factory=list)


@dataclass(frozen=True)
class VendorMedia:
    """A file in the vendor's library; `path` is its public address."""

    id: str
    path: str


@dataclass(frozen=True)
class Entry:
    """A post on one channel. `content` is text as a person wrote it; `reference` is our own name for the post.

    Of `settings` those may be missing for which `networks` has a default.
    """

    channel: str
    identifier: str
    content: str
    media: Sequence[VendorMedia]
    settings: Mapping[str, Any]
    reference: UUID


@dataclass(frozen=True)
class Created:
    """The channel and the vendor's id of each post, in the order of the entries."""

    posts: list[tuple[str, str]]
    allowance: Allowance | None = None


State = Literal["DRAFT", "QUEUE", "PUBLISHED", "ERROR"]


@dataclass(frozen=True)
class VendorPost:
    """A post as the vendor lists it. A repeating one is listed once for each time, with the same `id`."""

    id: str
    content: str
    publish_at: datetime  # UTC
    state: State | str  # newer versions may know more
    release_url: str | None
    release_id: str | None
    channel: str
    identifier: str
    group: str | None = None
    reference: UUID | None = None  # None also where the vendor is too old to say
    error: str | None = None  # where the vendor is new enough to say


@dataclass(frozen=True)
class Released:
    """Something on the network that may be a post whose address the vendor missed."""

    id: str
    url: str


@dataclass(frozen=True)
class Notification:
    id: str
    content: str
    created_at: datetime  # UTC


@dataclass(frozen=True)
class Notifications:
    """A page, newest first; `more`: there is another."""

    items: list[Notification]
    more: bool


class Vendor(Protocol):
    """Safe from many threads. `profile_id` is the store on whose behalf it is done: log lines name it.

    Every method raises `PublishingRefused`, `PublishingLimited`, `PublishingMisconfigured` or `PublishingUnreachable`,
    all of which mean that nothing was changed. Methods that change posts also raise `PublishingUnclear`.
    """

    def connected(self) -> None:
        """Raises unless the key is accepted."""

    def channels(self, group: str | None = None) -> list[VendorChannel]:
        """All channels that the key opens, or those of a customer (its id)."""

    def rules(self, channel_id: str) -> Rules:
        """What posts on this channel must be like."""

    def tool(self, channel_id: str, method: str, data: Mapping[str, Any]) -> Any:
        """What the channel's tool says: JSON of any shape."""

    def reconnect_url(self, identifier: str, channel_id: str) -> str:
        """Where a person gives the vendor its permission at the network again."""

    def find_slot(self, channel_id: str) -> datetime:
        """The channel's next free time, UTC; it is not reserved."""

    def upload(self, file: BinaryIO, name: str, profile_id: UUID | None = None) -> VendorMedia:
        """Copy a file, from its beginning to its end, to the vendor's library. Trying again is safe."""

    def create(
        self,
        date: datetime,
        entries: Sequence[Entry],
        *,
        kind: Literal["schedule", "draft"] = "schedule",
        profile_id: UUID | None = None,
        before: float | None = None,
    ) -> Created:
        """One request for posts on several channels, published at `date`. Raises `PublishingUnclear`.

        `before`: the instant of `wire.awake` from which on nothing leaves any more (`PublishingUnreachable`).
        """

    def posts(self, start: datetime, end: datetime) -> list[VendorPost]:
        """The posts with a date in between, the ends included, of the whole organisation."""

    def delete(self, post_id: str, profile_id: UUID | None = None) -> None:
        """Take a post, and what hangs on it, out of the vendor's list; one that is not there is fine.

        What is already on the network stays there. Raises `PublishingUnclear`.
        """

    def requeue(self, post_id: str, profile_id: UUID | None = None) -> None:
        """Publish it at its date, or at once where that is past, whatever became of it. Raises `PublishingUnclear`."""

    def set_release(self, post_id: str, release_id: str, profile_id: UUID | None = None) -> None:
        """Say which of `missing` it is. Raises `PublishingUnclear`."""

    def missing(self, post_id: str) -> list[Released]:
        """What it may be on the network, where the vendor does not know."""

    def notifications(self, page: int = 0) -> Notifications:
        """What the vendor told the whole organisation, newest first; `page` counts from 0."""
