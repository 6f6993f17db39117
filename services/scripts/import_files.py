"""The files of an older prompt builder: account folders with assistants, prompt versions and cost logs.

docs/scripts.md shows the layout. What cannot be used becomes a note; nothing here is fatal.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from services.errors import InvalidInput
from services.scripts import assistants
from services.scripts.import_lines import LONGEST_NAME, Said, Unfit, first, moment, number, parsed, snake, text, whole
from services.scripts.phases import HUNDREDTH, Assistant, PhaseModels
from services.speech.checks import without_controls

MOST_BYTES = 1_000_000  # of a file of settings or a text
LONGEST_LINE = 100_000  # bytes of a log's line
VERSION = re.compile(r"v(\d{1,6})\.(md|txt)", re.IGNORECASE)
STATUSES = ("draft", "final", "deployed", "archived")
FIELDS = {  # of an assistant, by the names that other programs give them
    "name": ("name", "title"),
    "instructions": ("instructions", "system_prompt", "prompt", "description"),
    "tone": ("tone", "style"),
    "language": ("language", "lang"),
    "banned_words": ("banned_words", "forbidden_words"),
    "target_score": ("target_score", "min_score"),
    "max_rounds": ("max_rounds", "max_iterations"),
    "max_characters": ("max_characters", "max_length"),
}


@dataclass(frozen=True)
class Note:
    """What was not taken, or not as it stood. `lines` is empty where it is about a whole file."""

    file: str
    lines: str
    reason: str
    lost: bool = True  # something is missing now; False: worth knowing

    def __str__(self) -> str:
        place = f"{self.file}, line {self.lines}" if self.lines else self.file
        return f"{place}: {self.reason}"


@dataclass
class Account:
    """A folder as it was read. `logs` are files, by their path in it, and the assistant in whose folder they lie."""

    name: str
    store: str | None = None  # which store its settings name
    title: str | None = None
    assistants: dict[str, dict[str, Any]] = field(default_factory=dict)  # as import_folder takes them, by external id
    versions: list[dict[str, Any]] = field(default_factory=list)
    version_files: list[str] = field(default_factory=list)  # by `place`
    logs: list[tuple[Path, str, str | None]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def own(self) -> str:
        """The only assistant, else one named like the folder."""
        return next(iter(self.assistants)) if len(self.assistants) == 1 else self.name

    def note(self, file: str, reason: str, *, lines: str = "", lost: bool = True) -> None:
        self.notes.append(Note(file, lines, reason, lost))

    def has(self, external_id: str) -> None:
        """See that there is an assistant of this id, if only by its name."""
        if external_id not in self.assistants:
            name = self.title if self.title and external_id == self.name else external_id
            self.assistants[external_id] = _values(external_id, Assistant(name=name[:LONGEST_NAME]))


def account_folders(root: Path) -> tuple[list[Path], list[Note]]:
    """The folders that are accounts. Raises `InvalidInput` where `root` is no folder that can be read."""
    found, notes = [], []
    try:
        entries = sorted(root.iterdir())
    except OSError as exc:
        raise InvalidInput(f"{root}: {os.strerror(exc.errno or 0)}.") from exc
    for entry in entries:
        if entry.name.startswith(("_", ".")):
            continue
        if not _inside(entry, root):
            notes.append(Note(entry.name, "", "It leads out of the folder and is not followed."))
        elif not entry.is_dir():
            notes.append(Note(entry.name, "", "It lies beside the account folders, and belongs to none."))
        elif not _shown(entry.name):
            notes.append(Note(ascii(entry.name), "", "Its name cannot be shown."))
        else:
            found.append(entry)
    return found, notes


def read_account(folder: Path, now: datetime) -> Account:
    account = Account(folder.name)
    files = dict(_files(folder, account))
    _read_settings(account, files)
    for name, path in files.items():
        owner = _owner(name)
        if owner and name.removeprefix(f"assistants/{owner}/") in ("assistant.json", "settings.json"):
            _read_assistant(account, owner, name, path)
        if path.suffix == ".jsonl":
            account.logs.append((path, name, owner))
    for owner in filter(None, map(_owner, files)):
        account.has(owner)
    for name in files:
        if (found := VERSION.fullmatch(Path(name).name)) is not None:
            _read_version(account, files, name, int(found[1]), now)
    _one_deployed(account)
    return account


def lines_of(path: Path) -> Iterator[bytes | None]:
    """Line by line; None for one that is too long to be read."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            if len(line) <= LONGEST_LINE:
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
            yield None


# Files ----------------------------------------------------------------------------------------------------------------


def _files(folder: Path, account: Account) -> Iterator[tuple[str, Path]]:
    """The account's ordinary files by their path within it, in order. Links are followed to files within it only."""

    def unreadable(error: OSError) -> None:
        account.note(_relative(Path(error.filename), folder), f"It cannot be read: {error.strerror}.")

    for place, folders, names in os.walk(folder, onerror=unreadable):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith(("_", ".")))
        for name in [name for name in folders if (here / name).is_symlink()]:
            account.note(_relative(here / name, folder), "It is a link to a folder and is not followed.")
        for name in sorted(names):
            path = here / name
            if name.startswith(("_", ".")):
                continue
            if not _shown(_relative(path, folder)):
                account.note(ascii(name), "Its name cannot be shown.")
            elif not _inside(path, folder):
                account.note(_relative(path, folder), "It leads out of the folder and is not followed.")
            elif path.is_file():
                yield _relative(path, folder), path


def _inside(path: Path, folder: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # it leads nowhere, or in a circle
        return False


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _shown(name: str) -> bool:
    return name.isprintable() and len(name) <= 1_000


def _owner(name: str) -> str | None:
    """The assistant whose folder a file lies in."""
    parts = name.split("/")
    return parts[1] if parts[0] == "assistants" and len(parts) > 2 else None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unfit(f"It has more than {MOST_BYTES:,} bytes.")
        found = path.read_bytes().decode("utf-8-sig")
    except OSError as exc:
        raise Unfit(f"It cannot be read: {os.strerror(exc.errno or 0)}.") from exc
    except UnicodeDecodeError as exc:
        raise Unfit("This is no UTF-8 text.") from exc
    if "\x00" in found:
        raise Unfit("This is no text file.")
    return found


def _json(path: Path) -> Said:
    found = snake(parsed(_text(path).encode()))
    return {**snake(found["settings"]), **found} if isinstance(found.get("settings"), dict) else found


# Settings -------------------------------------------------------------------------------------------------------------


def _read_settings(account: Account, files: dict[str, Path]) -> None:
    for name in ("account.json", "settings.json"):
        if name in files:
            try:
                said = _json(files[name])
                account.title = account.title or text(said, "name", "title", what="name")
                account.store = account.store or text(said, "store", "number", "code", "slug", what="store")
            except Unfit as exc:
                account.note(name, str(exc), lost=False)


def _read_assistant(account: Account, owner: str, name: str, path: Path) -> None:
    """What Clipdesk would refuse is left out: the assistant begins with Clipdesk's own value there."""
    try:
        said = _json(path)
    except Unfit as exc:
        account.note(name, f"{exc} The assistant begins with Clipdesk's own values.", lost=False)
        return
    given = {ours: _tidy(ours, first(said, *theirs)) for ours, theirs in FIELDS.items()}
    values = {"name": owner[:LONGEST_NAME], **{ours: value for ours, value in given.items() if value}}
    model = said.get("model")
    if isinstance(model, str):
        values["models"] = PhaseModels(prompt_generation=model, prompt_analysis=model, prompt_improvement=model)
    assistant = _accepted(account, name, values)
    template = first(said, "template", "injection_template")
    if template is not None and not (isinstance(template, str) and "{content}" in template and len(template) <= 20_000):
        account.note(name, "Its template does not hold {content}; versions go out as they stand.", lost=False)
        template = ""
    account.assistants[owner] = _values(owner, assistant, without_controls(str(template or "")))


def _tidy(field: str, value: Any) -> Any:
    """Texts without what no database keeps; the language as its tag is written."""
    if isinstance(value, list):
        return [_tidy("", one) for one in value]
    if not isinstance(value, str):
        return value
    tidy = without_controls(value).strip()
    if field == "language":
        head, mark, rest = tidy.partition("-")
        return f"{head.lower()}{mark}{rest}"
    return " ".join(tidy.split()) if field == "name" else tidy


def _accepted(account: Account, name: str, values: dict[str, Any]) -> Assistant:
    while True:
        try:
            return assistants.checked(values)
        except InvalidInput as exc:
            wrong = exc.field if exc.field in values else "models"
            account.note(name, f"{exc} Clipdesk's own value stands for it.", lost=False)
            values = {ours: value for ours, value in values.items() if ours != wrong}
            values.setdefault("name", "Imported")


def _values(external_id: str, assistant: Assistant, template: str = "") -> dict[str, Any]:
    return {**assistant.model_dump(mode="json"), "external_id": external_id, "template": template}


# Versions -------------------------------------------------------------------------------------------------------------


def _read_version(account: Account, files: dict[str, Path], name: str, version: int, now: datetime) -> None:
    path, base = files[name], name.rpartition(".")[0]
    try:
        content = _text(path)
        if not content.strip() or version == 0:
            raise Unfit("It is empty." if version else "Versions are numbered from 1.")
        told = _told(account, files.get(f"{base}.json"), f"{base}.json", path, content, now)
        injection = next((files[other] for end in ("txt", "md") if (other := f"{base}.injection.{end}") in files), None)
        if injection is not None:
            told |= {"injection_content": _text(injection), "injection_path": told["injection_path"] or injection.name}
    except Unfit as exc:
        account.note(name, str(exc))
        return
    owner = _owner(name) or account.own
    account.has(owner)
    place = len(account.version_files)
    account.version_files.append(name)
    account.versions.append({**told, "place": place, "assistant": owner, "number": version, "content": content})


def _told(account: Account, meta: Path | None, name: str, path: Path, content: str, now: datetime) -> dict[str, Any]:
    """What the version's own settings say, and what stands for it where they say nothing usable."""
    said = _json(meta) if meta else {}
    given = first(said, "sha256", "content_hash", "hash")
    if given is not None and str(given).removeprefix("sha256:").lower() != sha256(content.encode()).hexdigest():
        raise Unfit(f"The text is not the one whose SHA-256 {name} has.")
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    kept: dict[str, Any] = {
        "title": _title(content), "score": None, "iterations": 0, "status": "draft", "notes": "", "run": None,
        "briefing_hash": None, "injection_path": None, "created_at": None, "deployed_at": None,
    }  # fmt: skip
    kept |= dict(_usable(account, name, said, now))
    kept["created_at"] = kept["created_at"] or min(filter(None, (written, kept["deployed_at"], now)))
    return kept


def _usable(account: Account, name: str, said: Said, now: datetime) -> Iterator[tuple[str, Any]]:
    readers: dict[str, Callable[[], Any]] = {
        "title": lambda: text(said, "title", what="title"),
        "score": lambda: number(said, "score", "final_score", most=Decimal(100), what="score"),
        "iterations": lambda: whole(said, "iterations", "rounds", what="number of iterations"),
        "status": lambda: _status(said),
        "notes": lambda: text(said, "notes", "comment", what="notes", longest=5_000),
        "run": lambda: text(said, "run_id", "pipeline_id", "pipeline", "run", what="run"),
        "briefing_hash": lambda: text(said, "briefing_hash", what="hash of the briefing"),
        "injection_path": lambda: text(said, "injection_path", what="injection path"),
        "created_at": lambda: _when(said, now, "created_at", "timestamp", "date"),
        "deployed_at": lambda: _when(said, now, "deployed_at"),
    }
    for ours, reader in readers.items():
        try:
            value = reader()
        except Unfit as exc:
            account.note(name, f"{exc} It was left out.", lost=False)
            continue
        if value is not None:
            yield ours, min(value, 10_000) if ours == "iterations" else _rounded(value) if ours == "score" else value


def _rounded(score: Any) -> Decimal:
    return Decimal(score).quantize(HUNDREDTH, ROUND_HALF_UP)


def _status(said: Said) -> str | None:
    given = said.get("status")
    if given is not None and given not in STATUSES:
        raise Unfit("Its status is none of draft, final, deployed and archived.")
    return None if given is None else str(given)


def _when(said: Said, now: datetime, *names: str) -> datetime | None:
    return None if first(said, *names) is None else moment(said, *names, now=now)[0]


def _title(content: str) -> str:
    return next(line.strip("#* \t") for line in content.splitlines() if line.strip())[:80]


def _one_deployed(account: Account) -> None:
    """Of several that are deployed the latest one is."""
    for owner in account.assistants:
        live = [v for v in account.versions if v["assistant"] == owner and v["status"] == "deployed"]
        live.sort(key=lambda v: (v["deployed_at"] or v["created_at"], v["number"]))
        for version in live[:-1]:
            version["status"] = "final"
            reason = f"v{live[-1]['number']} was deployed later; this one is final."
            account.note(account.version_files[version["place"]], reason, lost=False)
