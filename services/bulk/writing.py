"""CSV that a spreadsheet may open: UTF-8 with its mark, commas, and no cell that it would run as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

from services.bulk.tables import NO_LIMIT, TABLES, Kind
from services.stores import StoreRecord

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
MARK = "'"  # before a cell that starts like a formula; reading takes it away again


def neutral(cell: str) -> str:
    """The cell, marked as text where a spreadsheet would calculate it."""
    return MARK + cell if cell.startswith((*FORMULA_STARTS, MARK)) else cell


def to_csv(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """A file as any spreadsheet opens it; headings are ours, cells are neutralised."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(headings)
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def template(kind: Kind) -> bytes:
    """The headings and one example line."""
    columns = TABLES[kind]
    return to_csv([column.name for column in columns], [[column.example for column in columns]])


def stores(records: Iterable[StoreRecord]) -> bytes:
    """The stores that are not archived, as the stores file takes them back."""
    rows = (
        [s.code, s.name, s.city or "", s.phone or "", s.cost_centre or "", s.timezone]
        for s in records
        if not s.archived_at
    )
    return to_csv([column.name for column in TABLES["stores"]], rows)


def quotas(records: Iterable[StoreRecord]) -> bytes:
    """Their limits, as the quotas file takes them back; the reason is left to be written."""
    rows = (
        [s.code, str(s.monthly_quota_usd) if s.monthly_quota_usd else NO_LIMIT, ""]
        for s in records
        if not s.archived_at
    )
    return to_csv([column.name for column in TABLES["quotas"]], rows)
