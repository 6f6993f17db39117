"""Which files there are, their columns, and what a cell may hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from services import identity

Kind = Literal["stores", "people", "assignments", "quotas"]
ROLES = ", ".join(identity.ROLES)
NO_LIMIT = "No limit"

_AMOUNT = re.compile(r"\$?\s?(\d{1,8}(?:\.\d{1,2})?)", re.ASCII)
_PHONE = re.compile(r"[0-9+()/. -]{1,40}", re.ASCII)
_LIST = re.compile(r"[,;|\s]+")


class Unfit(Exception):
    """What is wrong with a cell, as a sentence."""


def text(cell: str) -> str:
    return " ".join(cell.split())


def code(cell: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,16}", text(cell)):
        raise Unfit("A store number has 1 to 16 letters, digits or hyphens.")
    return text(cell)


def codes(cell: str) -> list[str]:
    """Store numbers, separated by blanks, commas, semicolons or bars."""
    return [code(part) for part in _LIST.split(cell.strip()) if part]


def phone(cell: str) -> str:
    if not _PHONE.fullmatch(text(cell)):
        raise Unfit("A phone number has up to 40 digits, blanks and + ( ) / . -")
    return text(cell)


def timezone(cell: str) -> str:
    if text(cell) not in identity.timezones():
        raise Unfit("Write a time zone such as Europe/London.")
    return text(cell)


def role(cell: str) -> str:
    if text(cell).lower() not in identity.ROLES:
        raise Unfit(f"Write one of {ROLES}.")
    return text(cell).lower()


def limit(cell: str) -> str:
    """US dollars a month as text, "0" for none; a written 0 is asked about, as it would lift the limit."""
    if text(cell).lower() in ("no limit", "unlimited"):
        return "0"
    found = _AMOUNT.fullmatch(text(cell))
    if not found:
        raise Unfit(f'Write "{NO_LIMIT}", or an amount in US dollars such as 25.00.')
    if Decimal(found[1]) == 0:
        raise Unfit(f'Does 0 mean that nothing may be spent, or no limit? Write "{NO_LIMIT}", or suspend the store.')
    return found[1]


@dataclass(frozen=True)
class Column:
    """`example` stands in the template's second line; what is not `needed` may be empty or left out."""

    name: str
    example: str
    read: Callable[[str], str | list[str]] = text
    needed: bool = True
    also: tuple[str, ...] = ()  # other headings it goes by


STORE = ("store number", "store code", "number")

TABLES: dict[Kind, tuple[Column, ...]] = {
    "stores": (
        Column("code", "104", code, also=STORE),
        Column("name", "Harbour Street", also=("store name",)),
        Column("city", "Bristol", needed=False),
        Column("phone", "0117 496 0104", phone, needed=False),
        Column("cost_centre", "4104", needed=False, also=("cost center",)),
        Column("timezone", "Europe/London", timezone, needed=False, also=("time zone",)),
    ),
    "people": (
        Column("email", "mia@example.com", also=("e mail", "mail")),
        Column("name", "Mia Porter"),
        Column("role", "manager", role),
        Column("stores", "104 105", codes, needed=False, also=("store", *STORE)),
    ),
    "assignments": (
        Column("email", "mia@example.com", also=("e mail", "mail")),
        Column("store", "105", code, also=("code", *STORE)),
    ),
    "quotas": (
        Column("store", "104", code, also=("code", *STORE)),
        Column("limit", "25.00", limit, also=("quota", "limit usd", "monthly quota", "monthly quota usd")),
        Column("reason", "Budget of the year"),
    ),
}


def heading(cell: str) -> str:
    """How headings are compared: small letters, blanks for hyphens and underscores."""
    return " ".join(re.split(r"[\s_-]+", cell.strip().lower())).strip()


def column_of(kind: Kind, cell: str) -> Column | None:
    """The column of a table that a heading means."""
    name = heading(cell)
    return next((c for c in TABLES[kind] if name in (heading(c.name), *c.also)), None)


def kind_of(headings: list[str]) -> Kind | None:
    """The table that these headings are of: it has all of its needed columns, and the most of them are its own."""
    fitting = [kind for kind, columns in TABLES.items() if not missing(kind, headings)]
    return max(fitting, key=lambda kind: sum(column_of(kind, h) is not None for h in headings), default=None)


def missing(kind: Kind, headings: list[str]) -> list[str]:
    """Names of needed columns that are not there."""
    there = {column_of(kind, cell) for cell in headings}
    return [column.name for column in TABLES[kind] if column.needed and column not in there]
