"""For admins: what spending is compared with, who is told, which stores suspend themselves, what was told."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import streamlit as st

from services.costs import alerts
from services.costs.alerts import AlertRule, Measure, Scope, Suspension, Ways
from ui import formats, forms, sections, session, spending_read
from ui.session import Operator

Names = dict[UUID | None, str]

FOR: dict[str, tuple[Scope, bool]] = {  # scope, and whether one is chosen
    "The company": ("company", False),
    "Every store": ("store", False),
    "One store": ("store", True),
    "Every person": ("person", False),
    "One person": ("person", True),
}
MEASURES: dict[str, Measure] = {"Percent of the quota": "percent", "US dollars a month": "usd"}
GONE = {"store": "An archived store", "person": "Somebody who left"}
STAYS, SUSPENDS = "Stays open", "Is suspended by itself"


def show(operator: Operator) -> None:
    st.header("Alerts")
    st.write("Spending is looked at once a minute. Each threshold is told once a month (UTC), and when it is over.")
    spending_read.warn(operator, operator.timezone)
    rules = alerts.rules(session.recently(operator), operator.account_id)
    names = _names(operator)
    _table(operator, rules, names)
    left, right = st.columns(2)
    with left.container(border=True):
        _change(operator, rules, names)
    with right.container(border=True):
        _new(operator)
    left, right = st.columns(2)
    with left.container(border=True):
        _suspension(operator, names)
    with right.container(border=True, height=560):
        _told(operator, names)


def _names(operator: Operator) -> Names:
    """Of people and stores by id."""
    stores: Names = {store.id: store.label for store in session.stores(operator)}
    return session.names(operator) | stores


# Rules ----------------------------------------------------------------------------------------------------------------


def _whose(rule: AlertRule, names: Names) -> str:
    if rule.scope == "company":
        return "The company"
    return names.get(rule.target_id, GONE[rule.scope]) if rule.target_id else f"Every {rule.scope}"


def _threshold(rule: AlertRule) -> str:
    if rule.amount_usd is not None:
        return f"{formats.usd(rule.amount_usd)} a month"
    return f"{rule.percent} % of the quota"


def _table(operator: Operator, rules: Sequence[AlertRule], names: Names) -> None:
    rows = [
        {
            "For": _whose(rule, names),
            "At": _threshold(rule),
            "State": "On" if rule.enabled else "Off",
            "Since": formats.moment(rule.created_at, operator.timezone),
            "By": names.get(rule.created_by, GONE["person"]),
        }
        for rule in rules
    ]
    st.dataframe(rows, hide_index=True, alt="Alerts with their thresholds and state")
    st.caption(
        "US dollars. Stores and the company: what is spent or held this month, beside the limit with its grants. "
        "People: what was booked for them in all stores; they are told, and admins and finance."
    )


def _change(operator: Operator, rules: Sequence[AlertRule], names: Names) -> None:
    st.subheader("Switch or test an alert")
    by_id = {str(rule.id): rule for rule in rules}
    picked = st.selectbox(
        "Alert", list(by_id), key=sections.of(operator, "alert"),
        format_func=lambda key: f"{_whose(by_id[key], names)}: {_threshold(by_id[key])}",
    )  # fmt: skip
    rule = by_id[picked]
    form = f"alert_{rule.id}"
    with st.form(form, border=False):
        reason = st.text_input("Reason to switch it", key=sections.key(form, "reason"), placeholder="Told too often")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Switch off" if rule.enabled else "Switch on", type="primary")
        forms.beside(f"{form}.")
    if sent:
        _switch(operator, form, rule, reason)
    _test(operator, form, rule)


def _switch(operator: Operator, form: str, rule: AlertRule, reason: str) -> None:
    run = lambda: alerts.switch(operator.database, rule.id, not rule.enabled, reason)  # noqa: E731
    if sections.save(operator, form, run):
        st.toast("Switched off." if rule.enabled else "Switched on.", icon=":material/check:")
    st.rerun()


def _test(operator: Operator, form: str, rule: AlertRule) -> None:
    if st.button("Send me a test", key=f"{form}_test", icon=":material/send:"):
        ways: list[Ways] = []
        if forms.attempt(f"{form}_test", lambda: ways.append(alerts.test(operator.database, rule.id))):
            st.info(_sent(ways[0]), icon=":material/mark_email_read:")
    forms.beside(f"{form}_test.")


def _sent(ways: Ways) -> str:
    where = [place for place, wished in (("is in your inbox", ways.inbox), ("comes by e-mail", ways.email)) if wished]
    if not where:
        return "You wish to be told of this by no way: choose one on the page Notices."
    return f"The test {' and '.join(where)}. Only you are told."


def _new(operator: Operator) -> None:
    st.subheader("New alert")
    form = sections.of(operator, "new_alert")
    rule_id = st.session_state.setdefault(f"{form}_id", uuid4())
    chosen = st.selectbox("For", list(FOR), index=1, key=f"{form}_for")
    scope, single = FOR[chosen]
    with st.form(form, border=False):
        target = _target(operator, form, scope) if single else None
        measure = _measure(form, scope)
        typed = st.text_input("Threshold", key=sections.key(form, "threshold"), placeholder="80 or 25.00")
        forms.beside(f"{form}.threshold", f"{form}.scope")
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="A new budget")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Add the alert", type="primary")
        forms.beside(f"{form}.")
    if not sent:
        return
    run = lambda: alerts.add(  # noqa: E731
        operator.database, operator.account_id, rule_id, scope, target, measure, typed, reason
    )
    if sections.save(operator, form, run):
        del st.session_state[f"{form}_id"]
        st.toast("Alert added.", icon=":material/check:")
    st.rerun()


def _target(operator: Operator, form: str, scope: Scope) -> UUID | None:
    names: Names
    if scope == "store":
        names = {store.id: store.label for store in session.stores(operator)}
    else:
        names = {person: name for person, name in session.names(operator).items() if person}
    return st.selectbox(scope.capitalize(), list(names), format_func=names.__getitem__, key=f"{form}_{scope}")


def _measure(form: str, scope: Scope) -> Measure:
    if scope == "person":
        st.caption("US dollars a month: people have no quota.")
        return "usd"
    return MEASURES[st.radio("Measured in", list(MEASURES), horizontal=True, key=f"{form}_measure")]


# Suspending -----------------------------------------------------------------------------------------------------------


def _suspension(operator: Operator, names: Names) -> None:
    st.subheader("Stores that suspend themselves")
    saved = alerts.suspension(session.recently(operator), operator.account_id)
    form = sections.of(operator, "suspension")
    version = sections.seen(form, "kind", saved.version)
    stores = [store.id for store in session.stores(operator)]
    with st.form(form, border=False):
        kind = st.radio("A store whose quota is used up", [STAYS, SUSPENDS], index=int(saved.after_days is not None),
                        horizontal=True, key=sections.key(form, "kind"))  # fmt: skip
        days = st.number_input("Days from the warning on", 0, alerts.MOST_DAYS, saved.after_days or 0,
                               key=sections.key(form, "days"))  # fmt: skip
        forms.beside(f"{form}.after_days")
        spared = st.multiselect("Never suspend", stores, [store for store in saved.spared if store in stores],
                                format_func=names.__getitem__, key=sections.key(form, "spared"))  # fmt: skip
        reason = st.text_input("Reason for it", key=sections.key(form, "reason"))
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Save", type="primary")
        forms.beside(f"{form}.")
    if st.session_state.get(f"{form}_told"):
        st.info(formats.plain(_now(saved, names)), icon=":material/history:")
    st.caption("Nothing can be made for a suspended store. It opens when its quota is raised, or the month ends.")
    if sent:
        after_days = int(days) if kind == SUSPENDS else None
        kept = [store for store in saved.spared if store not in stores]  # archived ones cannot be chosen
        well = sections.save(operator, form, lambda: alerts.save_suspension(
            operator.database, operator.account_id, after_days, [*spared, *kept], version, reason))  # fmt: skip
        st.session_state[f"{form}_told"] = f"{form}_seen" not in st.session_state and not well
        if well:
            st.toast("Saved.", icon=":material/check:")
        st.rerun()


def _now(saved: Suspension, names: Names) -> str:
    does = "stays open" if saved.after_days is None else f"is suspended after {saved.after_days} days"
    spared = ", ".join(names.get(store, GONE["store"]) for store in saved.spared) or "none"
    return f"It says now: a store whose quota is used up {does}; never: {spared}. Saving again replaces that."


# What was told --------------------------------------------------------------------------------------------------------


def _told(operator: Operator, names: Names) -> None:
    st.subheader("Told lately")
    found = alerts.told(session.recently(operator), operator.account_id)
    if not found:
        st.caption("Nothing had to be told yet.")
    for notice in found:
        about = names.get(notice.profile_id, GONE["store"]) if notice.profile_id else "The company"
        over = f" · over since {formats.moment(notice.resolved_at, operator.timezone)}" if notice.resolved_at else ""
        st.text(notice.text)
        st.caption(f"{formats.plain(about)} · {formats.moment(notice.created_at, operator.timezone)}{over}")
