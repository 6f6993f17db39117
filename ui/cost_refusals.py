"""Which jobs were refused lately, and why, on the Costs page: read when somebody opens it."""

import streamlit as st

from services.costs import refusals
from services.costs.refusals import RefusedJob
from services.profiles import Store
from ui import formats, job_progress, refusal, session
from ui.session import Operator


def show(operator: Operator, store: Store | None, zone: str) -> None:
    card = st.expander("Why was I refused?", key="costs_refused", icon=":material/help:", on_change="rerun")
    if card.open:
        with card:
            _latest(operator, store, zone)


def _latest(operator: Operator, store: Store | None, zone: str) -> None:
    stores = {one.id: one for one in session.stores(operator)}
    found = refusals.recent(operator.database, operator.account_id, store.id if store else None)
    jobs = {str(job.id): job for job in found if job.profile_id in stores}
    if not jobs:
        st.caption(
            "No job was refused that has not been made since. The Voice page says before each order what it needs."
        )
        return
    chosen = st.selectbox(
        "Refused lately", list(jobs), format_func=lambda key: _title(jobs[key], stores[jobs[key].profile_id], zone),
        key="costs_refused_job",
    )  # fmt: skip
    job = jobs[chosen]
    error = refusals.told(job.refusal)
    refusal.show(operator, stores[job.profile_id], error, characters=job.characters or 0, job_id=job.id)


def _title(job: RefusedJob, store: Store, zone: str) -> str:
    kind = job_progress.KINDS.get(job.kind, job.kind)
    return f"{formats.moment(job.at, zone)} · {kind} · {store.label} · {job.person or 'somebody who left'}"
