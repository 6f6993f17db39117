"""What the publisher claims: bundles of one account, and what is to be done with them."""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.publishing import wire
from services.publishing.vendor import Entry, VendorMedia

State = Literal["uploading", "uploaded", "sending", "scheduled", "unconfirmed"]
Ended = Literal["published", "failed", "missed", "cancelled"]
COVERED = frozenset({"pinterest"})  # take a video only with an image beside it


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Planned(Model):
    """A publication that is not over. `due_at` is the instant named to the vendor; times are UTC.

    `requests`: how many for its bundle may have reached the vendor. `others`: the vendor's ids of what other
    publications have at the same channel and instant. `organization`: that it went to.
    """

    id: UUID
    profile_id: UUID
    channel: str
    name: str
    identifier: str
    caption: str
    settings: dict[str, Any]
    state: State
    wanted_at: datetime
    due_at: datetime | None
    vendor_post: str | None
    absent_lists: int
    absent_since: datetime | None
    error_since: datetime | None
    requests: int
    withdraw_requested_at: datetime | None
    organization: str | None = None
    error: str | None = None
    others: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"publication {self.id} on {self.identifier} “{self.name}”"


class File(Model):
    """A file in the vendor's library."""

    id: str
    path: str


class Uploaded(File):
    """The clip there; `cover`: the image beside a video, where one was needed."""

    cover: File | None = None


class Bundle(Model):
    """A clip at a moment on channels of one account. `tries`: of the present step."""

    id: UUID
    profile_id: UUID
    credential_id: UUID | None
    wanted_at: datetime
    tries: int
    media: Uploaded | None
    publications: list[Planned]

    def entries(self, ids: set[UUID]) -> list[Entry]:
        """What is sent of it to the vendor."""
        return [
            Entry(p.channel, p.identifier, p.caption, self._media(p.identifier), p.settings, p.id)
            for p in self.publications
            if p.id in ids
        ]

    def _media(self, identifier: str) -> list[VendorMedia]:
        if self.media is None:
            return []
        files = (self.media, self.media.cover if identifier in COVERED else None)
        return [VendorMedia(file.id, file.path) for file in files if file]


class Work(Model):
    """A claimed piece of work; `token` goes with every write. `now` is the database's clock at the claim.

    `channels_at`: when the account's channels were last compared with the pinned ones.
    """

    task: Literal["upload", "send", "read"]
    token: UUID
    now: datetime
    channels_at: datetime | None
    bundles: list[Bundle]
    claimed: float = Field(default_factory=wire.awake)

    @property
    def instant(self) -> datetime:
        """The database's clock by now."""
        return self.now + timedelta(seconds=wire.awake() - self.claimed)

    @property
    def bundle(self) -> Bundle:
        """The one, or the first, of its bundles."""
        return self.bundles[0]

    @property
    def publications(self) -> list[Planned]:
        """Those that the vendor may have."""
        return [p for b in self.bundles for p in b.publications if p.state in ("sending", "scheduled", "unconfirmed")]
