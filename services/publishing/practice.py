"""The practice account of the demo company: posts stay in this database and count as published when they are due."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Literal
from uuid import UUID, uuid4

from services.credentials import Credential
from services.database.door import Database
from services.errors import Allowance, NotFound, PublishingLimited, PublishingMisconfigured, PublishingRefused
from services.publishing.vendor import (
    Created,
    Entry,
    Notifications,
    Released,
    Rules,
    VendorChannel,
    VendorMedia,
    VendorPost,
)

LABEL = "Practice: nobody is billed, nothing leaves this machine."


def organization(account_id: UUID) -> str:
    """What its requests are counted under."""
    return f"practice:{account_id}"


class Practice:
    """A `Vendor` without an outside. Raises `PublishingMisconfigured` once the account is gone.

    What a network would refuse is not refused here: `services.publishing.networks` checks before.
    """

    def __init__(self, database: Database, credential_id: UUID) -> None:
        self._database = database
        self._id = credential_id

    def connected(self) -> None:
        self._credential()

    def channels(self, group: str | None = None) -> list[VendorChannel]:
        """All of them; there are no groups."""
        return [VendorChannel(**told) for told in self._credential().facts.get("channels", [])]

    def rules(self, channel_id: str) -> Rules:
        return Rules(LABEL)

    def tool(self, channel_id: str, method: str, data: Mapping[str, Any]) -> Any:
        raise PublishingRefused("Channels of the practice account answer no questions.")

    def reconnect_url(self, identifier: str, channel_id: str) -> str:
        raise PublishingRefused("Channels of the practice account never need to be connected again.")

    def find_slot(self, channel_id: str) -> datetime:
        """The next full hour."""
        return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)

    def upload(self, file: BinaryIO, name: str, profile_id: UUID | None = None) -> VendorMedia:
        """Copies nothing: the clip is in the media store already."""
        media_id = str(uuid4())
        return VendorMedia(media_id, f"/practice/{media_id}")

    def create(
        self,
        date: datetime,
        entries: Sequence[Entry],
        *,
        kind: Literal["schedule", "draft"] = "schedule",
        profile_id: UUID | None = None,
        before: float | None = None,
    ) -> Created:
        """Counts as a request of a real account does: 90 an hour."""
        rows = [_row(entry) for entry in entries]
        left = self._call("practice_create", p_date=date, p_entries=rows, p_draft=kind == "draft")
        if "blocked" in left:
            raise PublishingLimited(seconds=float(left["blocked"]))
        allowance = Allowance(int(left["limit"]), int(left["remaining"]), float(left["seconds"]))
        return Created([(row["channel"], row["id"]) for row in rows], allowance)

    def posts(self, start: datetime, end: datetime) -> list[VendorPost]:
        return [_post(row) for row in self._call("practice_list", p_from=start, p_to=end)]

    def delete(self, post_id: str, profile_id: UUID | None = None) -> None:
        self._call("practice_change", p_id=_known(post_id), p_state="deleted")

    def requeue(self, post_id: str, profile_id: UUID | None = None) -> None:
        self._call("practice_change", p_id=_known(post_id), p_state="schedule")

    def set_release(self, post_id: str, release_id: str, profile_id: UUID | None = None) -> None:
        raise PublishingRefused("The practice account always knows where a post is.")

    def missing(self, post_id: str) -> list[Released]:
        return []

    def notifications(self, page: int = 0) -> Notifications:
        return Notifications([], more=False)

    def _credential(self) -> Credential:
        found = self._database.select(Credential, [("id", "eq", self._id), ("practice", "is", True)])
        if not found:
            raise PublishingMisconfigured("The practice account is gone.")
        return found[0]

    def _call(self, name: str, **values: Any) -> Any:
        try:
            return self._database.call(name, p_credential_id=self._id, **values)
        except NotFound as error:
            raise PublishingMisconfigured(str(error)) from error


def _row(entry: Entry) -> dict[str, str]:
    return {
        "id": str(uuid4()),
        "channel": entry.channel,
        "identifier": entry.identifier,
        "content": entry.content,
        "reference": str(entry.reference),
    }


def _post(row: Mapping[str, Any]) -> VendorPost:
    return VendorPost(
        id=row["id"],
        content=row["content"],
        publish_at=datetime.fromisoformat(row["publish_at"]).astimezone(UTC),
        state=row["state"],
        release_url=row["release_url"],
        release_id=row["id"] if row["release_url"] else None,
        channel=row["channel"],
        identifier=row["identifier"],
        reference=UUID(row["reference"]) if row["reference"] else None,
    )


def _known(post_id: str) -> UUID:
    try:
        return UUID(post_id)
    except ValueError:
        raise PublishingRefused("The practice account knows no such post.") from None
