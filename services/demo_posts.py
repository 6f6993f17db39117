"""What the demo company's stores published through their practice account, as rows."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from services.demo_data import ACCOUNT_ID, FOUNDER, POST_FAILURES, SENTENCES, STORES, Store, ident
from services.demo_history import SEED, Row, Shop, Span

Rows = dict[str, list[Row]]
State = Literal["published", "failed", "missed", "cancelled", "scheduled", "draft"]

CREDENTIAL_ID = ident("postiz")
ORGANIZATION = f"practice:{ACCOUNT_ID}"
TESTED = "Practice: nobody is billed, nothing leaves this machine."
NETWORKS = ("instagram", "tiktok", "facebook")
TAGS = {"instagram": "#bakery #freshbread", "tiktok": "#bakery", "facebook": ""}
SETTINGS: dict[str, Row] = {
    "instagram": {"post_type": "post"},
    "tiktok": {
        "privacy_level": "PUBLIC_TO_EVERYONE",
        "duet": False,
        "stitch": False,
        "comment": True,
        "brand_content_toggle": False,
        "brand_organic_toggle": False,
        "autoAddMusic": "no",
        "content_posting_method": "DIRECT_POST",
    },
    "facebook": {},
}
PAST = 11  # posts that are over, of each store, on up to three channels each
AHEAD = 2  # posts that are still to come
HOURS = (8, 12, 17, 19)  # in the store's own time: when people look at their telephones
MISSED = (
    "Its moment passed before it could be handed over, so nothing was posted. The clip was not done in time. "
    "Choose a new moment."
)


@dataclass(frozen=True)
class Post:
    """A clip's post on several channels. `wanted_at` None: a draft without a date."""

    store: Store
    clip: Row
    number: int
    wanted_at: datetime | None
    made_at: datetime

    @property
    def due_at(self) -> datetime | None:
        """What the account was told: a second of its own, since no channel publishes two posts in one."""
        return self.wanted_at and self.wanted_at + timedelta(seconds=self.number)

    @property
    def key(self) -> tuple[object, ...]:
        return "post", self.clip["id"]

    def state(self, network: str) -> State:
        """Mostly as wished; one post in four had some trouble."""
        if self.wanted_at is None:
            return "draft"
        if self.number >= PAST:
            return "scheduled"
        if self.number == 4:
            return "missed"
        troubles: dict[tuple[int, str], State] = {
            (2, "tiktok"): "failed",
            (6, "facebook"): "cancelled",
            (8, "instagram"): "failed",
        }
        return troubles.get((self.number, network), "published")


def posts(shops: Sequence[Shop], span: Span) -> Rows:
    """The practice account, each store's pinned channels, and posts of the last weeks and the next days."""
    written = [post for shop in shops for post in _posts(shop, span)]
    return {
        "profile_credentials": [_credential(span)],
        "profile_channels": [_pinned(store, network, span) for store in STORES for network in NETWORKS],
        "bundles": [_bundle(post) for post in written],
        "publications": [_publication(post, network) for post in written for network in NETWORKS],
    }


# The account and its channels -------------------------------------------------------------------------------------


def _channel(store: Store, network: str) -> Row:
    """As the account's test finds it."""
    return {
        "id": f"practice-{store.slug}-{network}",
        "name": f"Cinder & Rye {store.name}",
        "identifier": network,
        "picture": None,
        "disabled": False,
        "profile": f"cinderandrye.{store.slug}",
    }


def _credential(span: Span) -> Row:
    return {
        "id": CREDENTIAL_ID,
        "account_id": ACCOUNT_ID,
        "provider": "postiz",
        "last4": "",
        "enabled": True,
        "shared": True,
        "practice": True,
        "from_environment": False,
        "environment_gone": False,
        "version": 1,
        "tested_at": span.until,
        "test_ok": True,
        "test_message": TESTED,
        "passing_tests": 0,
        "facts": {"channels": [_channel(store, network) for store in STORES for network in NETWORKS]},
        "updated_by": FOUNDER.id,
        "created_at": span.founded,
        "updated_at": span.founded,
    }


def _pinned(store: Store, network: str, span: Span) -> Row:
    channel = _channel(store, network)
    return {
        "id": ident("pinned", channel["id"]),
        "account_id": ACCOUNT_ID,
        "profile_id": store.id,
        "credential_id": CREDENTIAL_ID,
        "channel": channel["id"],
        "name": channel["name"],
        "identifier": network,
        "handle": channel["profile"],
        "picture": None,
        "disabled": False,
        "pinned_by": FOUNDER.id,
        "pinned_at": span.founded,
    }


# Posts ------------------------------------------------------------------------------------------------------------


def _posts(shop: Shop, span: Span) -> Iterator[Post]:
    """Of every third of the latest clips: the older ones' posts are over, then come those ahead and a draft."""
    done = [clip for clip in shop.clips if clip["final_status"] == "completed"]
    ready = [clip for clip in done if clip["created_at"] < span.until - timedelta(days=1)]
    for number, clip in enumerate(ready[-3 * (PAST + AHEAD + 1) :: 3]):
        made_at = clip["created_at"] + timedelta(hours=1)
        if number < PAST:
            wanted_at = _slot(shop.store, clip, made_at + timedelta(hours=1), span.until - timedelta(minutes=5))
        elif number < PAST + AHEAD:
            wanted_at = _slot(shop.store, clip, span.until + timedelta(days=1 + number - PAST), None)
        else:
            wanted_at = None
        yield Post(shop.store, clip, number, wanted_at, made_at)


def _slot(store: Store, clip: Row, first: datetime, last: datetime | None) -> datetime:
    """A usual hour of the store on one of the days from `first` on, and before `last`; else right after `first`."""
    rng = random.Random(f"{SEED}/slot/{clip['id']}")  # noqa: S311 - made-up history, not a secret
    zone = ZoneInfo(store.timezone)
    day = first.astimezone(zone).date() + timedelta(days=rng.randint(1, 3))
    local = datetime.combine(day, time(rng.choice(HOURS), rng.choice((0, 15, 30, 45))), zone)
    at = local.astimezone(first.tzinfo)
    return at if first < at and (last is None or at < last) else first.replace(microsecond=0)


def _bundle(post: Post) -> Row:
    states = {post.state(network) for network in NETWORKS}
    sent_at = post.made_at + timedelta(minutes=2) if states - {"draft", "missed"} else None
    return {
        "id": ident(*post.key),
        "account_id": ACCOUNT_ID,
        "profile_id": post.store.id,
        "clip_id": post.clip["id"],
        "credential_id": CREDENTIAL_ID,
        "created_by": post.clip["created_by"],
        "wanted_at": post.wanted_at,
        "at_once": False,
        "version": 1,
        "organization": ORGANIZATION if sent_at else None,
        "due_at": post.due_at if sent_at else None,
        "requests": 1 if sent_at else 0,
        "sent_at": sent_at,
        "next_at": post.wanted_at or post.made_at,
        "woken": False,
        "tries": 0,
        "created_at": post.made_at,
        "updated_at": sent_at or post.made_at,
    }


def _publication(post: Post, network: str) -> Row:
    state, channel = post.state(network), _channel(post.store, network)
    return {
        "id": ident(*post.key, network),
        "account_id": ACCOUNT_ID,
        "profile_id": post.store.id,
        "bundle_id": ident(*post.key),
        "clip_id": post.clip["id"],
        "credential_id": CREDENTIAL_ID,
        "channel": channel["id"],
        "name": channel["name"],
        "identifier": network,
        "handle": channel["profile"],
        "caption": _caption(post, network),
        "settings": SETTINGS[network],
        "state": state,
        "wanted_at": post.wanted_at,
        "moved": False,
        "comment_failed": False,
        "in_app_inbox": False,
        "absent_lists": 0,
        "created_at": post.made_at,
        **_became(post, network, state),
    }


def _became(post: Post, network: str, state: State) -> Row:
    if post.wanted_at is None:
        return _since(post.made_at)
    if state == "missed":
        return {**_since(post.wanted_at), "error": MISSED}
    known = {
        "organization": ORGANIZATION,
        "due_at": post.wanted_at,
        "vendor_post": str(ident(*post.key, network, "there")),
    }
    if state == "scheduled":
        return {**known, **_since(post.made_at + timedelta(minutes=2)), "vendor_state": "QUEUE"}
    if state == "cancelled":
        return {**known, **_since(post.made_at + timedelta(minutes=20)), "vendor_state": "QUEUE"}
    ended = _since(post.wanted_at + timedelta(minutes=2))
    if state == "failed":
        reason = POST_FAILURES[network]
        return {**known, **ended, "vendor_state": "ERROR", "error": reason}
    url = f"/publish?practice={known['vendor_post']}"
    return {**known, **ended, "vendor_state": "PUBLISHED", "release_url": url, "published_at": post.due_at}


def _since(at: datetime) -> Row:
    return {"state_since": at, "updated_at": at}


def _caption(post: Post, network: str) -> str:
    rng = random.Random(f"{SEED}/caption/{post.clip['id']}")  # noqa: S311 - made-up history, not a secret
    text = f"{post.clip['name']}. {' '.join(rng.sample(SENTENCES, 2))}"
    return f"{text}\n\n{TAGS[network]}".strip()
