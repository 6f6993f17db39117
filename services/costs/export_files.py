"""Tables as files of any length: memory holds a line at a time, the disk the rest."""

import csv
import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from services.media.folder import BLOCK
from services.spreadsheets import inert

Cell = str | int | Decimal | None  # a Decimal is an amount of six places
Line = Sequence[Cell]
About = Callable[[], Sequence[tuple[str, Cell]]]  # asked once all lines are read: it tells their total

RICH = "</r>"  # the library takes a text that ends so, and begins likewise, for its own XML
SHEET_ROWS = 1_048_576  # that a sheet of XLSX can hold, the headings among them


@dataclass(frozen=True)
class Table:
    headings: Sequence[str]
    lines: Iterable[Line]  # read once


def write_csv(file: Path, table: Table, about: About | None = None) -> None:
    """UTF-8 with its mark, commas. What it is about stands above the table, behind an empty line follows the table."""
    body = file.with_name(f"{file.name}.body")
    with body.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerow(table.headings)
        csv.writer(out).writerows(map(_as_text, table.lines))
    with file.open("wb") as whole, body.open("rb") as source:
        whole.write(_csv_head(about).encode("utf-8-sig"))
        shutil.copyfileobj(source, whole, BLOCK)
    body.unlink()


def _csv_head(about: About | None) -> str:
    if about is None:
        return ""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(_as_text(line) for line in about())
    csv.writer(out).writerow([])
    return out.getvalue()


def _as_text(line: Line) -> list[str | int | None]:
    """Amounts stay numbers, however they begin; text is made inert."""
    return [
        inert(cell) if isinstance(cell, str) else f"{cell:.6f}" if isinstance(cell, Decimal) else cell for cell in line
    ]


def write_xlsx(
    file: Path, table: Table, about: About, *, most_rows: int = SHEET_ROWS, packing: Callable[[], None] = lambda: None
) -> None:
    """A sheet "About" and as many sheets "Costs" as the lines need. `packing` is called before it is put together.

    Texts are written as texts, so no cell is a formula or a link.
    """
    options = {"constant_memory": True, "tmpdir": str(file.parent)}
    book = xlsxwriter.Workbook(str(file), options)
    book.use_zip64()
    first = book.add_worksheet("About")
    bold, amount = book.add_format({"bold": True}), book.add_format({"num_format": "#,##0.000000"})
    lines = iter(table.lines)
    for number, part in enumerate(_parts(lines, most_rows - 1), start=1):
        sheet = book.add_worksheet("Costs" if number == 1 else f"Costs {number}")
        _fill(sheet, table.headings, part, bold, amount)
    _describe(first, about(), bold, amount)
    packing()
    try:
        book.close()
    except FileCreateError as exc:  # wraps what the disk said
        raise exc.args[0] from exc


def _parts(lines: Iterator[Line], size: int) -> Iterator[Iterable[Line]]:
    """The lines in parts of `size`, each read before the next is asked for; one empty part where there are none."""
    yield islice(lines, size)
    for line in lines:
        yield chain([line], islice(lines, size - 1))


def _fill(sheet: Worksheet, headings: Sequence[str], lines: Iterable[Line], bold: Format, amount: Format) -> None:
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(headings) - 1, 18)
    for column, heading in enumerate(headings):
        sheet.write_string(0, column, heading, bold)
    for row, line in enumerate(lines, start=1):
        for column, cell in enumerate(line):
            _write(sheet, row, column, cell, amount)


def _write(sheet: Worksheet, row: int, column: int, cell: Cell, amount: Format) -> None:
    if isinstance(cell, str):
        if cell:
            sheet.write_string(row, column, f"{cell} " if cell.endswith(RICH) else cell)
    elif isinstance(cell, Decimal):
        sheet.write_number(row, column, float(cell), amount)  # a double holds 15 digits: six places of a billion
    elif cell is not None:
        sheet.write_number(row, column, cell)


def _describe(sheet: Worksheet, about: Sequence[tuple[str, Cell]], bold: Format, amount: Format) -> None:
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 60)
    for row, (name, cell) in enumerate(about):
        sheet.write_string(row, 0, name, bold)
        _write(sheet, row, 1, cell, amount)
