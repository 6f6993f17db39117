"""Posts as people write, order, change, take back and follow them. The publisher does the rest."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from services.database.door import Database
from services.errors import InvalidInput
from services.logs import tag
from services.publishing.budget import Budget

log = logging.getLogger(__name__)

Group = Literal["wanted", "handed_over", "live", "failed", "unknown"]
State = Literal[
    "draft", "awaiting_approval", "uploading", "uploaded", "sending", "scheduled", "published", "failed", "unconfirmed",
    "missed", "cancelled",
]  # fmt: skip
GROUPS: Mapping[State, Group] = {
    "awaiting_approval": "wanted", "uploading": "wanted", "uploaded": "wanted",
    "sending": "handed_over", "scheduled": "handed_over",
    "published": "live",
    "failed": "failed", "missed": "failed", "cancelled": "failed",
    "unconfirmed": "unknown",
}  # fmt: skip
SOON = timedelta(minutes=15)  # around its moment a post is watched
SLACK_SECONDS = 60  # a post is handed over at least so long before its moment, as SQL's refuse_late has it


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Words(Model):
    """What is said on one channel. `settings` are the network's own, such as a title or who may see it."""

    channel: str  # the vendor's id
    caption: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)


class Publication(Model):
    """A post on one channel. `error` and `trouble` are sentences for the operator; times are UTC."""

    id: UUID
    bundle_id: UUID
    clip_id: UUID
    channel: str
    name: str
    identifier: str  # the network
    handle: str | None
    picture: str | None
    caption: str
    settings: dict[str, Any]
    state: State
    state_since: datetime
    wanted_at: datetime | None
    release_url: str | None
    error: str | None
    trouble: str | None = None  # why it has to wait
    comment_failed: bool
    in_app_inbox: bool
    withdraw_requested_at: datetime | None = None
    published_at: datetime | None
    version: int = 0
    created_by: UUID | None = None
    repeated: bool = False  # it was ordered again on the same channel

    @property
    def group(self) -> Group:
        return GROUPS[self.state]

    @property
    def withdrawing(self) -> bool:
        """Whether it is being taken back at the vendor right now."""
        return self.state in ("scheduled", "unconfirmed") and self.withdraw_requested_at is not None

    @property
    def moving(self) -> bool:
        """Whether it changes by itself soon: on its way to the vendor or back, or just due."""
        if self.state in ("uploading", "uploaded", "sending") or self.withdrawing:
            return True
        due = self.wanted_at is not None and -SOON < self.wanted_at - datetime.now(UTC) < SOON
        return self.state == "scheduled" and due

    @property
    def key(self) -> tuple[datetime | None, UUID]:
        """Its place in the list: what `after` takes."""
        return self.wanted_at, self.id


class Draft(Model):
    """A post that is being written."""

    id: UUID
    clip_id: UUID
    wanted_at: datetime | None
    version: int
    created_by: UUID | None
    created_at: datetime
    copy_of: UUID | None
    publications: list[Publication]


class PostClip(Model):
    """What a list shows of a post's clip."""

    id: UUID
    name: str
    thumbnail_path: str | None
    media_type: str | None
    deleted: bool


class PinnedChannel(Model):
    """A channel that an admin gave to the store, and how it is. `differs`: as the vendor shows it now, where that is
    not what was pinned; nothing is sent there until an admin confirms."""

    credential_id: UUID
    channel: str
    name: str
    identifier: str
    handle: str | None
    picture: str | None
    disabled: bool
    reconnect_since: datetime | None
    differs: dict[str, Any] | None
    checked_at: datetime | None
    rules_at: datetime | None

    @property
    def usable(self) -> bool:
        return not self.disabled and self.differs is None and self.reconnect_since is None


class Stray(Model):
    """A post on one of the store's channels that nobody made here."""

    channel: str
    vendor_post: str
    preview: str
    publish_at: datetime | None
    vendor_state: str
    release_url: str | None


class Desk(Model):
    """What the Publish page shows of a store. `states`: how many of each the last 90 days have and the future."""

    publications: list[Publication]
    drafts: list[Draft]
    clips: Mapping[UUID, PostClip]
    people: Mapping[UUID, str]
    states: Mapping[State, int] = Field(validation_alias="counts")
    channels: list[PinnedChannel]
    strays: list[Stray]

    def count(self, group: Group) -> int:
        return sum(many for state, many in self.states.items() if GROUPS.get(state) == group)

    @property
    def waiting(self) -> bool:
        """Whether something on the page will change by itself soon."""
        return any(p.moving for p in self.publications)


class Account(Model):
    """The vendor's account that speaks for a store. `address` is its host."""

    address: str | None
    practice: bool
    test_ok: bool | None
    test_message: str | None
    tested_at: datetime | None


class Outlook(Model):
    """Whose account a store speaks through, what its key still takes this hour, and what waits for it.

    `waiting`: all posts on the same key that are not handed over yet, other stores' included; `handed_over`: when a
    post for the moment that was asked about would be.
    """

    uses: Literal["own", "company", "none"]
    credential_id: UUID | None
    account: Account | None
    budget: Budget | None
    waiting: int
    handed_over: datetime | None


class Similar(Model):
    """A post that says the same, or shows the same clip, on the same channel within a week."""

    name: str
    identifier: str
    wanted_at: datetime
    state: State
    same_clip: bool


class Saved(Model):
    """A post as it was saved. `wanted_at` None: a draft without a date."""

    id: UUID
    version: int
    wanted_at: datetime | None


# Reading ------------------------------------------------------------------------------------------------------------


def desk(
    database: Database,
    profile_id: UUID,
    *,
    group: Group | None = None,
    channel: str | None = None,
    limit: int = 25,
    after: tuple[datetime | None, UUID] | None = None,
) -> Desk:
    """Posts of a store, the latest moment first; `after` is the last seen one's `key`. At most 200 at once."""
    at, id_ = after or (None, None)
    states = [state for state, of in GROUPS.items() if of == group] or None
    answer = database.call(
        "publish_desk", p_profile_id=profile_id, p_states=states, p_channel=channel, p_limit=limit, p_before_at=at,
        p_before_id=id_,
    )  # fmt: skip
    return Desk.model_validate(answer)


def outlook(database: Database, profile_id: UUID, wanted_at: datetime | None = None) -> Outlook:
    """For a post at `wanted_at`. Raises `NotFound`."""
    return Outlook.model_validate(database.call("publishing_outlook", p_profile_id=profile_id, p_wanted_at=wanted_at))


def similar(
    database: Database,
    profile_id: UUID,
    clip_id: UUID,
    words: Sequence[Words],
    wanted_at: datetime,
    *,
    apart_from: UUID | None = None,
) -> list[Similar]:
    """Posts of the same clip or caption on the same channels within a week of `wanted_at`, by their moments."""
    answer = database.call(
        "similar_posts", p_profile_id=profile_id, p_clip_id=clip_id, p_publications=_as_json(words),
        p_wanted_at=wanted_at, p_except=apart_from,
    )  # fmt: skip
    return [Similar.model_validate(row) for row in answer]


# Writing ------------------------------------------------------------------------------------------------------------


def save_draft(
    database: Database,
    profile_id: UUID,
    clip_id: UUID,
    words: Sequence[Words],
    wanted_at: datetime | None = None,
    *,
    bundle_id: UUID | None = None,
    version: int = 0,
    copy_of: UUID | None = None,
) -> Saved:
    """Keep a post without ordering it. `version` is the one seen, 0 for a new one.

    Raises `InvalidInput` (fields `channels`, `clip`, `wanted_at`), `Conflict` when somebody saved meanwhile or it was
    handed over, `NotFound`, `NotAllowed`, `StoreSuspended`.
    """
    return _save(database, profile_id, clip_id, words, wanted_at, bundle_id, version, copy_of, order=False)


def order(
    database: Database,
    profile_id: UUID,
    clip_id: UUID,
    words: Sequence[Words],
    wanted_at: datetime | None,
    *,
    bundle_id: UUID | None = None,
    version: int = 0,
    copy_of: UUID | None = None,
) -> Saved:
    """Have a post published at `wanted_at`; None: as soon as possible, which is 3 minutes from now.

    Refuses what the key's allowance would hand over too late, and what would make another post late. Raises as
    `save_draft` does. What the networks ask of captions and media is checked by `services.publishing.networks` before.
    """
    saved = _save(database, profile_id, clip_id, words, wanted_at, bundle_id, version, copy_of, order=True)
    log.info("%s ordered post %s on %d channels for %s", tag(profile_id), saved.id, len(words), saved.wanted_at)
    return saved


def _save(
    database: Database,
    profile_id: UUID,
    clip_id: UUID,
    words: Sequence[Words],
    wanted_at: datetime | None,
    bundle_id: UUID | None,
    version: int,
    copy_of: UUID | None,
    *,
    order: bool,
) -> Saved:
    answer = database.call(
        "save_post", p_id=bundle_id or uuid4(), p_profile_id=profile_id, p_clip_id=clip_id, p_wanted_at=wanted_at,
        p_publications=_as_json(words), p_version=version, p_order=order, p_copy_of=copy_of,
    )  # fmt: skip
    return Saved.model_validate(answer)


def _as_json(words: Sequence[Words]) -> list[dict[str, Any]]:
    return [said.model_dump(mode="json") for said in words]


def cancel(database: Database, publication_id: UUID) -> Literal["cancelled", "withdrawing"]:
    """Take one channel's post back; what was handed over is deleted at the vendor by the publisher.

    That removes nothing from a network. Raises `Conflict` while it is being handed over or after its end.
    """
    answer: Literal["cancelled", "withdrawing"] = database.call("cancel_publication", p_publication_id=publication_id)
    return answer


def delete_draft(database: Database, bundle_id: UUID) -> None:
    """Raises `Conflict` for what was ordered, `NotFound`, `NotAllowed`."""
    database.call("delete_draft", p_bundle_id=bundle_id)


def repeat(
    database: Database, bundle_id: UUID, new_id: UUID, channels: Sequence[str], wanted_at: datetime | None = None
) -> None:
    """Order what failed, was missed or taken back again, on these channels; None: as soon as possible.

    `new_id` names the new post: asked for twice, it is made once. Raises `Conflict` where it was ordered again before,
    else as `order` does.
    """
    database.call(
        "repeat_post",
        p_bundle_id=bundle_id,
        p_id=new_id,
        p_channels=list(channels),
        p_wanted_at=wanted_at,
        p_order=True,
    )


def rewrite(database: Database, bundle_id: UUID, channels: Sequence[str], wanted_at: datetime | None = None) -> UUID:
    """A draft with the same words, to take the place of these channels' posts; returns its id.

    It can be ordered once those are really gone.
    """
    new_id = uuid4()
    database.call("repeat_post", p_bundle_id=bundle_id, p_id=new_id, p_channels=list(channels), p_wanted_at=wanted_at)
    return new_id


def decide(database: Database, publication_id: UUID, *, live: bool, release_url: str = "") -> None:
    """Say what a person saw on the network of a post that is unconfirmed; raises `Conflict` when it is known by now.

    What is not there is over with the publisher's next look into the vendor's list.
    """
    address = release_url.strip()
    if address and not address.startswith(("https://", "http://")):
        raise InvalidInput("Type the post's whole address, beginning with https://.", "release_url")
    database.call("decide_publication", p_publication_id=publication_id, p_live=live, p_release_url=address or None)


def dismiss(database: Database, profile_id: UUID, vendor_post: str) -> None:
    """Show a stray post no more."""
    database.call("dismiss_stray", p_profile_id=profile_id, p_vendor_post=vendor_post)
