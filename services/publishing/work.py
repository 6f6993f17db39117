"""What the publisher claims: bundles of one account, and what is to be done with them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.publishing.vendor import Entry, VendorMedia

State = Literal["uploading", "uploaded", "sending", "scheduled", "unconfirmed"]
Ended = Literal["published", "failed", "missed", "cancelled"]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Planned(Model):
    """A publication that is not over. `due_at` is the instant named to the vendor; times are UTC.

    `requests`: how many for its bundle may have reached the vendor.
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

    def __str__(self) -> str:
        return f"publication {self.id} on {self.identifier} “{self.name}”"


class Bundle(Model):
    """A clip at a moment on channels of one account. `media` is the vendor's own; `tries`: of the present step."""

    id: UUID
    profile_id: UUID
    credential_id: UUID | None
    wanted_at: datetime
    tries: int
    media: dict[str, str] | None
    media_path: str | None
    publications: list[Planned]

    def entries(self, ids: set[UUID]) -> list[Entry]:
        """What is sent of it to the vendor."""
        media = [VendorMedia(self.media["id"], self.media["path"])] if self.media else []
        return [
            Entry(p.channel, p.identifier, p.caption, media, p.settings, p.id) for p in self.publications if p.id in ids
        ]


class Work(Model):
    """A claimed piece of work; `token` goes with every write. `now` is the database's clock at the claim.

    `organization` is the one that the bundles went to, or will; `channels_at`: when the account's channels were last
    compared with the pinned ones.
    """

    task: Literal["upload", "send", "read"]
    token: UUID
    now: datetime
    organization: str | None
    channels_at: datetime | None
    bundles: list[Bundle]

    @property
    def bundle(self) -> Bundle:
        """The one, or the first, of its bundles."""
        return self.bundles[0]

    @property
    def publications(self) -> list[Planned]:
        """Those that the vendor may have."""
        return [p for b in self.bundles for p in b.publications if p.state in ("sending", "scheduled", "unconfirmed")]
