"""Admin: quotas with a reason, new people, voice prices, and the end of the demo company."""

from uuid import UUID

import streamlit as st

from services import demo, identity, profiles
from services.errors import AppError
from services.profiles import Store
from ui import formats, forms, session, voice_prices
from ui.session import Operator

person = session.require("admin")

COMPANY = "company"
ROLES = {"manager": "Manager: speaks and publishes for chosen stores", "finance": "Finance: reads costs of all stores",
         "admin": "Admin: everything"}  # fmt: skip


def quota_form(operator: Operator, stores: list[Store]) -> None:
    st.header("Monthly quota")
    names = {COMPANY: "The whole company"} | {str(store.id): store.label for store in stores}
    chosen = session.chosen_store(operator)
    with st.form("quota", border=True):
        scope = st.selectbox(
            "Store or company", list(names), format_func=names.get, key="quota_scope",
            index=list(names).index(str(chosen.id)) if chosen else 0,
        )  # fmt: skip
        amount = st.text_input("Limit a month, US dollars (0 = unlimited)", key="quota_amount", placeholder="25.00")
        forms.beside("quota.quota")
        reason = st.text_input("Reason", key="quota_reason", placeholder="Black Friday campaign")
        forms.beside("quota.reason")
        sent = st.form_submit_button("Set quota", type="primary")
        forms.beside("quota.")
    if sent:
        scope_id = None if scope == COMPANY else UUID(scope)
        run = lambda: profiles.set_quota(operator.database, operator.account_id, scope_id, amount, reason)  # noqa: E731
        if forms.attempt("quota", run):
            session.forget_numbers(operator)
            st.toast(formats.plain(f"Quota of {names[scope]} set."), icon=":material/check:")
        st.rerun()


def quota_table(stores: list[Store]) -> None:
    rows = [
        {
            "Store": store.label,
            "Limit a month": formats.usd(store.quota.limit) if store.quota.limit is not None else "Unlimited",
            "Spent": formats.usd(store.quota.settled),
            "Held": formats.usd(store.quota.held),
            "Left": formats.usd_left(store.quota.left) if store.quota.left is not None else "No limit",
        }
        for store in stores
    ]
    st.dataframe(rows, hide_index=True, alt="Quota of each store this month")
    st.caption("US dollars this calendar month (UTC). Limits include active grants.")


def person_form(operator: Operator, stores: list[Store]) -> None:
    by_mail = identity.by_mail()
    st.header("Invite a person" if by_mail else "Add a person")
    names = {str(store.id): store.label for store in stores}
    with st.form("person", border=True):
        name = st.text_input("Name", key="person_name")
        forms.beside("person.name")
        email = st.text_input("E-mail", key="person_email")
        forms.beside("person.email")
        role = st.radio("Role", list(ROLES), format_func=ROLES.get, key="person_role")
        chosen = st.multiselect("Stores (managers only)", list(names), format_func=names.get, key="person_stores")
        forms.beside("person.stores")
        sent = st.form_submit_button("Send invitation" if by_mail else "Add person", type="primary")
        forms.beside("person.")
    if sent:

        def run() -> None:
            password = identity.add_person(
                operator.person, operator.account_id, name=name, email=email, role=role,
                profile_ids=[UUID(store) for store in chosen] if role == "manager" else [],
            )  # fmt: skip
            if password:
                st.session_state["one_time_password"] = (name, email, password)

        if forms.attempt("person", run) and by_mail:
            st.toast(formats.plain(f"The invitation to {email} is on its way; see Jobs."), icon=":material/check:")
        st.rerun()


def forget_password() -> None:
    st.session_state.pop("one_time_password", None)


@st.dialog("One-time password", on_dismiss=forget_password)
def one_time_password(name: str, email: str, password: str) -> None:
    """Shown until it was noted or dismissed: a second click on the form must not take it away."""
    st.text(f"Give this to {name}. Nobody can read it again; the first sign-in replaces it.")
    st.text(f"E-mail: {email}")
    st.code(password, language=None)
    if st.button("I have noted it", key="password_noted", type="primary"):
        forget_password()
        st.rerun()


def erase_demo(operator: Operator) -> None:
    if not operator.membership.is_demo:
        return
    st.header("Demo company")
    with st.container(border=True):
        made = session.dashboard(operator, None, "all")
        st.write(
            f"Erasing removes its {len(made.stores)} stores with {made.stats.projects_count:,} projects, "
            f"{made.stats.clips_count:,} clips, {made.stats.speech_count:,} speeches and all costs and people. "
            "Your own company is not touched."
        )
        sure = st.checkbox("Erase everything of the demo company", key="demo_sure")
        if st.button("Erase the demo company", key="demo_erase", disabled=not sure, icon=":material/delete_forever:"):
            demo.erase(operator.database, operator.account_id)
            st.success("The demo company is gone. [Continue](/sign-in)")
            st.stop()


def show(operator: Operator) -> None:
    st.title("Admin")
    stores = session.stores(operator)
    if made := st.session_state.get("one_time_password"):
        one_time_password(*made)
    left, right = st.columns(2)
    with left:
        quota_form(operator, stores)
    with right:
        person_form(operator, stores)
    quota_table(stores)
    voice_prices.paused(operator)
    voice_prices.show(operator)
    erase_demo(operator)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
