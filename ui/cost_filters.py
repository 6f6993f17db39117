"""The Costs page's questions, all in the address: part, range, bars, breakdown, and whose entries are shown."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast
from uuid import UUID

import streamlit as st

from services.costs import desk
from services.costs.desk import RANGES, Grain

SUMMARY, ENTRIES, VALUE, MINE, PEOPLE = "Summary", "Entries", "Value", "My costs", "People"
GRAINS: dict[Grain, str] = {"day": "Days", "week": "Weeks", "month": "Months"}
CUTS = {
    "store": "Store", "person": "Person", "service": "Service", "operation": "Operation", "model": "Model",
    "category": "Category", "project": "Project", "clip": "Clip",
}  # fmt: skip
COLUMNS = {"person": "user_id", "project": "project_id", "clip": "clip_id"}
ONLY = "only"  # the address's name for what a bar's entries are filtered by


@dataclass(frozen=True)
class Only:
    """What the entries are limited to: a line of a breakdown. A model's key is its service, a slash and its name."""

    cut: str
    key: str

    @property
    def profile_id(self) -> UUID | None:
        return UUID(self.key) if self.cut == "store" else None

    @property
    def filters(self) -> tuple[tuple[str, str], ...]:
        if self.cut == "store":
            return ()
        if self.cut == "model":
            service, _, model = self.key.partition("/")
            return (("model", model), ("service", service))
        return ((COLUMNS.get(self.cut, self.cut), self.key),)


def parts(role: str) -> list[str]:
    return [SUMMARY, ENTRIES, VALUE, MINE] + ([PEOPLE] if role in ("admin", "finance") else [])


def part(role: str) -> str:
    offered = parts(role)
    return cast(
        str,
        st.segmented_control(
            "Part", offered, default=SUMMARY, required=True, key="costs_part", bind="query-params",
            label_visibility="collapsed",
        ),
    )  # fmt: skip


def span() -> tuple[date, date]:
    """The first and last UTC day. Raises `InvalidInput` for a custom range that is none."""
    today = datetime.now(UTC).date()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choice = st.segmented_control(
            "Range", list(RANGES), format_func=RANGES.__getitem__, default="month", required=True, key="costs_range",
            bind="query-params", wrap=True,
        )  # fmt: skip
        first = last = None
        if choice == "custom":
            first = st.date_input("From", None, key="costs_from", bind="query-params", width=150)
            last = st.date_input("To", None, key="costs_to", bind="query-params", width=150)
    return desk.span(choice, today, first, last)


def grain(asked: tuple[date, date]) -> Grain:
    wanted = st.segmented_control(
        "Bars", list(GRAINS), format_func=GRAINS.__getitem__, default="day", required=True, key="costs_bars",
        bind="query-params", label_visibility="collapsed",
    )  # fmt: skip
    return desk.fitting_grain(wanted, *asked)


def cut() -> str:
    return cast(
        str,
        st.segmented_control(
            "By", list(CUTS), format_func=CUTS.__getitem__, default="store", required=True, key="costs_by",
            bind="query-params", label_visibility="collapsed", wrap=True,
        ),
    )  # fmt: skip


def only() -> Only | None:
    """What the address limits the entries to; nothing where it names no breakdown."""
    cut, _, key = st.query_params.get(ONLY, "").partition(":")
    return Only(cut, key) if cut in CUTS and key and _well_formed(cut, key) else None


def _well_formed(cut: str, key: str) -> bool:
    if cut not in ("store", *COLUMNS) or (cut == "person" and key == "system"):
        return True
    try:
        UUID(key)
    except ValueError:
        return False
    return True


def show_entries(wanted: Only) -> None:
    """From a callback: the entries behind a line of a breakdown."""
    st.query_params[ONLY] = f"{wanted.cut}:{wanted.key}"
    st.session_state["costs_part"] = ENTRIES


def show_bar(service: str, begins: date, grain: Grain, asked: tuple[date, date]) -> None:
    """From a callback: the entries behind a bar of the trend, inside the range that was asked for."""
    length = {"day": 1, "week": 7, "month": ((begins + timedelta(days=32)).replace(day=1) - begins).days}[grain]
    st.session_state["costs_range"] = "custom"
    st.session_state["costs_from"] = max(begins, asked[0])
    st.session_state["costs_to"] = min(begins + timedelta(days=length - 1), asked[1])
    show_entries(Only("service", service))


def forget_only() -> None:
    st.query_params.pop(ONLY, None)
