"""What a job cost: its entries in the ledger, read when somebody opens them."""

from decimal import Decimal

import streamlit as st

from services.costs import ledger
from services.costs.ledger import CostEntry
from services.errors import AppError
from services.jobs.queue import Job
from ui import charts, formats, pager, session
from ui.session import Operator

PAGE = 50  # entries; a long text has one for each of up to 4,000 passages


def show(operator: Operator, job: Job, cost: Decimal, zone: str) -> None:
    label = f"What it cost · {formats.usd(cost)}"
    card = st.expander(formats.plain(label), key=f"cost_{job.id}", icon=":material/receipt_long:", on_change="rerun")
    if card.open:
        with card:
            try:
                _entries(operator, job, zone)
            except AppError as exc:
                st.error(str(exc), icon=":material/error:")


def _entries(operator: Operator, job: Job, zone: str) -> None:
    known, key = session.recently(operator), f"ledger_{job.id}"
    found = ledger.of_job(known, job.id, limit=PAGE + 1, after=pager.after(key, job.id))
    shown = found[:PAGE]
    said = ledger.previews(known, shown)
    st.dataframe(
        [_line(entry, said.get(entry.id, ""), zone) for entry in shown],
        hide_index=True,
        alt="One row an entry of the ledger, in the order of booking",
    )
    st.caption("As booked in the ledger, in US dollars.")
    pager.buttons(key, (shown[-1].seq,) if len(found) > PAGE else None)


def _line(entry: CostEntry, preview: str, zone: str) -> dict[str, str]:
    line = {
        "When": formats.moment(entry.occurred_at, zone),
        "What": preview,
        "Service": charts.name(entry.service),
        "Model": entry.model,
        "Units": ", ".join(f"{Decimal(str(count)):,f} {kind.replace('_', ' ')}" for kind, count in entry.units.items()),
        "Price": entry.rate,
        "Cost, US dollars": formats.usd(entry.cost_usd),
    }
    if entry.overrun_usd:
        line["Above what was announced"] = formats.usd(entry.overrun_usd)
    return line
