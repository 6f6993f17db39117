"""Entries of the audit log, one card each: what was done, what changed, by whom, when and from where."""

from collections.abc import Sequence

import streamlit as st

from services.audit import HIDDEN, Change, Entry
from ui import formats

LONGEST = 200  # characters of a value; the export has it whole


def show(entries: Sequence[Entry], zone: str) -> None:
    for entry in entries:
        with st.container(border=True, key=f"audit_{entry.id}"):
            done, by = st.columns([5, 3])
            done.markdown("  \n".join(_done(entry)))
            by.caption("  \n".join(_by(entry, zone)))


def _done(entry: Entry) -> list[str]:
    told = _change if entry.before else _fact
    lines = [f"**{_plain(entry.what)}**", *map(told, entry.changes)]
    if entry.reason:
        lines.append(f"Reason: {_plain(entry.reason)}")
    return lines


def _by(entry: Entry, zone: str) -> list[str]:
    origin = f" · from {_plain(entry.address)}" if entry.address else ""
    lines = [formats.moment(entry.at, zone), f"{_plain(entry.person_name)}{origin}"]
    if entry.profile_id:
        lines.append(_plain(entry.store or "A store that is gone"))
    return lines


def _change(change: Change) -> str:
    if HIDDEN in (change.before, change.after):
        return f"{_field(change)}: changed, never shown"
    return f"{_field(change)}: {_value(change.before)} → {_value(change.after)}"


def _fact(change: Change) -> str:
    """Of an entry that knows no before."""
    return f"{_field(change)}: {'never shown' if change.after == HIDDEN else _value(change.after)}"


def _field(change: Change) -> str:
    return _plain(change.field.replace("_", " "))


def _value(text: str | None) -> str:
    return "nothing" if text is None else _plain(text) or "empty"


def _plain(text: str) -> str:
    line = " ".join(text.split())
    return formats.plain(line if len(line) <= LONGEST else f"{line[:LONGEST]}…")
