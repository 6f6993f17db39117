"""Audit: who did what, when and from where. The filters are in the address, the store is the switcher's."""

from collections.abc import Mapping

import streamlit as st

from services import audit
from services.audit import Choices, Wanted
from services.errors import AppError
from services.profiles import Store
from ui import audit_list, formats, pager, session
from ui.session import Operator

person = session.require("admin")

ANY = "any"
PAGE = 25


def filters(offered: Choices, store: Store | None, zone: str) -> Wanted:
    people = {ANY: "Anybody", **distinct({str(id_): name for id_, name in offered.people.items()})}
    actions = {ANY: "Any action", **distinct({action: audit.words(action) for action in offered.actions})}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        who = choose("Person", people, key="who")
        action = choose("Action", actions, key="action")
        first = st.date_input("From", None, key="since", bind="query-params", width=150)
        last = st.date_input("To", None, key="until", bind="query-params", width=150)
        text = st.text_input(
            "Words", key="find", bind="query-params", type="search", max_chars=100, width=240,
            placeholder="Black Friday", help="Finds words by their beginnings, in any order.",
        )  # fmt: skip
    return Wanted(
        timezone=zone, person_id=who, action=action, profile_id=store.id if store else None, first_day=first,
        last_day=last, text=text,
    )  # fmt: skip


def choose(label: str, names: Mapping[str, str], *, key: str) -> str | None:
    """None for any. What the address asks for and the log has not is said: without it the page shows more."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in names.values():
        st.warning(f"{label} in the address: the log has no such entry.", icon=":material/link_off:")
    chosen = st.selectbox(label, list(names), format_func=names.get, key=key, bind="query-params", width=240)
    return None if chosen == ANY else chosen


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """By name; the address tells choices apart by it, so who shares a name gets the id's beginning behind it."""
    shown = list(names.values())
    unique = {key: name if shown.count(name) == 1 else f"{name} ({key[:8]})" for key, name in names.items()}
    return dict(sorted(unique.items(), key=lambda item: item[1].casefold()))


def export(operator: Operator, wanted: Wanted) -> None:
    """The file is made by a run of its own, with the session of that moment; it is offered while the filters stay."""
    place = (operator.account_id, wanted)
    with st.container(horizontal=True):
        if st.button(
            "Prepare the file", key="audit_prepare", icon=":material/table_view:",
            help=f"What the filters leave, newest first, at most {audit.EXPORTED:,} entries, as CSV.",
        ):  # fmt: skip
            content = audit.csv_file(operator.database, operator.account_id, wanted)
            st.session_state["audit_file"] = (place, content)
        if "audit_file" in st.session_state and st.session_state["audit_file"][0] != place:
            del st.session_state["audit_file"]
        if "audit_file" in st.session_state:
            st.download_button(
                "Export as CSV", st.session_state["audit_file"][1], "clipdesk-audit.csv", "text/csv",
                key="audit_export", icon=":material/download:", on_click="ignore", type="primary",
            )  # fmt: skip


def scope(store: Store | None, zone: str) -> None:
    where = f"Only what concerns {store.name}; choose All my stores for the company." if store else "The whole company."
    st.caption(formats.plain(f"{where} Times and days in {zone}."))


def entries(operator: Operator, wanted: Wanted, zone: str) -> None:
    after = pager.after("audit", (operator.account_id, wanted))
    found = audit.page(operator.database, operator.account_id, wanted, limit=PAGE + 1, after=after)
    shown = found[:PAGE]
    if not shown:
        st.info("Nothing in the log matches. Choose other filters.", icon=":material/filter_alt_off:")
    audit_list.show(shown, zone)
    pager.buttons("audit", shown[-1].key if len(found) > PAGE else None)


def show(operator: Operator) -> None:
    st.title("Audit")
    store = session.chosen_store(operator)
    zone = store.timezone if store else operator.timezone
    scope(store, zone)
    wanted = filters(audit.choices(session.recently(operator), operator.account_id), store, zone)
    if wanted.first_day and wanted.last_day and wanted.last_day < wanted.first_day:
        st.error("The last day lies before the first.", icon=":material/date_range:")
        return
    export(operator, wanted)
    entries(operator, wanted, zone)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
