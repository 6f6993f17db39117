"""For admins: monthly limits of stores and the company, with a reason that stays."""

from uuid import UUID

import streamlit as st

from services import profiles, stores
from services.profiles import Store
from services.stores import Company
from ui import formats, forms, limits, sections, session
from ui.session import Operator

COMPANY = "company"


def show(operator: Operator) -> None:
    st.header("Monthly quota")
    choices = session.stores(operator)
    company = stores.company(session.recently(operator), operator.account_id)
    left, right = st.columns(2)
    with left:
        scope = _form(operator, choices, company)
    with right:
        _history(operator, None if scope == COMPANY else UUID(scope))
    _table(choices)


def _form(operator: Operator, choices: list[Store], company: Company) -> str:
    """Returns whose limit is looked at."""
    names = {COMPANY: "The whole company"} | {str(store.id): store.label for store in choices}
    chosen = session.chosen_store(operator)
    scope = st.selectbox(
        "Store or company", list(names), format_func=names.__getitem__, key=sections.of(operator, "quota_scope"),
        index=list(names).index(str(chosen.id)) if chosen else 0,
    )  # fmt: skip
    st.text(_present(scope, choices, company))
    form = sections.of(operator, f"quota_{scope}")
    with st.form(form, border=True):
        kind, typed = limits.ask("New limit", sections.key(form, "kind"), sections.key(form, "amount"))
        forms.beside(f"{form}.quota")
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="Black Friday campaign")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Set quota", type="primary")
        forms.beside(f"{form}.")
    if sent:
        if sections.save(operator, form, lambda: _set(operator, scope, kind, typed, reason)):
            st.toast(formats.plain(f"Quota of {names[scope]} set."), icon=":material/check:")
        st.rerun()
    return scope


def _present(scope: str, choices: list[Store], company: Company) -> str:
    if scope == COMPANY:
        return f"Now: {limits.words(company.monthly_quota_usd)} a month for all stores together"
    store = next(store for store in choices if str(store.id) == scope)
    quota = store.quota
    limit = f"{formats.usd(quota.limit)} a month" if quota.limit is not None else "No limit"
    return f"Now: {limit}; {formats.usd(quota.settled)} spent and {formats.usd(quota.held)} held this month (UTC)"


def _set(operator: Operator, scope: str, kind: str, typed: str, reason: str) -> None:
    scope_id = None if scope == COMPANY else UUID(scope)
    amount = limits.amount(kind, typed, "quota")
    profiles.set_quota(operator.database, operator.account_id, scope_id, amount, reason)


def _history(operator: Operator, scope: UUID | None) -> None:
    st.subheader("Changes")
    recently = session.recently(operator)
    names = session.names(operator)
    changes = [
        {
            "When": formats.moment(change.changed_at, operator.timezone),
            "Who": names.get(change.changed_by, "Somebody who left"),
            "Before": limits.words(change.before_usd),
            "After": limits.words(change.after_usd),
            "Reason": change.reason,
        }
        for change in stores.quota_history(recently, operator.account_id, scope)
    ]
    if changes:
        st.dataframe(changes, hide_index=True, alt="Changes of this limit, newest first")
    else:
        st.caption("This limit has never been changed.")
    _grants(operator, scope)


def _grants(operator: Operator, scope: UUID | None) -> None:
    names = session.names(operator)
    given = [
        {
            "Raised by": formats.usd(grant.amount_usd),
            "From": formats.moment(grant.valid_from, operator.timezone),
            "Until": formats.moment(grant.valid_until, operator.timezone),
            "By": names.get(grant.granted_by, "Somebody who left"),
            "Reason": grant.reason,
        }
        for grant in stores.grants(session.recently(operator), operator.account_id, scope)
    ]
    if given:
        st.caption("Grants raise the limit for a while.")
        st.dataframe(given, hide_index=True, alt="Grants, newest first")


def _table(choices: list[Store]) -> None:
    rows = [
        {
            "Store": store.label,
            "Limit a month": formats.usd(store.quota.limit) if store.quota.limit is not None else "No limit",
            "Spent": formats.usd(store.quota.settled),
            "Held": formats.usd(store.quota.held),
            "Left": formats.usd_left(store.quota.left) if store.quota.left is not None else "No limit",
        }
        for store in choices
    ]
    st.dataframe(rows, hide_index=True, alt="Quota of each store this month")
    st.caption("US dollars this calendar month (UTC). Limits include active grants.")
