"""For admins: the company's own name and time zone, what new stores start with, and the end of the demo."""

from decimal import Decimal

import streamlit as st

from services import demo, identity, stores
from services.bulk import tables
from services.costs import trust
from services.errors import InvalidInput
from services.stores import Company
from ui import formats, forms, limits, sections, session
from ui.session import Operator


def show(operator: Operator) -> None:
    st.header("Company")
    company = stores.company(session.recently(operator), operator.account_id)
    form = sections.of(operator, "company")
    version = sections.seen(form, "name", company.version)
    zones = sorted(identity.timezones())
    with st.form(form, border=True):
        name = st.text_input("Company name", value=company.name, key=sections.key(form, "name"))
        forms.beside(f"{form}.name")
        place = zones.index(company.timezone) if company.timezone in zones else zones.index("UTC")
        timezone = st.selectbox("Time zone", zones, index=place, key=sections.key(form, "timezone"))
        forms.beside(f"{form}.timezone")
        kind, typed = limits.ask(
            "New stores start with", sections.key(form, "kind"), sections.key(form, "amount"),
            company.new_store_quota_usd,
        )  # fmt: skip
        forms.beside(f"{form}.new_store_quota_usd")
        reason = st.text_input(
            "Reason", key=sections.key(form, "reason"), placeholder="Needed where new stores start with another limit"
        )
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Save", type="primary")
        forms.beside(f"{form}.")
    if st.session_state.get(f"{form}_told"):
        st.info(formats.plain(_now(company)), icon=":material/history:")
    if sent:
        saved = sections.save(operator, form, lambda: _save(operator, name, timezone, kind, typed, version, reason))
        st.session_state[f"{form}_told"] = f"{form}_seen" not in st.session_state and not saved
        if saved:
            identity.sessions.forget(operator.person.id)  # its copy has the old name for up to ten seconds
            st.toast("Company saved.", icon=":material/check:")
        st.rerun()
    _texts(operator)
    _erase_demo(operator)


def _now(company: Company) -> str:
    start = limits.words(company.new_store_quota_usd)
    return f"It says now: {company.name}, {company.timezone}, new stores: {start}. Saving again replaces that."


def _save(operator: Operator, name: str, timezone: str, kind: str, typed: str, version: int, reason: str) -> None:
    amount = limits.amount(kind, typed, "new_store_quota_usd")
    try:
        quota = Decimal(tables.limit(amount)) if kind == limits.LIMIT else Decimal(0)
    except tables.Unfit as exc:
        raise InvalidInput("Type an amount in US dollars, such as 25.00.", "new_store_quota_usd") from exc
    stores.save_company(
        operator.database, operator.account_id, name=name, timezone=timezone, new_store_quota=quota,
        version=version, reason=reason,
    )  # fmt: skip


FOR_EVER, DAYS = "For ever", "For some days"


def _texts(operator: Operator) -> None:
    """How long entries of the ledger keep the beginnings of the texts that were paid for."""
    st.header("Texts of ledger entries")
    days = trust.preview_days(session.recently(operator), operator.account_id)
    form = sections.of(operator, "texts")
    with st.form(form, border=True):
        st.caption("Each entry keeps the beginning of the text that was paid for. Amounts are kept for ever.")
        kind = st.radio("Keep texts", [FOR_EVER, DAYS], index=int(days is not None), horizontal=True,
                        key=sections.key(form, "kind"))  # fmt: skip
        typed = st.number_input("Days", trust.SHORTEST, trust.LONGEST, value=days or 365, width=200,
                                key=sections.key(form, "days"))  # fmt: skip
        forms.beside(f"{form}.preview_days")
        reason = st.text_input("Reason", key=sections.key(form, "reason"))
        forms.beside(f"{form}.reason")
        st.caption("Older texts are deleted within a day; nobody can bring them back.")
        sent = st.form_submit_button("Save", type="primary", key="texts_save")
        forms.beside(f"{form}.")
    if sent:
        wanted = int(typed) if kind == DAYS else None
        if sections.save(operator, form, lambda: trust.set_preview_days(
                operator.database, operator.account_id, wanted, reason)):  # fmt: skip
            st.toast("Saved.", icon=":material/check:")
        st.rerun()


def _erase_demo(operator: Operator) -> None:
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
        sure = st.checkbox("Erase everything of the demo company", key=sections.of(operator, "demo_sure"))
        if st.button("Erase the demo company", key="demo_erase", disabled=not sure, icon=":material/delete_forever:"):
            demo.erase(operator.database, operator.account_id)
            st.success("The demo company is gone. [Continue](/sign-in)")
            st.stop()
