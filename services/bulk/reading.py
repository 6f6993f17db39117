"""From an uploaded file to rows: whatever encoding and separator a spreadsheet wrote, each cell checked by itself."""

import codecs
import csv
import io
from dataclasses import dataclass
from typing import Any

from services.bulk import tables
from services.bulk.tables import TABLES, Column, Kind, Unfit
from services.bulk.writing import FORMULA_STARTS, MARK
from services.errors import InvalidInput

MOST_BYTES = 1_000_000
MOST_ROWS = 5_000
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SAVE_AS_CSV = 'Save it as "CSV UTF-8" and upload that.'


@dataclass(frozen=True)
class Problem:
    """A cell that cannot be taken; `row` is its line in the spreadsheet, headings being line 1."""

    kind: Kind
    row: int
    column: str
    message: str


@dataclass(frozen=True)
class Sheet:
    """A file that was read: rows as the database takes them, with `row`, and the cells that cannot be taken."""

    name: str
    kind: Kind
    encoding: str
    separator: str
    rows: list[dict[str, Any]]
    cells: dict[int, dict[str, str]]  # as they stand in the file, by line
    problems: list[Problem]


def read(name: str, content: bytes) -> Sheet:
    """Raises `InvalidInput` (field `files`) for a file that is no table of ours."""
    text, encoding = decode(name, content)
    separator, lines = split(name, text)
    kind, columns = _headings(name, lines[0])
    body = [(line, cells) for line, cells in enumerate(lines[1:], start=2) if any(cell.strip() for cell in cells)]
    if not body:
        raise _unusable(name, "has no rows below its headings.")
    if len(body) > MOST_ROWS:
        raise _unusable(name, f"has {len(body):,} rows; {MOST_ROWS:,} are taken at once.")
    sheet = Sheet(name, kind, encoding, SEPARATORS[separator], [], {}, [])
    for line, cells in body:
        _read_row(sheet, columns, line, cells)
    return sheet


def _unusable(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"{name} {why}", "files")


# Text -----------------------------------------------------------------------------------------------------------------


def decode(name: str, content: bytes) -> tuple[str, str]:
    """The file's text and its encoding's name."""
    if len(content) > MOST_BYTES:
        raise _unusable(name, f"has {len(content):,} bytes; {MOST_BYTES:,} are taken at once.")
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise _unusable(name, f"is a workbook, not a CSV file. {SAVE_AS_CSV}")
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as exc:
        raise _unusable(name, f"is damaged: it is no {encoding.upper()} text. {SAVE_AS_CSV}") from exc
    if "\x00" in text:
        raise _unusable(name, f"is not a text file. {SAVE_AS_CSV}")
    return text.removeprefix("\ufeff"), {"cp1252": "Windows-1252"}.get(encoding, encoding.upper())


def _encoding(content: bytes) -> str:
    if content.startswith(codecs.BOM_UTF8):
        return "utf-8"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = content[:200].count(0)  # every other byte of unmarked UTF-16, for Latin letters
    if zeros > len(content[:200]) // 4:
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


# Lines ----------------------------------------------------------------------------------------------------------------


def split(name: str, text: str) -> tuple[str, list[list[str]]]:
    """The separator and all lines as cells, the headings first."""
    if text[:4].lower() == "sep=":  # Excel's own hint; the file's lines begin below
        text = text.partition("\n")[2]
    if not text.strip():
        raise _unusable(name, "is empty.")
    first = text.lstrip("\r\n").partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        lines = list(csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator, strict=True))
    except csv.Error as exc:
        raise _unusable(name, f"cannot be split into cells ({exc}). A quotation mark may not be closed.") from exc
    return separator, lines


def _headings(name: str, cells: list[str]) -> tuple[Kind, list[Column | None]]:
    """The table and the column of each place; trailing places without a heading are None."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    kind = tables.kind_of(cells)
    if kind is None:
        raise _unusable(name, f"does not say what it holds. {_expected()}")
    columns = [tables.column_of(kind, cell) for cell in cells]
    for cell, column in zip(cells, columns, strict=True):
        if column is None:
            known = ", ".join(known.name for known in TABLES[kind])
            raise _unusable(name, f'has a column "{cell.strip()[:40]}" that {kind} do not have. They have: {known}.')
        if columns.count(column) > 1:
            raise _unusable(name, f"has the column {column.name} more than once.")
    return kind, columns


def _expected() -> str:
    lists = "; ".join(f"{kind}: {', '.join(c.name for c in columns if c.needed)}" for kind, columns in TABLES.items())
    return f"Its first line must name its columns, at least, for {lists}."


# Cells ----------------------------------------------------------------------------------------------------------------


def _read_row(sheet: Sheet, columns: list[Column | None], line: int, cells: list[str]) -> None:
    row: dict[str, Any] = {"row": line}
    sheet.cells[line] = {column.name: cell for column, cell in zip(columns, cells, strict=False) if column}
    if any(cell.strip() for cell in cells[len(columns) :]):
        sheet.problems.append(Problem(sheet.kind, line, "", "This line has more cells than there are headings."))
    for column in filter(None, columns):
        try:
            value = _cell(column, sheet.cells[line].get(column.name, ""))
        except Unfit as exc:
            sheet.problems.append(Problem(sheet.kind, line, column.name, str(exc)))
        else:
            row |= {column.name: value} if value is not None else {}
    sheet.rows.append(row)


def _cell(column: Column, cell: str) -> str | list[str] | None:
    """What a cell holds; None where it is empty and may be."""
    if not cell.strip():
        if column.needed:
            raise Unfit("This cell is empty.")
        return None
    if cell.startswith(MARK) and cell[1:].startswith((*FORMULA_STARTS, MARK)):
        cell = cell[1:]
    elif cell.startswith(FORMULA_STARTS) and column.read is not tables.phone:
        raise Unfit(f"A spreadsheet would run this as a formula. Put {MARK} before it if it is meant as text.")
    if not all(sign.isprintable() or sign.isspace() for sign in cell):
        raise Unfit("This cell holds a character that cannot be shown.")
    return column.read(cell)
