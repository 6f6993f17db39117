"""Take over an older prompt builder's files: `python -m services.scripts.importer --help`.

Each account folder becomes history of a store, whole or not at all: assistants, versions, and costs with their runs.
What is there already is left alone, so the same command again completes what was broken off. docs/scripts.md shows the
layout. Ends with 0 when everything is there, with 1 when something could not be taken.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

from services import logs
from services.config import settings
from services.database.connect import process_doors
from services.database.door import Database
from services.errors import AppError, InvalidInput
from services.jobs.checkpoints import reached
from services.scripts import import_lines
from services.scripts.import_files import LONGEST_LINE, Account, Note, account_folders, lines_of, read_account
from services.scripts.import_lines import Line, Unfit
from services.scripts.phases import PHASES
from services.scripts.target import Store, Target

BATCH = 2_000  # lines sent at once: half a megabyte
TOO_LONG = f"This line has more than {LONGEST_LINE:,} bytes."


@dataclass
class Taken:
    """What became of a folder; without `store` nothing did. `again`: what was there already."""

    folder: str
    store: str | None = None
    assistants: int = 0
    versions: int = 0
    runs: int = 0
    entries: int = 0
    usd: str = "0"
    versions_again: int = 0
    entries_again: int = 0
    notes: list[Note] = field(default_factory=list)

    def sentence(self) -> str:
        if self.store is None:
            return "nothing was taken"
        new = f"costs {self.entries:,} (${Decimal(self.usd):,}), runs {self.runs:,}, versions {self.versions:,}"
        there = f"costs {self.entries_again:,}, versions {self.versions_again:,}"
        return f"{new}, assistants {self.assistants:,}; there already: {there}"


def take_all(
    database: Database, target: Target, root: Path, places: dict[str, str], *, dry_run: bool
) -> Iterator[Taken]:
    """Each folder as it is taken; `places`: which store (number, short name or name) a folder is of.

    `database` is the worker's. Raises `InvalidInput` where `root` cannot be read or `places` names no folder.
    """
    now = datetime.now(UTC)
    folders, notes = account_folders(root)
    unknown = places.keys() - {folder.name for folder in folders}
    if unknown:
        raise InvalidInput(f"--map names {sorted(unknown)[0]}, which is no account folder in {root}.")
    if notes:
        yield Taken(root.name, notes=notes)
    for folder in folders:
        account = read_account(folder, now)
        store = store_of(target, account, places.get(folder.name))
        yield _Import(database, target, account, now).into(store, dry_run) if store else _homeless(account)


def store_of(target: Target, account: Account, named: str | None) -> Store | None:
    """The store that was named for the folder, that its settings name, or that is called as it is; one and no other."""
    wanted = [named] if named else [account.store, account.name, account.title]
    return next(filter(None, map(target.store, filter(None, wanted))), None)


def _homeless(account: Account) -> Taken:
    reason = "No store is called so. Name one: --map FOLDER=STORE, by its number; an archived one does not count."
    return Taken(account.name, notes=[Note(account.name, "", reason)])


class _Import:
    """One folder on its way in."""

    def __init__(self, database: Database, target: Target, account: Account, now: datetime) -> None:
        self._database = database
        self._target = target
        self._account = account
        self._now = now
        self._id = uuid4()
        self._seen: dict[UUID, int] = {}  # a line's place, by its entry's id
        self._at: list[tuple[str, int]] = []  # file and number of each line sent, by its place
        self._bad: list[tuple[str, int, str]] = []
        self._run = lru_cache(maxsize=1_000)(_run_id)

    def into(self, store: Store, dry_run: bool) -> Taken:
        taken = Taken(self._account.name, store.label)
        try:
            self._send(store)
            answer = self._database.call(
                "import_folder",
                p_import_id=self._id,
                p_profile_id=store.id,
                p_person_id=self._target.person_id,
                p_folder=self._folder(store),
                p_dry_run=dry_run,
            )
        except AppError as exc:
            return Taken(taken.folder, notes=[Note(taken.folder, "", f"Nothing of it was taken. {exc}")])
        reached("folder_taken")
        self._tell(taken, answer)
        return taken

    # Costs --------------------------------------------------------------------------------------------------

    def _send(self, store: Store) -> None:
        batch: list[dict[str, Any]] = []
        for path, file, owner in self._account.logs:
            for row in self._rows(path, file, owner, store):
                batch.append(row)
                if len(batch) == BATCH:
                    self._send_batch(batch)
                    batch = []
        if batch:
            self._send_batch(batch)

    def _send_batch(self, batch: Sequence[dict[str, Any]]) -> None:
        self._database.call(
            "send_import_lines", p_import_id=self._id, p_account_id=self._target.account_id, p_lines=batch
        )
        reached("import_lines_sent")

    def _rows(self, path: Path, file: str, owner: str | None, store: Store) -> Iterator[dict[str, Any]]:
        """A log's lines as they are sent, each call once; what is wrong with the others is noted."""
        naive: list[int] = []
        try:
            for number, raw in enumerate(lines_of(path), start=1):
                found = self._line(raw, file, number)
                if found is not None:
                    naive += [] if found[0].zoned else [number]
                    yield self._row(*found, owner, store)
        except OSError as exc:
            self._account.note(file, f"It cannot be read: {exc.strerror}.")
        if naive:
            reason = "Times without a zone were taken as UTC."
            self._account.note(file, reason, lines=_ranges(naive), lost=False)

    def _line(self, raw: bytes | None, file: str, number: int) -> tuple[Line, UUID] | None:
        if raw is not None and not raw.strip():
            return None
        try:
            if raw is None:
                raise Unfit(TOO_LONG)
            line = import_lines.read(raw, self._now)
        except Unfit as exc:
            self._bad.append((file, number, str(exc)))
            return None
        entry_id = line.id(self._target.account_id)
        twin = self._seen.setdefault(entry_id, len(self._at))
        if twin < len(self._at):
            self._account.note(
                file, f"The same as {_place(*self._at[twin])}; taken once.", lines=str(number), lost=False
            )
            return None
        self._at.append((file, number))
        return line, entry_id

    def _row(self, line: Line, entry_id: UUID, owner: str | None, store: Store) -> dict[str, Any]:
        run = line.run if line.operation in PHASES else None
        assistant = owner or line.assistant or self._account.own if run else None
        if assistant:
            self._account.has(assistant)
        details = {"reason": f"Imported from {self._account.name}/{_place(*self._at[-1])}"}
        return {
            "place": len(self._at) - 1,
            "id": entry_id,
            "run_id": run and self._run(store, run),
            "run_name": run,
            "assistant": assistant,
            "at": line.at,
            "seconds": line.seconds,
            "service": line.service,
            "operation": line.operation,
            "model": line.model,
            "category": line.category,
            "units": line.units,
            "cost_usd": line.usd,
            "details": {**details, "preview": line.preview} if line.preview else details,
        }

    # The rest -----------------------------------------------------------------------------------------------

    def _folder(self, store: Store) -> dict[str, Any]:
        versions = [
            {**{name: value for name, value in version.items() if name != "run"},
             "run_id": version["run"] and _run_id(store, version["run"])}
            for version in self._account.versions
        ]  # fmt: skip
        assistants = list(self._account.assistants.values())
        return {"name": self._account.name, "assistants": assistants, "versions": versions}

    def _tell(self, taken: Taken, answer: dict[str, Any]) -> None:
        account, again = self._account, len(answer["again"])
        for said, made in answer["assistants"].items():
            taken.assistants += made["new"]
            if said != made["external_id"]:
                reason = f"Another store's assistant has the external id {said}; this one is {made['external_id']}."
                account.note(f"assistants/{said}", reason, lost=False)
        for version in answer["versions"]:
            self._tell_version(taken, version)
        taken.entries, taken.usd, taken.runs = answer["entries"], answer["usd"], answer["runs"]
        taken.entries_again = again
        taken.notes = [*account.notes, *_grouped(self._bad)]

    def _tell_version(self, taken: Taken, version: dict[str, Any]) -> None:
        file, does = self._account.version_files[version["place"]], version["does"]
        taken.versions += does in ("new", "final")
        taken.versions_again += does == "same"
        number = next(v["number"] for v in self._account.versions if v["place"] == version["place"])
        if does == "taken":
            self._account.note(file, f"v{version['number']} is there with another text; it was left as it is.")
        elif does == "final":
            self._account.note(file, "Another version is deployed already; this one is final.", lost=False)
        elif does == "same" and version["number"] != number:
            self._account.note(file, f"The same text is there as v{version['number']}.", lost=False)


def _run_id(store: Store, name: str) -> UUID:
    return uuid5(store.id, f"imported run {name}")


def _place(file: str, number: int) -> str:
    return f"{file}, line {number:,}"


def _grouped(bad: Sequence[tuple[str, int, str]]) -> list[Note]:
    lines: dict[tuple[str, str], list[int]] = {}
    for file, number, reason in bad:
        lines.setdefault((file, reason), []).append(number)
    return [Note(file, _ranges(numbers), reason) for (file, reason), numbers in lines.items()]


def _ranges(numbers: Sequence[int]) -> str:
    """Such as "3, 7-9"; the first ten stretches."""
    stretches: list[list[int]] = []
    for number in numbers:
        if stretches and number == stretches[-1][1] + 1:
            stretches[-1][1] = number
        else:
            stretches.append([number, number])
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in stretches[:10])
    return f"{shown} … ({len(numbers):,} lines)" if len(stretches) > 10 else shown


# The command ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        places = dict(_mapping(pair) for pair in given.map)
        logs.configure("error")
        with process_doors(settings()) as opened:
            database = opened.worker()
            target = Target.find(database, given.company, given.person)
            done = _run(database, target, given, places)
    except AppError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was told is there; of the folder under way nothing is.\n")
        return 1
    return 1 if any(note.lost for taken in done for note in taken.notes) else 0


def _run(database: Database, target: Target, given: argparse.Namespace, places: dict[str, str]) -> list[Taken]:
    done: list[Taken] = []
    for taken in take_all(database, target, given.folder, places, dry_run=given.dry_run):
        done.append(taken)
        sys.stdout.write(f"{taken.folder} → {taken.store or 'no store'}: {taken.sentence()}\n")
        sys.stdout.writelines(f"    {'SKIPPED ' if note.lost else ''}{note}\n" for note in taken.notes)
        sys.stdout.flush()
    tried = "Nothing was changed: this was a dry run. " if given.dry_run else ""
    sys.stdout.write(f"{tried}Costs and texts are assigned to {target.person} at {target.company}.\n")
    if given.report:
        _write_report(given.report, target, done, given.dry_run)
    return done


def _write_report(path: Path, target: Target, done: Sequence[Taken], dry_run: bool) -> None:
    told = {
        "company": target.company,
        "person": target.person,
        "dry_run": dry_run,
        "folders": [asdict(taken) for taken in done],
    }
    try:
        path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", "utf-8")
    except OSError as exc:
        raise InvalidInput(f"The report cannot be written to {path}: {exc.strerror}.") from exc


def _mapping(pair: str) -> tuple[str, str]:
    folder, mark, store = pair.partition("=")
    if not (folder and mark and store):
        raise InvalidInput(f"Write --map FOLDER=STORE, not {pair}.")
    return folder, store


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.scripts.importer", description="Take over an older prompt builder's files."
    )
    parser.add_argument("folder", type=Path, help="the folder that holds the account folders")
    parser.add_argument("--company", required=True, help="the company's short name, such as harbour-bakery")
    parser.add_argument("--person", required=True, metavar="EMAIL", help="whose old costs and texts become")
    parser.add_argument("--map", action="append", default=[], metavar="FOLDER=STORE", help="a folder's store (number)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken, and change nothing")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write what was taken and skipped there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
