"""What admins set up of their stores and company: names, numbers and places, suspending, archiving, copied settings."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services import identity
from services.database.door import ROW_CAP, Database, Filter, Row
from services.errors import InvalidInput

Part = Literal["voice", "free", "words"]
PARTS: dict[Part, str] = {
    "voice": "Voice defaults",
    "free": "Free voices over quota",
    "words": "Dictionary",
}


class StoreRecord(Row):
    """A store as its admins keep it, archived ones too. `version` counts changes of the identity section."""

    table: ClassVar[str] = "profiles"

    id: UUID
    account_id: UUID
    code: str
    name: str
    city: str | None
    phone: str | None
    cost_centre: str | None
    timezone: str
    monthly_quota_usd: Decimal  # 0 = no limit
    suspended_at: datetime | None
    suspended_reason: str | None
    archived_at: datetime | None
    version: int

    @property
    def label(self) -> str:
        return f"{self.code} · {self.name}"


class Identity(BaseModel):
    """What the store form asks for; empty optional fields are none."""

    model_config = ConfigDict(frozen=True)

    code: str
    name: str
    city: str = ""
    phone: str = ""
    cost_centre: str = ""
    timezone: str


class Hold(BaseModel):
    """Money set aside for work under way, in US dollars."""

    model_config = ConfigDict(frozen=True)

    job_id: UUID | None
    service: str
    usd: Decimal
    state: str
    since: datetime


class Work(BaseModel):
    """What is under way in a store: jobs by state, open holds, the oldest 20 of them, and their sum in US dollars."""

    model_config = ConfigDict(frozen=True)

    waiting: int
    running: int
    open: int
    held: Decimal
    holds: list[Hold]


class Copied(BaseModel):
    """What copying would change in one store; words are the dictionary's."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    code: str
    name: str
    voice: bool
    free: bool
    words_new: int
    words_changed: int

    @property
    def changes(self) -> bool:
        return self.voice or self.free or bool(self.words_new or self.words_changed)


class CopyPreview(BaseModel):
    """`mark` stands for what the preview was made of: copying is refused once that has changed."""

    model_config = ConfigDict(frozen=True)

    stores: list[Copied]
    mark: str


class Company(Row):
    table: ClassVar[str] = "accounts"

    id: UUID
    name: str
    timezone: str
    monthly_quota_usd: Decimal  # 0 = no limit
    new_store_quota_usd: Decimal  # what a new store starts with; 0 = no limit
    version: int


class QuotaChange(Row):
    """Who set which limit, US dollars a month; 0 = no limit. `profile_id` None: the company's."""

    table: ClassVar[str] = "quota_changes"

    id: UUID
    profile_id: UUID | None
    before_usd: Decimal
    after_usd: Decimal
    reason: str
    changed_by: UUID
    changed_at: datetime


class Grant(Row):
    """What a limit is raised by for a while, in US dollars. `profile_id` None: the company's."""

    table: ClassVar[str] = "quota_grants"

    id: UUID
    profile_id: UUID | None
    amount_usd: Decimal
    valid_from: datetime
    valid_until: datetime
    reason: str
    granted_by: UUID


# Stores ---------------------------------------------------------------------------------------------------------------


def of_company(database: Database, account_id: UUID) -> list[StoreRecord]:
    """All stores by number, archived ones too."""
    found: list[StoreRecord] = []
    while len(found) % ROW_CAP == 0:
        after = [found[-1].code] if found else None
        rows = database.select(StoreRecord, [("account_id", "eq", account_id)], order=[("code", "asc")], after=after)
        if not rows:
            break
        found += rows
    return found


def create(database: Database, account_id: UUID, store_id: UUID, store: Identity) -> None:
    """A new store with an id made before. Raises `InvalidInput` naming the field, `NotAllowed`."""
    _check_timezone(store.timezone)
    database.call("create_store", p_account_id=account_id, p_store={"id": store_id, **store.model_dump()})


def save(database: Database, store_id: UUID, store: Identity, version: int) -> int:
    """Change a store's identity; returns the section's version afterwards.

    Raises `InvalidInput` naming the field, `Conflict` where somebody saved another `version` meanwhile.
    """
    _check_timezone(store.timezone)
    return int(database.call("save_store", p_profile_id=store_id, p_store=store.model_dump(), p_version=version))


def suspend(database: Database, store_id: UUID, reason: str) -> None:
    """Nothing new is held for the store from now on. Raises `InvalidInput` (reason), `Conflict`."""
    database.call("suspend_store", p_profile_id=store_id, p_suspended=True, p_reason=reason)


def lift_suspension(database: Database, store_id: UUID, reason: str) -> None:
    """Raises `InvalidInput` (reason), `Conflict` where it is not suspended any more."""
    database.call("suspend_store", p_profile_id=store_id, p_suspended=False, p_reason=reason)


def work(database: Database, store_id: UUID) -> Work:
    """What archiving has to wait for."""
    return Work.model_validate(database.call("store_work", p_profile_id=store_id))


def archive(database: Database, store_id: UUID, reason: str) -> None:
    """Put a store away with everything it has. Raises `Conflict` naming the holds that are open."""
    database.call("archive_store", p_profile_id=store_id, p_reason=reason)


def restore(database: Database, store_id: UUID, reason: str) -> None:
    """Bring an archived store back as it was."""
    database.call("restore_store", p_profile_id=store_id, p_reason=reason)


# Copying settings -----------------------------------------------------------------------------------------------------


def preview_copy(database: Database, store_id: UUID, targets: Sequence[UUID], parts: Sequence[Part]) -> CopyPreview:
    """What copying a store's settings would change. Raises `InvalidInput` (parts, targets)."""
    values = {"p_profile_id": store_id, "p_target_ids": list(targets), "p_parts": list(parts)}
    return CopyPreview.model_validate(database.call("copy_preview", **values))


def copy_settings(
    database: Database, store_id: UUID, targets: Sequence[UUID], parts: Sequence[Part], reason: str, mark: str
) -> int:
    """Copy as previewed (`mark`); returns how many stores changed. Keys and accounts are never copied.

    Raises `InvalidInput` (reason, targets), `Conflict` where a store has changed since the preview.
    """
    values = {"p_profile_id": store_id, "p_target_ids": list(targets), "p_parts": list(parts)}
    return int(database.call("copy_settings", **values, p_reason=reason, p_mark=mark))


# The company and its limits -------------------------------------------------------------------------------------------


def company(database: Database, account_id: UUID) -> Company:
    (found,) = database.select(Company, [("id", "eq", account_id)])
    return found


def save_company(
    database: Database,
    account_id: UUID,
    *,
    name: str,
    timezone: str,
    new_store_quota: Decimal,
    version: int,
    reason: str = "",
) -> int:
    """`new_store_quota` in US dollars a month, 0 = no limit; another one than before needs a `reason` (1 to 500
    characters). Returns the section's version afterwards.

    Raises `InvalidInput` naming the field, `Conflict` where somebody saved another `version` meanwhile.
    """
    _check_timezone(timezone)
    values = {"name": name, "timezone": timezone, "new_store_quota_usd": new_store_quota}
    return int(
        database.call("save_company", p_account_id=account_id, p_company=values, p_version=version, p_reason=reason)
    )


def quota_history(database: Database, account_id: UUID, profile_id: UUID | None, limit: int = 50) -> list[QuotaChange]:
    """Changes of a store's limit, or (None) of the company's, newest first."""
    return database.select(QuotaChange, _scope(account_id, profile_id), order=[("changed_at", "desc")], limit=limit)


def grants(database: Database, account_id: UUID, profile_id: UUID | None) -> list[Grant]:
    """What raises a store's limit, or (None) the company's, for a while; newest first."""
    return database.select(Grant, _scope(account_id, profile_id), order=[("valid_from", "desc")], limit=50)


def _scope(account_id: UUID, profile_id: UUID | None) -> list[Filter]:
    store: Filter = ("profile_id", "is", None) if profile_id is None else ("profile_id", "eq", profile_id)
    return [("account_id", "eq", account_id), store]


def _check_timezone(timezone: str) -> None:
    """Names that this program can reckon with; the database knows more."""
    if timezone not in identity.timezones():
        raise InvalidInput("Choose a time zone such as Europe/London.", "timezone")
