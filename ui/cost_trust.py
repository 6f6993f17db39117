"""Whether the page's sums equal the ledger, when that was checked, and having them checked or made anew."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import pandas as pd
import streamlit as st

from services.costs import trust
from services.costs.trust import Trust
from services.database.door import Database
from services.errors import AppError
from services.identity import Role
from services.jobs import queue
from ui import formats, forms, job_progress, session
from ui.job_progress import NOTHING_SPENT
from ui.recent import CACHE_SECONDS
from ui.session import Operator

FORM = "costs_trust"


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _state(account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, _database: Database) -> Trust:
    return trust.state(_database, account_id)


def read_at(operator: Operator) -> datetime | None:
    """When spending was last read for alerts; for admins and finance. Raises what asking raises."""
    return _state(*session.cache_key(operator), operator.database).read_at


def show(operator: Operator) -> None:
    """A quiet line, or a warning with what differs; for admins and finance, whose the company's sums are."""
    if operator.role == "manager":
        return
    try:
        found = _state(*session.cache_key(operator), operator.database)
    except AppError as exc:
        st.warning(str(exc), icon=":material/cloud_off:")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="costs_trust"):
        _said(operator, found)
        if found.job_id is None:
            _buttons(operator, found)
    forms.beside(f"{FORM}.", f"{FORM}.reason")
    if found.job_id is not None:
        _under_way(operator, found.job_id)
    if found.differing:
        _table(found)


def _said(operator: Operator, found: Trust) -> None:
    if found.checked_at is None:
        st.caption("The sums are compared with the ledger every night. That has not happened yet.", width="stretch")
        return
    when = f"checked {formats.moment(found.checked_at, operator.timezone)} · entry {found.seq:,} of the ledger"
    if found.differences:
        st.warning(f"{_sums(found.differences)} from the ledger · {when}", icon=":material/rule:", width="stretch")
    else:
        st.caption(f":material/verified: All sums equal the ledger · {when}", width="stretch")


def _sums(count: int) -> str:
    return "1 sum differs" if count == 1 else f"{count:,} sums differ"


def _buttons(operator: Operator, found: Trust) -> None:
    st.button("Check now", key="costs_check", icon=":material/fact_check:", on_click=_order_check, args=(operator,))
    if operator.role == "admin":
        with st.popover("Rebuild", icon=":material/restart_alt:", key="costs_rebuild"):
            _rebuild(operator, found)


def _rebuild(operator: Operator, found: Trust) -> None:
    months = f"{found.months:,} months" if found.months > 1 else "each month"
    st.write(f"The sums of {months} are made anew from the ledger, one month after the other, while everybody goes on.")
    st.caption("The ledger itself never changes. Ask first why the sums differ: afterwards it cannot be seen any more.")
    reason = st.text_input("Reason", key="costs_rebuild_reason")
    st.button("Make all sums anew", type="primary", key="costs_rebuild_order", on_click=_order_rebuild,
              args=(operator, reason))  # fmt: skip


def _order_check(operator: Operator) -> None:
    _order(operator, lambda: trust.order_check(operator.database, operator.account_id, uuid4()))


def _order_rebuild(operator: Operator, reason: str) -> None:
    _order(operator, lambda: trust.order_rebuild(operator.database, operator.account_id, uuid4(), reason))


def _order(operator: Operator, run: Callable[[], UUID]) -> None:
    """From a button: what goes wrong is said beneath it when the page is drawn."""
    forms.attempt(FORM, run)
    session.forget_numbers(operator)


def _under_way(operator: Operator, job_id: UUID) -> None:
    load = lambda: [queue.get_job(operator.database, job_id)]  # noqa: E731 - a name for one expression
    job_progress.live(operator, load(), load, lambda job: job_progress.bar(job, NOTHING_SPENT), key="costs_trust_job")


def _table(found: Trust) -> None:
    lines = [
        (f"{line.month:%B %Y}", line.store or "Company", line.what, str(line.stored), str(line.ledger))
        for line in found.differing
    ]
    with st.expander("What differs", icon=":material/rule:"):
        st.dataframe(
            pd.DataFrame(lines, columns=["Month", "Store", "Sum", "Stored", "By the ledger"]), hide_index=True,
            alt="One row a sum that differs from the ledger",
        )  # fmt: skip
        if found.differences > len(lines):
            st.caption(f"The first {len(lines):,} of {found.differences:,}.")
