"""What the vendor's notifications say of posts and channels: free text, without a post's id."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from services.publishing.vendor import Notification

Kind = Literal["error", "unconfirmed", "disabled", "reconnect", "refresh"]
SLACK = timedelta(minutes=2)  # between two clocks, and between a state and its notification

PATTERNS: Sequence[tuple[Kind, "re.Pattern[str]"]] = (
    ("error", re.compile(r"An error occurred while posting on (?P<network>[^:]+): (?P<reason>.+)", re.DOTALL)),
    ("unconfirmed", re.compile(r"Your post was sent to (?P<network>.+?), but we couldn't confirm")),
    ("disabled", re.compile(r"We couldn't post to (?P<network>\S+) for (?P<name>.+) because it's disabled")),
    ("reconnect", re.compile(r"We couldn't post to (?P<network>\S+) for (?P<name>.+) because you need to reconnect")),
    ("refresh", re.compile(r"Could not refresh your (?P<network>\S+) channel")),
)


@dataclass(frozen=True)
class Told:
    """`network` in small letters; `name` is the channel's, `reason` the network's words, where they are said."""

    kind: Kind
    network: str
    at: datetime
    name: str | None = None
    reason: str | None = None

    def of(self, network: str, name: str) -> bool:
        """Whether it may be of that channel."""
        return self.network == _plain(network) and self.name in (None, name)


def read(notifications: Iterable[Notification]) -> list[Told]:
    """Those that say why a post or a channel failed."""
    return [told for notification in notifications if (told := _read(notification))]


def _read(notification: Notification) -> Told | None:
    for kind, pattern in PATTERNS:
        if found := pattern.match(notification.content):
            words = found.groupdict()
            return Told(kind, _plain(words["network"]), notification.created_at, words.get("name"), words.get("reason"))
    return None


def _plain(network: str) -> str:
    return re.sub(r"[\s_-]+", "-", network.strip().lower())


def between(told: Iterable[Told], start: datetime, end: datetime) -> list[Told]:
    """Those of a span, give or take two minutes."""
    return [one for one in told if start - SLACK <= one.at <= end + SLACK]
