"""For admins: stores, their names and numbers, suspending, archiving, and settings copied between them."""

from uuid import uuid4

import streamlit as st

from services import identity, stores
from services.bulk import writing
from services.stores import Identity, StoreRecord
from ui import admin_copy, formats, forms, limits, sections, session
from ui.session import Operator

FIELDS = {"code": "Number", "name": "Name", "city": "City", "phone": "Phone", "cost_centre": "Cost centre",
          "timezone": "Time zone"}  # fmt: skip


def show(operator: Operator) -> None:
    st.header("Stores")
    records = stores.of_company(session.recently(operator), operator.account_id)
    present = [record for record in records if not record.archived_at]
    _table(present)
    _new(operator)
    if present:
        _one(operator, present)
    _archived(operator, [record for record in records if record.archived_at])


def _table(records: list[StoreRecord]) -> None:
    if not records:
        st.info("There is no store yet. Create the first one below.", icon=":material/storefront:")
        return
    st.dataframe([_row(record) for record in records], hide_index=True, alt="Stores with their place, limit and state")
    st.download_button(
        "Export as CSV", writing.stores(records), "stores.csv", "text/csv", key="stores_export", on_click="ignore",
        icon=":material/download:",
    )  # fmt: skip


def _row(record: StoreRecord) -> dict[str, str]:
    values = {label: getattr(record, field) or "" for field, label in FIELDS.items()}
    state = f"Suspended: {record.suspended_reason or 'no reason given'}" if record.suspended_at else "Open"
    return {**values, "Limit a month": limits.words(record.monthly_quota_usd), "State": state}


# Name, number and place -----------------------------------------------------------------------------------------------


def _new(operator: Operator) -> None:
    with st.expander("New store", icon=":material/add_business:"):
        form = sections.of(operator, "new_store")
        store_id = st.session_state.setdefault(f"{form}_id", uuid4())
        typed = _identity_form(form, None, operator.timezone, "Create store")
        if typed is None:
            return
        if sections.save(
            operator,
            form,
            lambda: stores.create(operator.database, operator.account_id, store_id, typed),
        ):
            del st.session_state[f"{form}_id"]
            st.toast(formats.plain(f"{typed.code} · {typed.name} created."), icon=":material/check:")
        st.rerun()


def _identity_form(form: str, record: StoreRecord | None, timezone: str, button: str) -> Identity | None:
    """What was sent, or None. Empty for a new store."""
    zones = sorted(identity.timezones())
    values = {}
    with st.form(form, border=False):
        for field, label in FIELDS.items():
            before = getattr(record, field) if record else None
            key = sections.key(form, field)
            if field == "timezone":
                values[field] = st.selectbox(label, zones, index=zones.index(_zone(before or timezone)), key=key)
            else:
                values[field] = st.text_input(label, value=before or "", key=key)
            forms.beside(f"{form}.{field}")
        sent = st.form_submit_button(button, type="primary")
        forms.beside(f"{form}.")
    return Identity(**values) if sent else None


def _zone(name: str) -> str:
    return name if name in identity.timezones() else "UTC"


# One store ------------------------------------------------------------------------------------------------------------


def _one(operator: Operator, records: list[StoreRecord]) -> None:
    st.subheader("Change a store")
    by_id = {str(record.id): record for record in records}
    chosen = session.chosen_store(operator)
    start = list(by_id).index(str(chosen.id)) if chosen and str(chosen.id) in by_id else 0
    picked = st.selectbox(
        "Store to change", list(by_id), index=start, format_func=lambda key: by_id[key].label,
        key=sections.of(operator, "store_to_change"),
    )  # fmt: skip
    record = by_id[picked]
    left, right = st.columns(2)
    with left.container(border=True):
        _change(operator, record)
    with right.container(border=True):
        _suspend(operator, record)
    with right.container(border=True):
        _archive(operator, record)
    admin_copy.show(operator, record, records)


def _change(operator: Operator, record: StoreRecord) -> None:
    form = f"store_{record.id}"
    version = sections.seen(form, "name", record.version)
    typed = _identity_form(form, record, record.timezone, "Save")
    if st.session_state.get(f"{form}_told"):
        now = ", ".join(f"{label} {getattr(record, field) or 'empty'}" for field, label in FIELDS.items())
        st.info(formats.plain(f"It says now: {now}. Saving again replaces that."), icon=":material/history:")
    if typed is None:
        return
    saved = sections.save(operator, form, lambda: stores.save(operator.database, record.id, typed, version))
    st.session_state[f"{form}_told"] = f"{form}_seen" not in st.session_state and not saved
    if saved:
        st.toast(formats.plain(f"{typed.code} · {typed.name} saved."), icon=":material/check:")
    st.rerun()


def _suspend(operator: Operator, record: StoreRecord) -> None:
    form, suspended = f"suspend_{record.id}", record.suspended_at is not None
    if record.suspended_at:
        since = formats.moment(record.suspended_at, operator.timezone)
        st.text(f"Suspended since {since}: {record.suspended_reason or 'no reason given'}")
    else:
        st.text("Suspended, the store buys nothing new; work under way ends as it was ordered.")
    with st.form(form, border=False):
        reason = st.text_input(
            "Reason to lift it" if suspended else "Reason to suspend", key=sections.key(form, "reason")
        )
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Lift the suspension" if suspended else "Suspend the store")
        forms.beside(f"{form}.")
    if sent:
        change = stores.lift_suspension if suspended else stores.suspend
        if sections.save(operator, form, lambda: change(operator.database, record.id, reason)):
            st.toast("Suspension lifted." if suspended else "Store suspended.", icon=":material/check:")
        st.rerun()


# Archiving ------------------------------------------------------------------------------------------------------------


def _archive(operator: Operator, record: StoreRecord) -> None:
    asked = st.session_state.get("archive_asked") == record.id
    if not asked:
        st.text("Archived, a store is in no list; its costs, speech and log are kept, and it can be brought back.")
        if st.button("Archive this store …", key="archive_ask", icon=":material/archive:"):
            st.session_state["archive_asked"] = record.id
            st.rerun()
        return
    st.text(_archiving(stores.work(operator.database, record.id), record))
    form = f"archive_{record.id}"
    with st.form(form, border=False):
        reason = st.text_input("Reason to archive", key=sections.key(form, "reason"))
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button(f"Archive {formats.plain(record.label)}", type="primary")
        forms.beside(f"{form}.")
    if st.button("Keep it", key="archive_keep"):
        del st.session_state["archive_asked"]
        st.rerun()
    if sent:
        if sections.save(operator, form, lambda: stores.archive(operator.database, record.id, reason)):
            del st.session_state["archive_asked"]
            st.toast(formats.plain(f"{record.label} archived."), icon=":material/check:")
        st.rerun()


def _archiving(work: stores.Work, record: StoreRecord) -> str:
    jobs = f"{work.running} running and {work.waiting} waiting jobs"
    if not work.open:
        return f"Archive {record.label}? It has {jobs}, and no money is held. Everything it has is kept."
    return (
        f"{record.label} has {jobs}, and {formats.usd(work.held)} is held by {work.open} of them: "
        "it can be archived when they are done, or ended on the Jobs page."
    )


def _archived(operator: Operator, records: list[StoreRecord]) -> None:
    if not records:
        return
    with st.expander(f"Archived stores ({len(records)})", icon=":material/inventory_2:"):
        rows = [
            {**_row(record), "Archived": formats.moment(record.archived_at, operator.timezone)}
            for record in records
            if record.archived_at
        ]
        st.dataframe(rows, hide_index=True, alt="Archived stores")
        by_id = {str(record.id): record for record in records}
        form = sections.of(operator, "restore")
        with st.form(form, border=False):
            picked = st.selectbox(
                "Archived store", list(by_id), format_func=lambda key: by_id[key].label, key=f"{form}_store"
            )
            reason = st.text_input("Reason to bring it back", key=sections.key(form, "reason"))
            forms.beside(f"{form}.reason")
            sent = st.form_submit_button("Bring it back")
            forms.beside(f"{form}.")
        if sent:
            record = by_id[picked]
            if sections.save(operator, form, lambda: stores.restore(operator.database, record.id, reason)):
                st.toast(formats.plain(f"{record.label} is back."), icon=":material/check:")
            st.rerun()
