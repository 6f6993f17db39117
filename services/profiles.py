"""Stores: which ones a person may choose, their quota, and how an admin changes it."""

import re
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database
from services.errors import InvalidInput

WARN_SHARE = Decimal("0.90")  # of a limit: from here on pages warn
# Commas between thousands only: "12,50", as half of Europe writes it, must not become 1250.
_AMOUNT = re.compile(r"-?(\d{1,12}|\d{1,3}(,\d{3}){1,3})(\.\d{1,20})?", re.ASCII)


class Quota(BaseModel):
    """A limit this calendar month (UTC), in US dollars. `limit` and `left` None = unlimited."""

    model_config = ConfigDict(frozen=True)

    limit: Decimal | None
    settled: Decimal
    held: Decimal
    left: Decimal | None
    exceeded: bool

    @property
    def used_share(self) -> Decimal | None:
        """Settled and held of the limit; more than 1 after a limit was lowered."""
        return (self.settled + self.held) / self.limit if self.limit else None

    @property
    def near(self) -> bool:
        """Whether pages warn: 90 % or more is settled or held."""
        return self.near_with(Decimal(0))

    def near_with(self, estimate: Decimal) -> bool:
        """The same after a hold of `estimate` US dollars."""
        return self.limit is not None and self.settled + self.held + estimate >= WARN_SHARE * self.limit


class Store(BaseModel):
    """A store a person may choose."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    account_id: UUID
    slug: str
    code: str
    name: str
    city: str | None
    timezone: str
    suspended: bool
    suspended_reason: str | None
    allow_free_voices_over_quota: bool
    tts_settings: dict[str, Any]
    quota: Quota

    @property
    def label(self) -> str:
        return f"{self.code} · {self.name}"


class Checklist(BaseModel):
    """First steps of a company, each ticked by a fact."""

    spoke: bool
    clip: bool
    postiz: bool
    quota: bool
    manager: bool

    @property
    def done(self) -> bool:
        return self.spoke and self.clip and self.postiz and self.quota and self.manager


def my_stores(database: Database, account_id: UUID) -> list[Store]:
    """The person's stores in a company, by store number; archived ones are left out."""
    return [Store.model_validate(row) for row in database.call("my_stores", p_account_id=account_id)]


def check_quota(database: Database, profile_id: UUID) -> Quota:
    """A store's limit this month. Reaching it exactly counts as exceeded. Raises `NotFound`."""
    return Quota.model_validate(database.call("check_quota", p_profile_id=profile_id))


def checklist(database: Database, account_id: UUID) -> Checklist | None:
    """None for everybody but the company's admins."""
    answer = database.call("checklist", p_account_id=account_id)
    return Checklist.model_validate(answer) if answer else None


def set_quota(database: Database, account_id: UUID, profile_id: UUID | None, amount: str, reason: str) -> Decimal:
    """Set a month's quota in US dollars (0 = unlimited) of a store, or of the company (None).

    Returns the amount. Raises `InvalidInput` naming the field, `NotAllowed`, `NotFound`.
    """
    typed = amount.strip().removeprefix("$")
    if not _AMOUNT.fullmatch(typed):
        raise InvalidInput("Type an amount in US dollars, such as 25.00.", "quota")
    quota = Decimal(typed.replace(",", ""))
    database.call("set_quota", p_account_id=account_id, p_profile_id=profile_id, p_quota_usd=quota, p_reason=reason)
    return quota
