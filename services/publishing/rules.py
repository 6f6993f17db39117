"""What the vendor says of a store's channels: how long a text may be, which settings it takes, what can be chosen."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services import credentials
from services.database.door import Database, Row
from services.errors import AppError
from services.jobs import queue
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.publishing import connect
from services.publishing.vendor import Vendor

log = logging.getLogger(__name__)

# What a person picks from a list that only the channel knows: the setting, and the tool that lists it.
CHOICES: Mapping[str, Mapping[str, str]] = {"pinterest": {"board": "boards"}}


class LiveRules(BaseModel):
    """`max_length` in characters; `settings` is a JSON schema; `choices` by setting: [(value, label)]."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rules: str = ""
    max_length: int | None = None
    settings: dict[str, Any] | None = None
    choices: Mapping[str, list[tuple[str, str]]] = Field(default_factory=dict)


class _Channel(Row):
    table: ClassVar[str] = "profile_channels"

    channel: str
    rules: dict[str, Any] | None
    rules_at: datetime | None


def of_store(database: Database, profile_id: UUID) -> dict[str, LiveRules]:
    """By channel; one that the vendor has not been asked about is left out."""
    rows = database.select(_Channel, [("profile_id", "eq", profile_id)])
    return {row.channel: LiveRules.model_validate(row.rules) for row in rows if row.rules}


def request(database: Database, profile_id: UUID) -> UUID:
    """Have the worker ask the vendor again; returns the job. Raises `NotAllowed`, `NotFound`."""
    job_id = UUID(str(database.call("request_channel_rules", p_profile_id=profile_id)))
    queue.wake()
    return job_id


# For the worker ---------------------------------------------------------------------------------------------------


def ask(context: Context) -> Outcome:
    """Ask for the rules of the job's store's channels, or of all stores'. A channel that does not answer is told."""
    asked, silent = 0, []
    for row in context.database.call("channels_to_ask", p_profile_id=context.job.profile_id):
        context.check()
        try:
            found = _ask(context, row)
        except AppError as exc:
            log.warning("%s no rules of %s: %s", tag(row["profile_id"]), row["identifier"], exc)
            silent.append(f"{row['identifier']}: {exc}")
            continue
        context.database.call(
            "save_channel_rules",
            p_credential_id=row["credential_id"],
            p_channel=row["channel"],
            p_rules=found.model_dump(mode="json"),
        )
        asked += 1
    return {"asked": asked, "silent": silent}


def _ask(context: Context, row: dict[str, Any]) -> LiveRules:
    opened = credentials.for_call(
        context.database, context.options, UUID(str(row["account_id"])), UUID(str(row["profile_id"])), "postiz"
    )
    if opened is None or str(opened.credential_id) != str(row["credential_id"]):
        raise AppError("The store does not use this account any more.")
    vendor = connect.vendor(context.database, context.options, opened)
    said = vendor.rules(row["channel"])
    choices = {
        setting: _listed(vendor, row["channel"], tool) for setting, tool in CHOICES.get(row["identifier"], {}).items()
    }
    return LiveRules(rules=said.rules, max_length=said.max_length, settings=said.settings, choices=choices)


def _listed(vendor: Vendor, channel: str, tool: str) -> list[tuple[str, str]]:
    """What a tool lists, as [(id, name)]; of another shape it lists nothing."""
    answer = vendor.tool(channel, tool, {})
    items = answer if isinstance(answer, list) else []
    return [
        (str(item["id"]), str(item.get("name") or item["id"]))
        for item in items
        if isinstance(item, dict) and "id" in item
    ]
