"""The entries behind a sum, the latest first, page by page, and what a single person spent."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database

PAGE = 50
SYSTEM = "system"  # the filter `user_id` for work that nobody asked for
FILTERS = ("service", "operation", "model", "category", "user_id", "project_id", "clip_id")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Linked(_Answer):
    """An entry that another corrects, or that corrects another."""

    id: UUID
    seq: int
    booked_on: date
    cost_usd: Decimal


class Entry(_Answer):
    """One operation that was paid for, with the names of today. `cost_usd` has six places.

    A correction (its operation is `adjustment`) names in `corrects` what it corrects and in `reason` why.
    """

    id: UUID
    seq: int
    occurred_at: datetime
    booked_on: date
    profile_id: UUID
    store: str
    user_id: UUID | None
    person: str | None
    job_id: UUID | None
    project_id: UUID | None
    project: str | None
    clip_id: UUID | None
    clip: str | None
    service: str
    operation: str
    model: str
    category: str
    units: dict[str, Any]
    unit_prices: dict[str, dict[str, Any]]
    cost_usd: Decimal
    overrun_usd: Decimal
    counts_to_quota: bool
    preview: str | None
    preview_gone: bool = False  # without its text, which is not kept any more if there was one
    reason: str | None
    corrects: Linked | None
    corrections: list[Linked]

    @property
    def corrected_usd(self) -> Decimal:
        """What it costs with its corrections."""
        return self.cost_usd + sum((made.cost_usd for made in self.corrections), Decimal(0))


class Page(_Answer):
    """`next`: hand it over as `before` for the next page; None: this is the last. `seq`: the ledger's last entry."""

    entries: list[Entry]
    next: int | None
    as_of: datetime
    seq: int


class Events(Page):
    total: int  # of all pages


class MonthSum(_Answer):
    month: date
    usd: Decimal
    entries: int


class Summary(_Answer):
    """What a person spent ever, in US dollars; zeros where they spent nothing.

    `usage` counts characters, tokens, emails_sent, storage_operations, storage_mb (2^20 bytes) and compute_seconds.
    `cost_calculated_at` is the last rebuild, `last_updated` the last change; None before the first.
    """

    user_id: UUID | None
    name: str | None
    as_of: datetime
    total_cost_usd: Decimal
    this_month: Decimal
    by_category: dict[str, Decimal]
    usage: dict[str, Decimal]
    entries: int
    cost_calculated_at: datetime | None
    last_updated: datetime | None
    months: list[MonthSum]


def page(
    database: Database,
    account_id: UUID,
    profile_id: UUID | None,
    first: date,
    last: date,
    filters: Mapping[str, str] | None = None,
    *,
    limit: int = PAGE,
    before: int | None = None,
) -> Page:
    """Entries of a store, or (None) of all that the person sees, booked from `first` to `last` (UTC days).

    `filters` holds values by the names in `FILTERS`. Raises `InvalidInput`, `NotFound`.
    """
    answer = database.call(
        "cost_entries_page", p_account_id=account_id, p_profile_id=profile_id, p_from=first, p_to=last,
        p_filters=dict(filters or {}), p_limit=limit, p_before=before,
    )  # fmt: skip
    return Page.model_validate(answer)


def of_person(
    database: Database, account_id: UUID, user_id: UUID | None, *, limit: int = PAGE, before: int | None = None
) -> Events:
    """A person's entries (None: System's). Raises `NotFound` unless they are one's own, or one is admin or finance."""
    answer = database.call(
        "user_cost_events", p_account_id=account_id, p_user_id=user_id, p_limit=limit, p_before=before
    )
    return Events.model_validate(answer)


def summary(database: Database, account_id: UUID, user_id: UUID | None) -> Summary:
    """What a person spent (None: System). Raises `NotFound` as `of_person` does."""
    return Summary.model_validate(database.call("user_cost_summary", p_account_id=account_id, p_user_id=user_id))
