"""Entries of the ledger, the latest first, page by page: those behind a bar, and a person's own."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import streamlit as st

from services.costs.entries import Entry, Events, Page
from services.profiles import Store
from ui import charts, cost_corrections, cost_data, cost_filters, cost_lines, formats, pager, session
from ui.cost_filters import Only
from ui.session import Operator

FORGOTTEN = "Somebody"
GONE = "text no longer kept"


def show(operator: Operator, store: Store | None, asked: tuple[date, date], zone: str) -> None:
    """Those of the range, limited to what the address says."""
    only = cost_filters.only()
    profile_id = (only.profile_id if only else None) or (store.id if store else None)
    filters = only.filters if only else ()
    before = pager.after("costs_entries", (operator.account_id, profile_id, asked, filters))
    page = cost_data.page(operator, profile_id, asked, filters, before)
    if only:
        _limited(only, _name(operator, only, page.entries))
    if not page.entries:
        st.info("Nothing was booked here in this range.", icon=":material/receipt_long:")
    else:
        table(page.entries, zone)
    as_of(page, zone)
    pager.buttons("costs_entries", page.next)
    cost_corrections.show(operator, page.entries)


def _limited(only: Only, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Only {cost_filters.CUTS[only.cut].lower()} **{formats.plain(name)}**")
        st.button("Show all", icon=":material/filter_alt_off:", key="costs_show_all",
                  on_click=cost_filters.forget_only)  # fmt: skip


def _name(operator: Operator, only: Only, found: Sequence[Entry]) -> str:
    """What the entries are limited to, as their names have it."""
    if only.cut in ("service", "operation", "model", "category"):
        return cost_lines.title(only.cut, only.key)
    if only.cut == "person":
        return "System" if only.key == "system" else session.names(operator).get(UUID(only.key), FORGOTTEN)
    names = {"store": lambda e: e.store, "project": lambda e: e.project, "clip": lambda e: e.clip}
    return next((names[only.cut](entry) or "that is gone" for entry in found), "without entries here")


def as_of(page: Page, zone: str) -> None:
    st.caption(
        f"As of {formats.moment(page.as_of, zone)}, up to entry {page.seq:,} of the ledger. As booked, in US dollars."
    )


def table(found: Sequence[Entry], zone: str) -> None:
    st.dataframe(
        [_line(entry, zone) for entry in found], hide_index=True, alt="One row an entry of the ledger, the latest first"
    )


def _line(entry: Entry, zone: str) -> dict[str, str]:
    line = {
        "Entry": f"{entry.seq}",
        "When": formats.moment(entry.occurred_at, zone),
        "Store": entry.store,
        "Person": entry.person or FORGOTTEN,
        "Service": charts.name(entry.service),
        "Operation": cost_lines.title("operation", entry.operation),
        "Model": entry.model,
        "Units": _units(entry),
        "Cost, US dollars": formats.usd(entry.cost_usd),
        "What": entry.preview or (GONE if entry.preview_gone else ""),
        "Project": entry.project or ("gone" if entry.project_id else ""),
        "Clip": entry.clip or ("gone" if entry.clip_id else ""),
        "Job": str(entry.job_id or ""),
    }
    notes = ["above what was announced"] if entry.overrun_usd else []
    notes += [] if entry.counts_to_quota else ["does not count towards the quota"]
    return {**line, "Note": ", ".join(notes + _corrections(entry))}


def _corrections(entry: Entry) -> list[str]:
    """What a correction corrects and why; what an entry costs with its corrections."""
    notes = []
    if entry.corrects:
        notes.append(
            f"corrects entry {entry.corrects.seq} of {entry.corrects.booked_on:%-d %b %Y}: {entry.reason or ''}"
        )
    if entry.corrections:
        by = ", ".join(str(made.seq) for made in entry.corrections)
        notes.append(f"corrected by entry {by}: costs {formats.usd(entry.corrected_usd)} with it")
    return notes


def _units(entry: Entry) -> str:
    return ", ".join(f"{Decimal(str(count)):,f} {kind.replace('_', ' ')}" for kind, count in entry.units.items())


def of_person(operator: Operator, user_id: UUID | None, zone: str) -> None:
    key = f"costs_events_{user_id}"
    before = pager.after(key, (operator.account_id, user_id))
    found: Events = cost_data.events(operator, user_id, before)
    if not found.entries:
        st.info("Nothing was spent yet.", icon=":material/receipt_long:")
    else:
        st.caption(f"{found.total:,} entries.")
        table(found.entries, zone)
    as_of(found, zone)
    pager.buttons(key, found.next)
