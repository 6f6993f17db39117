"""Costs: what everything cost, where the month will end, and the entries behind every number. All in the address."""

from datetime import UTC, date, datetime

import streamlit as st

from services.costs.desk import LEDGER_BEGINS
from services.errors import AppError
from services.profiles import Store
from ui import (
    cost_assistants,
    cost_data,
    cost_entries,
    cost_export,
    cost_filters,
    cost_people,
    cost_refusals,
    cost_sections,
    cost_trust,
    cost_value,
    formats,
    session,
    spending_read,
)
from ui.session import Operator

person = session.require("admin", "manager", "finance")

Span = tuple[date, date]
ALL_TIME = (LEDGER_BEGINS, datetime.now(UTC).date())


def summary(operator: Operator, store: Store | None, asked: Span, zone: str) -> None:
    place = st.empty()
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        cut, grain = cost_filters.cut(), cost_filters.grain(asked)
    desk = cost_data.figures(operator, store.id if store else None, asked, grain)
    foretold = desk.outlook.foretell(desk.today)
    with place.container():
        cost_sections.totals(desk, foretold, zone)
    left, right = st.columns([4, 3])
    with left.container(border=True):
        cost_sections.breakdown(desk, cut, zone)
    with right.container(border=True):
        cost_sections.trend(desk, grain, asked, zone)
    left, right = st.columns(2)
    with left.container(border=True):
        cost_sections.outlook(desk, foretold, zone)
    with right.container(border=True):
        cost_sections.months(desk, zone)
    cost_assistants.show(desk, zone)
    st.caption(f"{cost_sections.as_of(desk, zone)} Money in US dollars; days and months are UTC.")
    cost_refusals.show(operator, store, zone)
    cost_trust.show(operator)


def people(operator: Operator, store: Store | None, asked: Span, zone: str) -> None:
    desk = cost_data.figures(operator, store.id if store else None, asked, "month")
    cost_people.everybody(operator, desk, zone)
    st.caption(cost_sections.as_of(desk, zone))


def shown(operator: Operator, store: Store | None, part: str, asked: Span, zone: str) -> None:
    if part == cost_filters.ENTRIES:
        cost_entries.show(operator, store, asked, zone)
    elif part == cost_filters.VALUE:
        cost_value.show(operator, store, asked, zone)
    elif part == cost_filters.PEOPLE:
        people(operator, store, asked, zone)
    else:
        summary(operator, store, asked, zone)


def show(operator: Operator) -> None:
    store = session.chosen_store(operator)
    zone = store.timezone if store else operator.timezone
    st.title(f"Costs of {formats.plain(store.name)}" if store else "Costs")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        part = cost_filters.part(operator.role)
        export = st.container(width="content")
    if part == cost_filters.MINE:
        asked = ALL_TIME
        cost_people.mine(operator, zone)
    else:
        spending_read.warn(operator, zone)
        asked = cost_filters.span()
        shown(operator, store, part, asked, zone)
    with export:
        cost_export.offer(operator, store, part, asked, zone)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
