"""Versions of an assistant's texts: which one counts, how two differ, and their files."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import ClassVar, Literal, NamedTuple
from uuid import UUID

from services.database.door import Database, Row
from services.errors import NotFound

Status = Literal["draft", "final", "deployed", "archived"]
WORDS = re.compile(r"\S+\s*|\s+")
MANY = 2_000  # lines or words; of more the frequent ones are not looked up: 20,000 equal ones would take minutes
OFFERED = 5  # deployed versions, as voice_desk has them


class Listed(Row):
    """A version without its texts, which may have 40,000 characters each. `cost_usd`: of its run until then."""

    table: ClassVar[str] = "prompt_versions"

    id: UUID
    account_id: UUID
    profile_id: UUID
    assistant_id: UUID
    run_id: UUID | None  # None: imported
    number: int
    title: str
    content_hash: str
    iterations: int
    final_score: Decimal | None
    cost_usd: Decimal
    status: Status
    deployed_at: datetime | None
    notes: str
    created_by: UUID | None
    created_at: datetime

    @property
    def name(self) -> str:
        return f"v{self.number}"


class Version(Listed):
    """A finished text. `content` is spoken or posted as it stands."""

    content: str
    injection_content: str
    injection_path: str


class Deployed(Row):
    """A version that Voice and Publish offer first."""

    table: ClassVar[str] = "prompt_versions"

    id: UUID
    profile_id: UUID
    number: int
    title: str
    content: str
    status: Status
    deployed_at: datetime


class Difference(NamedTuple):
    """A stretch of lines of two texts; equal ones stand in both."""

    kind: Literal["equal", "changed", "removed", "added"]
    before: list[str]
    after: list[str]


def of_assistant(
    database: Database, assistant_id: UUID, *, limit: int = 100, after: int | None = None
) -> list[Version]:
    """The latest first; `after` is the last seen one's number."""
    key = None if after is None else (after,)
    return database.select(
        Version, [("assistant_id", "eq", assistant_id)], order=[("number", "desc")], limit=limit, after=key
    )


def listed(database: Database, assistant_id: UUID, *, limit: int = 100, after: int | None = None) -> list[Listed]:
    """As `of_assistant`, without the texts."""
    key = None if after is None else (after,)
    return database.select(
        Listed, [("assistant_id", "eq", assistant_id)], order=[("number", "desc")], limit=limit, after=key
    )


def get(database: Database, version_id: UUID) -> Version:
    """Raises `NotFound`, also for one of somebody else's store."""
    found = database.select(Version, [("id", "eq", version_id)])
    if not found:
        raise NotFound("Version not found.")
    return found[0]


def deployed(database: Database, profile_id: UUID) -> list[Deployed]:
    """The latest deployed versions of a store's assistants, one each: what Voice and Publish offer."""
    return database.select(
        Deployed,
        [("profile_id", "eq", profile_id), ("status", "eq", "deployed")],
        order=[("deployed_at", "desc")],
        limit=OFFERED,
    )


def set_status(database: Database, version_id: UUID, status: Status) -> None:
    """Deploying takes the place of the deployed one, which is final again.

    Raises `Conflict`, `NotAllowed`, `NotFound`.
    """
    database.call("set_version_status", p_version_id=version_id, p_status=status)


def set_notes(database: Database, version_id: UUID, notes: str) -> None:
    """Raises `InvalidInput` (field `notes`), `NotAllowed`, `NotFound`."""
    database.call("set_version_notes", p_version_id=version_id, p_notes=notes)


def difference(before: str, after: str) -> list[Difference]:
    """Line by line, for showing side by side."""
    old, new = before.splitlines(), after.splitlines()
    kinds: dict[str, Literal["equal", "changed", "removed", "added"]] = {
        "equal": "equal", "replace": "changed", "delete": "removed", "insert": "added",
    }  # fmt: skip
    matches = _matches(old, new)
    return [Difference(kinds[tag], old[a:b], new[c:d]) for tag, a, b, c, d in matches]


def _matches(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    return list(SequenceMatcher(None, old, new, autojunk=len(new) > MANY).get_opcodes())


class Piece(NamedTuple):
    text: str
    differs: bool


class Line(NamedTuple):
    """A line of two texts; empty where one has none like it."""

    before: list[Piece]
    after: list[Piece]


def side_by_side(before: str, after: str) -> Iterator[Line]:
    """Line by line; of changed lines the words that differ."""
    for stretch in difference(before, after):
        for old, new in zip_longest(stretch.before, stretch.after):
            yield _line(old, new)


def _line(old: str | None, new: str | None) -> Line:
    if old is None or new is None:
        return Line(_whole(old), _whole(new))
    words, others = WORDS.findall(old), WORDS.findall(new)
    matches = _matches(words, others)
    return Line(
        [Piece("".join(words[a:b]), tag != "equal") for tag, a, b, _, _ in matches if a < b],
        [Piece("".join(others[c:d]), tag != "equal") for tag, _, _, c, d in matches if c < d],
    )


def _whole(text: str | None) -> list[Piece]:
    return [Piece(text, True)] if text else []


def cost_a_point(before: Listed, after: Listed) -> Decimal | None:
    """US dollars that each point more cost; None where no point was gained or a score is missing."""
    if before.final_score is None or after.final_score is None or after.final_score <= before.final_score:
        return None
    return after.cost_usd / (after.final_score - before.final_score)
