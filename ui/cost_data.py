"""What the Costs page asks for, remembered for 30 s a person."""

from datetime import date
from uuid import UUID

import streamlit as st

from services.costs import desk, entries
from services.costs.desk import Desk, Grain
from services.costs.entries import Events, Page, Summary
from services.database.door import Database
from services.identity import Role
from ui import session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

Filters = tuple[tuple[str, str], ...]


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _desk(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID | None, first: date, last: date,
    grain: Grain, _database: Database,
) -> Desk:  # fmt: skip
    return desk.ask(_database, account_id, profile_id, first, last, grain)


def figures(operator: Operator, profile_id: UUID | None, span: tuple[date, date], grain: Grain) -> Desk:
    """Of one store, or (None) of all of the operator's."""
    key = session.cache_key(operator)
    return _desk(*key, profile_id, *span, grain, operator.database)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner="Reading the ledger…")
def _page(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID | None, first: date, last: date,
    filters: Filters, before: int | None, _database: Database,
) -> Page:  # fmt: skip
    return entries.page(_database, account_id, profile_id, first, last, dict(filters), before=before)


def page(
    operator: Operator, profile_id: UUID | None, span: tuple[date, date], filters: Filters, before: int | None
) -> Page:
    key = session.cache_key(operator)
    return _page(*key, profile_id, *span, filters, before, operator.database)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _summary(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, user_id: UUID | None, _database: Database
) -> Summary:
    return entries.summary(_database, account_id, user_id)


def summary(operator: Operator, user_id: UUID | None) -> Summary:
    return _summary(*session.cache_key(operator), user_id, operator.database)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _events(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, user_id: UUID | None, before: int | None,
    _database: Database,
) -> Events:  # fmt: skip
    return entries.of_person(_database, account_id, user_id, before=before)


def events(operator: Operator, user_id: UUID | None, before: int | None) -> Events:
    return _events(*session.cache_key(operator), user_id, before, operator.database)
