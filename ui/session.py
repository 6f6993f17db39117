"""Who is at this page, for which company and store."""

from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

import streamlit as st

from services import identity, profiles
from services.costs import reports
from services.costs.reports import Dashboard
from services.database.door import Database
from services.errors import AppError
from services.identity import Membership, Person, Role
from services.profiles import Store
from ui import formats, recent
from ui.gate import cookie_name
from ui.recent import CACHE_SECONDS, Recent, Told

ALL_STORES = "all"


@dataclass(frozen=True)
class Operator:
    """A signed-in person at work for one of their companies.

    `told` answers in place of the person's door, and what it answers is remembered from now on.
    """

    person: Person
    membership: Membership
    told: Told | None = None

    @property
    def role(self) -> Role:
        return self.membership.role

    @property
    def account_id(self) -> UUID:
        return self.membership.account_id

    @property
    def database(self) -> Database:
        return self.told or self.person.database

    @property
    def timezone(self) -> str:
        """The company's, for pages over all stores."""
        return self.membership.timezone


def cookie() -> str | None:
    """The session's secret as the browser sent it when this page connected."""
    return st.context.cookies.get(cookie_name())


def current() -> Person | None:
    """The signed-in person. Fragments ask too: their runs do not pass the shell."""
    return identity.load(cookie())


def signed_in() -> Person:
    """The signed-in person; without a session the page ends with a sentence."""
    try:
        person = current()
    except AppError as exc:
        _stop_with(str(exc))
    if person is None:
        _session_ended()
    return person


def require(*roles: Role) -> Operator:
    """The operator of this page; without a session, or with another role, the page ends with a sentence."""
    person = signed_in()
    try:
        member = identity.membership(person, _chosen_account())
    except AppError as exc:
        _stop_with(str(exc))
    if roles and member.role not in roles:
        st.error("Your role does not open this page. Ask an admin of your company.", icon=":material/block:")
        st.stop()
    return Operator(person, member)


def _chosen_account() -> UUID | None:
    chosen = st.session_state.get("account")
    return UUID(chosen) if chosen else None


def _session_ended() -> NoReturn:
    st.warning(
        "Your session has ended. [Sign in again](/sign-in) in a new tab, then come back here and repeat your last "
        "click: what you typed is kept.",
        icon=":material/lock_clock:",
    )
    st.stop()


def _stop_with(sentence: str) -> NoReturn:
    st.error(sentence, icon=":material/error:")
    st.stop()


# Stores ----------------------------------------------------------------------------------------------------------


@st.cache_data(ttl=CACHE_SECONDS, max_entries=2_000, show_spinner=False)
def _stores(account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, _database: Database) -> list[Store]:
    return profiles.my_stores(_database, account_id)


def stores(operator: Operator) -> list[Store]:
    """The operator's stores with this month's quota, at most 30 s old."""
    return _stores(*cache_key(operator), operator.database)


def cache_key(operator: Operator) -> tuple[UUID, UUID, Role, UUID | None]:
    """What begins the key of every cache."""
    return operator.account_id, operator.person.id, operator.role, recent.mark(operator.account_id)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _store_dashboard(
    account_id: UUID,
    person_id: UUID,
    role: Role,
    mark: UUID | None,
    profile_id: UUID,
    time_range: str,
    _database: Database,
) -> Dashboard:
    return reports.profile_dashboard(_database, profile_id, time_range)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _company_dashboard(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, time_range: str, _database: Database
) -> Dashboard:
    return reports.account_dashboard(_database, account_id, time_range)


def dashboard(operator: Operator, store: Store | None, time_range: str) -> Dashboard:
    """Of one store, or (None) of all of the operator's, at most 30 s old."""
    if store:
        return _store_dashboard(*cache_key(operator), store.id, time_range, operator.database)
    return _company_dashboard(*cache_key(operator), time_range, operator.database)


def recently(operator: Operator, store: Store | None = None) -> Recent:
    """The operator's data, at most 30 s old: for showing it again, not for deciding or buying."""
    return Recent(
        account_id=operator.account_id,
        person_id=operator.person.id,
        role=operator.role,
        profile_id=store.id if store else None,
        database=operator.database,
        anew=operator.told is not None,
    )


def recently_or_now(operator: Operator, store: Store, *, now: bool) -> Database:
    """What to show from; `now` what to decide from: the operator's own door."""
    return operator.database if now else recently(operator, store)


def forget_numbers(operator: Operator) -> None:
    """After something was bought or changed: read anew whatever is shown of the company."""
    recent.forget(operator.account_id)


@st.cache_data(ttl=CACHE_SECONDS, max_entries=2_000, show_spinner=False)
def _names(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, _database: Database
) -> dict[UUID | None, str]:
    return identity.names(_database)


def names(operator: Operator) -> dict[UUID | None, str]:
    """Names of the operator's colleagues by id; None is System."""
    return _names(*cache_key(operator), operator.database)


def chosen_store(operator: Operator) -> Store | None:
    """The store of the switcher; None for "All my stores"."""
    slug = st.session_state.get("profile", ALL_STORES)
    return next((store for store in stores(operator) if store.slug == slug), None)


def require_store(operator: Operator) -> Store:
    """The chosen store, or the page ends by asking for one."""
    store = chosen_store(operator)
    if store is None:
        _ask_for_store(stores(operator))
    return store


def _ask_for_store(choices: list[Store]) -> NoReturn:
    if not choices:
        st.info("No store is assigned to you yet. Ask an admin of your company.", icon=":material/storefront:")
        st.stop()
    st.info("This page works for one store. Choose which:", icon=":material/storefront:")
    with st.container(horizontal=True):
        for store in choices[:12]:
            st.button(formats.plain(store.label), key=f"choose_{store.slug}", on_click=choose, args=(store.slug,))
    if len(choices) > 12:
        st.caption(f"The switcher in the sidebar has all {len(choices)}.")
    st.stop()


def choose(slug: str) -> None:
    """Set the switcher, from a button's callback."""
    st.session_state["profile"] = slug
