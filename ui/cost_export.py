"""The Costs page's exports: what is shown as a file, one's own latest files, and the ledger's scheduled export."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import streamlit as st

from services.costs import desk, exports
from services.costs.desk import LEDGER_BEGINS
from services.costs.exports import Export, Ledger, LedgerFile, Period, Wanted
from services.profiles import Store
from ui import cost_filters, formats, forms, job_progress, sections, session
from ui.cost_filters import CUTS
from ui.session import Operator

Span = tuple[date, date]
FORMATS = {"csv": "CSV", "xlsx": "Excel (XLSX)"}
PERIODS: dict[Period, str] = {"off": "Off", "daily": "Each day", "monthly": "Each finished month"}
ORDER = "costs_export_order"  # the next file's id: a click that is sent twice makes one


def offer(operator: Operator, store: Store | None, part: str, asked: Span, zone: str) -> None:
    """Nothing is asked before it is opened."""
    card = st.popover("Export", icon=":material/download:", key="costs_export", on_change="rerun")
    if not card.open:
        return
    with card:
        _ask(operator, _offers(operator, store, part, asked))
        found = exports.desk(operator.database, operator.account_id)
        _mine(operator, found.mine, zone)
        if found.ledger:
            _ledger(operator, found.ledger, zone)


# What can be had ----------------------------------------------------------------------------------------------------


def _offers(operator: Operator, store: Store | None, part: str, asked: Span) -> dict[str, dict[str, Any]]:
    """What the part shows by name, as fields of `Wanted`; what stands on the page now comes first."""
    here = {"profile_id": store.id if store else None, "from_day": asked[0], "to_day": asked[1]}
    if part == cost_filters.MINE:
        return _of_person("My", operator.person.id)
    if part == cost_filters.PEOPLE:
        return {"People": {**here, "view": "person"}} | _of_chosen_person(operator)
    if part == cost_filters.VALUE:
        return {exports.TITLES[view]: {**here, "view": view} for view in exports.VALUED}
    whole = {**here, "view": "entries", "from_day": LEDGER_BEGINS, "to_day": datetime.now(UTC).date()}
    if part == cost_filters.ENTRIES:
        return {"These entries": _these(here), "The whole ledger": whole}
    return _of_summary(here, asked) | {"Entries of the range": {**here, "view": "entries"}, "The whole ledger": whole}


def _of_summary(here: dict[str, Any], asked: Span) -> dict[str, dict[str, Any]]:
    shown = st.session_state["costs_by"]
    cuts = sorted(CUTS, key=lambda cut: cut != shown)
    views = {f"By {CUTS[cut].lower()}": {**here, "view": cut} for cut in cuts}
    grain = desk.fitting_grain(st.session_state["costs_bars"], *asked)
    return views | {"Trend": {**here, "view": "trend", "grain": grain}, "Months": {**here, "view": "months"}}


def _these(here: dict[str, Any]) -> dict[str, Any]:
    only = cost_filters.only()
    if only is None:
        return {**here, "view": "entries"}
    return {**here, "view": "entries", "profile_id": only.profile_id or here["profile_id"],
            "filters": dict(only.filters)}  # fmt: skip


def _of_chosen_person(operator: Operator) -> dict[str, dict[str, Any]]:
    chosen = st.session_state.get("costs_person")
    if chosen is None:
        return {}
    name = "System" if chosen == "system" else session.names(operator).get(UUID(chosen), "Somebody")
    return _of_person(f"{name}:", chosen)


def _of_person(whose: str, user_id: object) -> dict[str, dict[str, Any]]:
    ever = {"profile_id": None, "from_day": LEDGER_BEGINS, "to_day": datetime.now(UTC).date(),
            "filters": {"user_id": str(user_id)}}  # fmt: skip
    return {f"{whose} months": {**ever, "view": "spending"}, f"{whose} entries": {**ever, "view": "entries"}}


def _ask(operator: Operator, offers: dict[str, dict[str, Any]]) -> None:
    what = st.selectbox("What", list(offers), key="costs_export_what")
    kind = st.segmented_control(
        "As", list(FORMATS), format_func=FORMATS.__getitem__, default="csv", required=True, key="costs_export_as"
    )
    if st.button("Make the file", key="costs_export_make", type="primary", icon=":material/file_save:"):
        wanted = Wanted.model_validate({**offers[what], "format": kind})
        order = st.session_state.setdefault(ORDER, uuid4())
        if forms.attempt("export", lambda: exports.order(operator.database, operator.account_id, wanted, order)):
            del st.session_state[ORDER]
    forms.beside("export.", "export.view", "export.format", "export.range", "export.filters")


# What was had -------------------------------------------------------------------------------------------------------


def _mine(operator: Operator, found: list[Export], zone: str) -> None:
    first = [found]  # drawn as they are; later runs of the fragment read anew

    def show() -> Sequence[Export]:
        shown = first.pop() if first else exports.desk(operator.database, operator.account_id).mine
        for export in shown:
            _line(export, zone)
        return shown

    job_progress.polled(operator, show, active=any(export.open for export in found), key="costs_exports")
    if any(export.bytes is not None for export in found):
        st.caption("Files are kept for 30 days.")


def _line(export: Export, zone: str) -> None:
    name = formats.plain(f"{export.wanted.title}, {export.wanted.format.upper()}")
    if export.open:
        st.progress(export.progress, text=f"{name}: {export.message}")
    elif export.bytes is None:
        why = export.error if export.status == "failed" else "It was cancelled."
        st.markdown(f":material/error: {name}: {formats.plain(why or 'It failed.')}")
    else:
        st.markdown(f":material/download: {_link(name, export.id)} · {_facts(export)}")
        st.caption(f"{_span(export.wanted)} · asked for {formats.moment(export.created_at, zone)}")


def _span(wanted: Wanted) -> str:
    if wanted.view == "spending" or wanted.from_day == LEDGER_BEGINS:
        return "All time"
    return f"{wanted.from_day:%-d %b %Y} to {wanted.to_day:%-d %b %Y}"


def _facts(file: Export | LedgerFile) -> str:
    lines = "1 line" if file.lines == 1 else f"{file.lines:,} lines"
    total = formats.usd(file.total_usd) if file.total_usd is not None else ""
    return formats.plain(f"{lines} · {total} · {formats.megabytes(file.bytes or 0)}")


def _link(name: str, file_id: UUID) -> str:
    return f"[{name}](/files/exports/{file_id}?download=1)"


# The scheduled one --------------------------------------------------------------------------------------------------


def _ledger(operator: Operator, ledger: Ledger, zone: str) -> None:
    label = f"Ledger for other programs: {PERIODS[ledger.period].lower()}"
    with st.expander(label, expanded=ledger.error is not None, key="costs_ledger", icon=":material/sync:"):
        st.caption(f"A CSV of each month in the media store: exports/{operator.account_id}/ledger-YYYY-MM.csv")
        if ledger.error:
            at = f" ({formats.moment(ledger.tried_at, zone)})" if ledger.tried_at else ""
            st.error(formats.plain(f"The last try failed{at}: {ledger.error}"), icon=":material/error:")
        for file in ledger.files[:3]:
            st.markdown(f":material/download: {_link(f'{file.month:%B %Y}', file.id)} · {_facts(file)}")
            st.caption(f"Written {formats.moment(file.written_at, zone)}, up to entry {file.seq:,}")
        if operator.role == "admin":
            _schedule(operator, ledger)


def _schedule(operator: Operator, ledger: Ledger) -> None:
    form = sections.of(operator, "ledger_schedule")
    with st.form(form, border=False):
        period = st.selectbox(
            "Write it", list(PERIODS), index=list(PERIODS).index(ledger.period), format_func=PERIODS.__getitem__,
            key=sections.key(form, "period"),
        )  # fmt: skip
        forms.beside(f"{form}.period")
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="For our own sheets")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Save")
        forms.beside(f"{form}.")
    if sent and sections.save(
        operator, form, lambda: exports.schedule(operator.database, operator.account_id, period, reason)
    ):
        st.toast("Saved.", icon=":material/check:")
        st.rerun()
    elif sent:
        st.rerun()
