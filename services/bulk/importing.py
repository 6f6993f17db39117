"""Several files taken as one: previewed against what there is, then taken all or not at all."""

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, SecretStr

from services.accounts.local import hash_of, new_token
from services.bulk.reading import MOST_ROWS, Problem, Sheet, read
from services.bulk.tables import Kind
from services.database.door import Database
from services.errors import AppError, InvalidInput, TimedOut
from services.jobs import queue
from services.people import Link

Does = Literal["new", "changed", "same", "invited"]


class Effect(BaseModel):
    """What taking a row would do; `before` and `after` hold what differs."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    row: int
    does: Does
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Preview(BaseModel):
    """`wrong` counts all problems, of which at most 500 are told; without effects while there is one."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    sheets: list[Sheet]
    problems: list[Problem]
    wrong: int
    effects: list[Effect]

    @property
    def changes(self) -> int:
        return sum(effect.does in ("new", "changed") for effect in self.effects)


class Added(BaseModel):
    """A new person: with a link to hand over, or (None) a mail on its way or a sign-in of their own already."""

    model_config = ConfigDict(frozen=True)

    name: str
    email: str
    role: str
    mailed: bool
    link: Link | None


class Imported(BaseModel):
    """How many rows were new or changed, and the new people."""

    model_config = ConfigDict(frozen=True)

    stores: int
    people: int
    assignments: int
    quotas: int
    added: list[Added]


def open_files(files: Sequence[tuple[str, bytes]]) -> tuple[list[Sheet], list[AppError]]:
    """The files by name and content, and why some are no tables. Two of a kind, or too much in all, is an error too."""
    sheets: list[Sheet] = []
    errors: list[AppError] = []
    for name, content in files:
        try:
            sheets.append(_one_of_its_kind(read(name, content), sheets))
        except InvalidInput as exc:
            errors.append(exc)
    if (rows := sum(len(sheet.rows) for sheet in sheets)) > MOST_ROWS:
        errors.append(InvalidInput(f"The files have {rows:,} rows; {MOST_ROWS:,} are taken at once.", "files"))
    return sheets, errors


def _one_of_its_kind(sheet: Sheet, others: Sequence[Sheet]) -> Sheet:
    twin = next((other.name for other in others if other.kind == sheet.kind), None)
    if twin:
        raise InvalidInput(f"{sheet.name} and {twin} both hold {sheet.kind}. Put them into one file.", "files")
    return sheet


def preview(database: Database, account_id: UUID, sheets: Sequence[Sheet]) -> Preview:
    """What taking the files would do, or every cell that keeps them from being taken. Changes nothing."""
    own = [problem for sheet in sheets for problem in sheet.problems]
    answer = database.call("check_import", p_account_id=account_id, p_rows=_rows(sheets))
    told = {(problem.kind, problem.row, problem.column) for problem in own}
    others = [
        found
        for found in (Problem(**problem) for problem in answer["problems"])
        if (found.kind, found.row, found.column) not in told
    ]
    problems = sorted([*own, *others], key=lambda p: (p.kind, p.row, p.column))
    wrong = len(own) + int(answer["wrong"]) - (len(answer["problems"]) - len(others))
    effects = [Effect.model_validate(effect) for effect in answer["effects"]] if not problems else []
    return Preview(sheets=list(sheets), problems=problems, wrong=wrong, effects=effects)


def take(database: Database, account_id: UUID, sheets: Sequence[Sheet], reason: str) -> Imported:
    """Take all rows or none. The same files again change nothing.

    Raises `InvalidInput` naming the first wrong cell, or beside `reason`; `TimedOut` where it is more than one call can
    take.
    """
    problem = next((problem for sheet in sheets for problem in sheet.problems), None)
    if problem:
        raise InvalidInput(f"Row {problem.row} of {problem.kind}: {problem.message} Nothing was changed.", "files")
    rows = _rows(sheets)
    tokens = {row["email"].lower(): new_token() for row in rows.get("people", [])}
    rows["people"] = [{**row, "token_hash": hash_of(tokens[row["email"].lower()])} for row in rows.get("people", [])]
    try:
        answer = database.call("import_rows", p_account_id=account_id, p_rows=rows, p_reason=reason)
    except TimedOut as exc:
        raise TimedOut("This was too much for one go, and nothing was changed. Split the files.") from exc
    if any(person.get("job_id") for person in answer["added"]):
        queue.wake()
    added = [_added(person, tokens[person["email"]]) for person in answer.pop("added")]
    return Imported(**answer, added=added)


def _added(person: dict[str, Any], token: str) -> Added:
    link = None
    if person["link"]:
        path = SecretStr(f"/welcome?token_hash={token}&type=invite")
        link = Link(path=path, kind="invite", expires_at=person["expires_at"])
    values = {name: person[name] for name in ("name", "email", "role")}
    return Added(**values, mailed=bool(person.get("job_id")), link=link)


def _rows(sheets: Sequence[Sheet]) -> dict[str, list[dict[str, Any]]]:
    return {sheet.kind: sheet.rows for sheet in sheets}
