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
    lines = [f"**{_plain(entry.what)}**", *map(_change, entry.changes)]
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
    field = _plain(change.field.replace("_", " "))
    if HIDDEN in (change.before, change.after):
        return f"{field}: changed, never shown"
    return f"{field}: {_value(change.before)} → {_value(change.after)}"


def _value(text: str | None) -> str:
    return "nothing" if text is None else _plain(text) or "empty"


def _plain(text: str) -> str:
    line = " ".join(text.split())
    return formats.plain(line if len(line) <= LONGEST else f"{line[:LONGEST]}…")
