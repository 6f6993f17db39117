"""Who did what in a company, as its admins read it. Secrets never get into the log; the database sees to that."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from services.database.door import ROW_CAP, Database
from services.spreadsheets import inert

SYSTEM = UUID(int=0)  # who did what no person did
EXPORTED = 50_000  # rows a file holds at most
HIDDEN = "[hidden]"  # what stands in the log instead of a secret

# What was done, as a person would say it. An action without words is shown by its own name.
WORDS = {
    "account_chosen": "Chose whose account a store uses",
    "alert_added": "Added an alert",
    "alert_switched": "Switched an alert on or off",
    "automatic_suspension_changed": "Changed which stores suspend themselves",
    "assistant_archived": "Archived an assistant",
    "assistant_restored": "Brought back an assistant",
    "assistant_saved": "Saved an assistant",
    "bought_again": "Had a job buy again what was unclear",
    "channels_pinned": "Pinned channels to a store",
    "clip_deleted": "Deleted a clip",
    "clip_restored": "Brought back a clip",
    "company_changed": "Changed the company's settings",
    "company_created": "Created the company",
    "costs_rebuilt": "Had the cost sums made anew",
    "cost_corrected": "Corrected what was booked",
    "costs_corrected": "Corrected a model's entries of a month",
    "credential_removed": "Removed a credential",
    "credential_saved": "Saved a credential",
    "environment_adopted": "Took the environment's Postiz pair",
    "environment_withdrawn": "Uses the environment's Postiz pair no longer",
    "free_voices_over_quota_changed": "Changed whether free voices may go over the quota",
    "history_imported": "Imported a folder of another program",
    "imported": "Imported a file",
    "invitation_accepted": "Accepted an invitation",
    "invitation_renewed": "Invited a person again",
    "invitation_withdrawn": "Withdrew an invitation",
    "job_cancelled": "Cancelled a job",
    "job_retried": "Retried a job",
    "ledger_schedule_changed": "Changed the ledger's scheduled export",
    "password_changed": "Changed their password",
    "password_reset_requested": "Asked for a new password",
    "person_added": "Added a person",
    "person_changed": "Changed a person's role or stores",
    "person_deactivated": "Deactivated a person",
    "person_reactivated": "Reactivated a person",
    "person_removed": "Removed a person",
    "person_signed_out": "Signed a person out everywhere",
    "post_decided": "Decided what became of a post",
    "post_ordered": "Ordered a post",
    "post_taken_back": "Took a post back",
    "preview_days_changed": "Changed how long texts of entries are kept",
    "price_confirmed": "Confirmed the price of a voice model",
    "price_overrun": "A voice model billed more than it announced",
    "price_set": "Set the price of a voice model",
    "price_withdrawn": "Withdrew a coming price of a voice model",
    "project_deleted": "Deleted a project with its clips",
    "project_restored": "Brought back a project with its clips",
    "purchase_decided": "Decided whether a call was billed",
    "quota_changed": "Changed the monthly quota",
    "quota_requested": "Asked for more quota",
    "settings_copied": "Copied a store's settings",
    "sign_in_failed": "Failed to sign in",
    "signed_in": "Signed in",
    "signed_out": "Signed out",
    "signed_out_everywhere": "Signed out everywhere",
    "store_archived": "Archived a store",
    "store_changed": "Changed a store",
    "store_created": "Created a store",
    "store_restored": "Restored a store",
    "store_suspended": "Suspended a store",
    "stores_assigned": "Assigned stores to a person",
    "suspension_lifted": "Lifted a store's suspension",
    "vault_key_replaced": "Replaced the vault's key",
    "version_archived": "Archived a script's version",
    "version_deployed": "Deployed a script's version",
    "version_draft": "Made a script's version a draft again",
    "version_final": "Finalized a script's version",
    "voice_defaults_changed": "Changed a store's voice defaults",
    "webhook_removed": "Removed the webhook",
    "webhook_saved": "Saved the webhook",
}


class Change(BaseModel):
    """One field before and after, as text; None = there was none."""

    model_config = ConfigDict(frozen=True)

    field: str
    before: str | None
    after: str | None


class Entry(BaseModel):
    """One thing that was done. `store` None while `profile_id` is set: the store is gone."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    person_id: UUID | None  # None: System
    person_name: str
    address: str | None  # network address the person came from
    action: str
    subject: str | None
    reason: str | None
    before: Any
    after: Any
    profile_id: UUID | None
    store: str | None

    @property
    def key(self) -> tuple[datetime, int]:
        """Its place in the list: what `after` takes."""
        return self.at, self.id

    @property
    def what(self) -> str:
        said = words(self.action)
        return f"{said}: {self.subject}" if self.subject else said

    @property
    def changes(self) -> list[Change]:
        """What differs, field by field; a secret's field is named, its values are hidden."""
        before, after = _flat(self.before), _flat(self.after)
        fields = dict.fromkeys((*before, *after))
        return [
            Change(field=field, before=before.get(field), after=after.get(field))
            for field in fields
            if before.get(field) != after.get(field) or HIDDEN in (before.get(field), after.get(field))
        ]


class Wanted(BaseModel):
    """Which entries; None = any. Days are whole ones of `timezone`, the last included."""

    model_config = ConfigDict(frozen=True)

    timezone: str
    person_id: UUID | None = None  # or SYSTEM
    action: str | None = None
    profile_id: UUID | None = None
    first_day: date | None = None
    last_day: date | None = None
    text: str = ""  # words, found by their beginnings in any order

    def as_parameters(self) -> dict[str, Any]:
        next_day = self.last_day + timedelta(days=1) if self.last_day and self.last_day < date.max else None
        return {
            "p_person_id": self.person_id,
            "p_action": self.action,
            "p_profile_id": self.profile_id,
            "p_from": self._begin(self.first_day),
            "p_until": self._begin(next_day),
            "p_text": self.text,
        }

    def _begin(self, day: date | None) -> datetime | None:
        return datetime.combine(day, time(), ZoneInfo(self.timezone)) if day else None


class Choices(BaseModel):
    """What the log can be filtered by. `people` are names by id, System under `SYSTEM`."""

    model_config = ConfigDict(frozen=True)

    actions: list[str]
    people: dict[UUID, str]


def words(action: str) -> str:
    return WORDS.get(action, action)


def page(
    database: Database, account_id: UUID, wanted: Wanted, *, limit: int = 50, after: tuple[datetime, int] | None = None
) -> list[Entry]:
    """Entries, newest first; `after` is the last seen one's `key`. Raises `NotAllowed` (no admin), `NotFound`."""
    at, id_ = after or (None, None)
    rows = database.call(
        "audit_page", p_account_id=account_id, **wanted.as_parameters(), p_before_at=at, p_before_id=id_, p_limit=limit
    )
    return [Entry.model_validate(row) for row in rows]


def choices(database: Database, account_id: UUID) -> Choices:
    """Raises `NotAllowed` for everybody but the company's admins, `NotFound` for strangers."""
    return Choices.model_validate(database.call("audit_choices", p_account_id=account_id))


# Export -----------------------------------------------------------------------------------------------------------

COLUMNS = ("Entry", "Time (UTC)", "Local time", "Time zone", "Person", "Person's id", "Network address", "Action",
           "What", "Store", "Reason", "Before", "After")  # fmt: skip


def csv_file(database: Database, account_id: UUID, wanted: Wanted, *, most: int = EXPORTED) -> bytes:
    """The entries as CSV for spreadsheets (UTF-8 with its mark), newest first, read a thousand at a time.

    A last line says so where there are more than `most`. Raises as `page`.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    last: Entry | None = None
    for entry in _all(database, account_id, wanted, most):
        last = entry
        writer.writerow(map(inert, _cells(entry, wanted.timezone)))
    if last and page(database, account_id, wanted, limit=1, after=last.key):
        writer.writerow([f"Cut after {most:,} entries. Choose days to export the older ones."])
    return file.getvalue().encode("utf-8-sig")


def _all(database: Database, account_id: UUID, wanted: Wanted, most: int) -> Iterator[Entry]:
    after: tuple[datetime, int] | None = None
    while most > 0:
        size = min(most, ROW_CAP)
        entries = page(database, account_id, wanted, limit=size, after=after)
        yield from entries
        if len(entries) < size:
            return
        after, most = entries[-1].key, most - size


def _cells(entry: Entry, timezone: str) -> tuple[str, ...]:
    return (
        str(entry.id),
        entry.at.astimezone(UTC).isoformat(),
        entry.at.astimezone(ZoneInfo(timezone)).isoformat(),
        timezone,
        entry.person_name,
        str(entry.person_id or ""),
        entry.address or "",
        entry.action,
        entry.what,
        entry.store or str(entry.profile_id or ""),
        entry.reason or "",
        _json(entry.before),
        _json(entry.after),
    )


def _json(value: Any) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _flat(value: Any) -> dict[str, str]:
    """The fields of a change by name, those within others as "outer.inner". A lone value is called "value"."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return {"value": _text(value)}
    flat: dict[str, str] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            flat |= {f"{name}.{deeper}": text for deeper, text in _flat(inner).items()}
        elif inner is not None:
            flat[name] = _text(inner)
    return flat


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
