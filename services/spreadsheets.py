"""Cells of CSV files that spreadsheets open."""


def inert(cell: str) -> str:
    """Spreadsheets run what begins like a formula, also behind blanks; an apostrophe makes it text."""
    return f"'{cell}" if cell.lstrip()[:1] in ("=", "+", "-", "@") or cell[:1] in ("\t", "\r", "\n") else cell
