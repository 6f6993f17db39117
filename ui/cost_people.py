"""What one person spent: totals, categories, months, usage, and the entries behind them."""

from uuid import UUID

import pandas as pd
import streamlit as st

from services.costs.desk import Desk
from services.costs.entries import SYSTEM, Summary
from ui import charts, cost_charts, cost_data, cost_entries, cost_lines, formats
from ui.session import Operator

USAGE = {
    "characters": "characters", "tokens": "tokens", "emails_sent": "e-mails",
    "storage_operations": "storage operations", "storage_mb": "MB stored", "compute_seconds": "seconds computed",
}  # fmt: skip


def mine(operator: Operator, zone: str) -> None:
    show(operator, operator.person.id, zone)


def everybody(operator: Operator, desk: Desk, zone: str) -> None:
    """Who spent in the range's months; one of them is shown in full."""
    if not desk.people:
        st.info("Nobody spent anything in this range.", icon=":material/group_off:")
        return
    found = cost_lines.rows(desk, "person")
    st.dataframe(
        pd.DataFrame([(row.name, formats.usd(row.usd), f"{row.entries:,}") for row in found],
                     columns=["Person", "Cost", "Entries"]),
        hide_index=True, alt="One row a person, the dearest first",
    )  # fmt: skip
    st.caption(f"Whole months from {desk.from_month:%B %Y} to {desk.to_month:%B %Y}.")
    names = {row.only.key: row.name for row in found}
    chosen = st.selectbox("Person", list(names), format_func=names.__getitem__, key="costs_person", width=300)
    show(operator, None if chosen == SYSTEM else UUID(chosen), zone)


def show(operator: Operator, user_id: UUID | None, zone: str) -> None:
    summary = cost_data.summary(operator, user_id)
    as_of = f"As of {formats.moment(summary.as_of, zone)}."
    with st.container(key="tiles_person"):
        st.metric("Spent ever", formats.usd(summary.total_cost_usd), border=True, help=as_of)
        st.metric("Spent this month", formats.usd(summary.this_month), border=True, help=as_of)
        st.metric("Entries", f"{summary.entries:,}", border=True, help=as_of)
    if summary.entries:
        _details(summary, as_of)
    st.header("Entries")
    cost_entries.of_person(operator, user_id, zone)


def _details(summary: Summary, as_of: str) -> None:
    left, right = st.columns(2)
    with left.container(border=True):
        st.header("By category", help=as_of)
        found = sorted(((usd, name) for name, usd in summary.by_category.items() if usd), reverse=True)
        figure = cost_charts.breakdown([charts.name(name) for _, name in found], [float(usd) for usd, _ in found])
        charts.draw(figure, key="costs_categories", alt="Cost by category, the dearest first")
        st.caption(", ".join(f"{count.normalize():,f} {USAGE[kind]}" for kind, count in summary.usage.items() if count))
    with right.container(border=True):
        st.header("By month", help=as_of)
        rows = [(f"{line.month:%B %Y}", formats.usd(line.usd), f"{line.entries:,}") for line in summary.months[::-1]]
        table = pd.DataFrame(rows, columns=["Month", "Cost", "Entries"])
        st.dataframe(table, hide_index=True, alt="One row a month, the latest first")
