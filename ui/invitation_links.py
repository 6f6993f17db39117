"""Links with which people choose a password, as an admin hands them over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import streamlit as st

from services.bulk import writing
from services.config import settings
from services.people import Link
from ui import formats
from ui.session import Operator


@dataclass(frozen=True)
class Handed:
    """A link as the admin hands it over."""

    name: str
    email: str
    address: str = field(repr=False)
    until: str
    mailed: str = ""  # what became of the mail with it, where there is a mail server


def handed(operator: Operator, link: Link, name: str, email: str) -> Handed:
    until = formats.moment(link.expires_at, operator.timezone)
    return Handed(name, email, origin() + link.path.get_secret_value(), until)


def origin() -> str:
    """The app's own address: as it was set, else as this browser has it."""
    page = urlsplit(st.context.url or "")
    return settings().site_url or (f"{page.scheme}://{page.netloc}" if page.netloc else "")


def as_csv(links: Sequence[Handed]) -> bytes:
    """The links as a spreadsheet opens them."""
    rows = [[one.name, one.email, one.address, one.until] for one in links]
    return writing.to_csv(["name", "email", "link", "until"], rows)
