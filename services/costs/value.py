"""What the money was good for: the cost of a published clip, paid audio that was never published, savings by reuse.

docs/costs.md defines each number. Amounts are US dollars with six places, days and months UTC.
"""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database

MICRO = Decimal("0.000001")
MOST_LINES = 100  # of clips and of speech, the dearest; the sums have all


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class ClipLine(_Answer):
    """A clip that went live, with what it cost ever: entries that name it, and the speech that is on it."""

    key: UUID
    name: str
    deleted: bool
    profile_id: UUID
    store: str
    code: str  # the store's
    first_at: datetime  # of its first live post
    posts: int  # that are live
    own_usd: Decimal
    speech_usd: Decimal

    @property
    def usd(self) -> Decimal:
        return self.own_usd + self.speech_usd


class StoreLine(_Answer):
    """A store with clips that went live."""

    key: UUID
    name: str
    code: str
    archived: bool
    clips: int
    posts: int
    usd: Decimal

    @property
    def per_clip(self) -> Decimal:
        return per_clip(self.usd, self.clips)


class Unused(_Answer):
    """Speech whose paid audio nobody has heard; `text` are its first 160 characters, `usd` what of it is unheard."""

    key: UUID
    profile_id: UUID
    store: str
    code: str
    created_at: datetime
    text: str
    provider: str
    on_clip: bool  # it waits on a clip without a post
    usd: Decimal


class Unpublished(_Answer):
    count: int
    usd: Decimal
    speech: list[Unused]


class Saving(_Answer):
    """What reused passages of a month and store would have cost."""

    month: date
    key: UUID
    name: str
    code: str
    passages: int
    usd: Decimal


class Value(_Answer):
    """Of a range of UTC days, of one store or all that the person sees."""

    profile_id: UUID | None
    from_day: date
    to_day: date
    as_of: datetime
    seq: int  # the ledger's last entry
    clips: list[ClipLine]
    stores: list[StoreLine]
    unpublished: Unpublished
    savings: list[Saving]

    @property
    def clips_count(self) -> int:
        return sum(line.clips for line in self.stores)

    @property
    def usd(self) -> Decimal:
        """What the clips cost that went live."""
        return _sum(line.usd for line in self.stores)

    @property
    def per_clip(self) -> Decimal | None:
        return per_clip(self.usd, self.clips_count) if self.stores else None

    @property
    def saved(self) -> Decimal:
        return _sum(line.usd for line in self.savings)


def per_clip(usd: Decimal, clips: int) -> Decimal:
    """Six places, rounded half away from zero."""
    return (usd / clips).quantize(MICRO, ROUND_HALF_UP)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def ask(database: Database, account_id: UUID, profile_id: UUID | None, first: date, last: date) -> Value:
    """One store, or (None) all that the person sees. Raises `InvalidInput`, `NotFound`."""
    answer = database.call(
        "cost_value", p_account_id=account_id, p_profile_id=profile_id, p_from=first, p_to=last
    )  # fmt: skip
    return Value.model_validate(answer)
