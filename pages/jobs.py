"""Jobs: what runs, what ended and why, with retry and cancel. The filters are in the address."""

from datetime import datetime
from uuid import UUID

import streamlit as st

from services.errors import AppError
from services.jobs import queue
from services.jobs.queue import Job
from ui import formats, job_progress, session
from ui.session import Operator

person = session.require("admin", "manager", "finance")

STATUSES = {"any": "Any state", "running": "Running", "pending": "Queued", "completed": "Completed",
            "failed": "Failed", "cancelled": "Cancelled"}  # fmt: skip
PAGE = 25


def filters() -> tuple[str | None, str | None]:
    with st.container(horizontal=True):
        status = st.selectbox(
            "State", list(STATUSES), format_func=STATUSES.get, key="status", bind="query-params", width=200
        )
        kinds = {"any": "Any kind", **job_progress.KINDS}
        kind = st.selectbox("Kind", list(kinds), format_func=kinds.get, key="kind", bind="query-params", width=200)
    return (None if status == "any" else status), (None if kind == "any" else kind)


def cursor() -> list[tuple[datetime, UUID]]:
    """The keys of the pages turned so far; the last one is where this page begins."""
    return st.session_state.setdefault("jobs_pages", [])


def line(operator: Operator, stores: dict[UUID, str], people: dict[UUID | None, str], zone: str, job: Job) -> None:
    with st.container(border=True, key=f"job_{job.id}"):
        what, state, buttons = st.columns([4, 4, 2], vertical_alignment="center")
        what.markdown(
            f"{job_progress.ICONS[job.status]} **{job_progress.kind(job)}** · {stores.get(job.profile_id, 'Company')}"
        )
        what.caption(f"{formats.moment(job.created_at, zone)} · {people.get(job.created_by, 'Somebody who left')}")
        if preview := job.input.get("text"):
            what.text(preview if len(preview) <= 100 else f"{preview[:100]}…")
        with state:
            if job.status == "completed":
                st.caption(f"Done in {formats.seconds(job.seconds)}")
            else:
                job_progress.bar(job)
        with buttons:
            actions(operator, job)


def actions(operator: Operator, job: Job) -> None:
    if operator.role == "finance":
        return
    if job.status in job_progress.ACTIVE:
        job_progress.cancel_button(operator, job)
    elif job.status in ("failed", "cancelled"):
        job_progress.retry_button(operator, job)


def turn_pages(jobs: list[Job]) -> None:
    turned = cursor()
    with st.container(horizontal=True, horizontal_alignment="center"):
        if turned and st.button("Newer", icon=":material/arrow_back:", key="jobs_newer"):
            turned.pop()
            st.rerun()
        if len(jobs) == PAGE and st.button("Older", icon=":material/arrow_forward:", key="jobs_older"):
            turned.append(jobs[-1].key)
            st.rerun()


def empty(status: str | None, kind: str | None) -> None:
    if status or kind or cursor():
        st.info("No job matches. Choose another state or kind.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has run here yet. Speak a line on the Voice page.", icon=":material/graphic_eq:")


def show(operator: Operator) -> None:
    store = session.chosen_store(operator)
    st.title("Jobs")
    status, kind = filters()
    chosen = (operator.account_id, store and store.id, status, kind)
    if st.session_state.get("jobs_filters") != chosen:
        st.session_state["jobs_filters"], st.session_state["jobs_pages"] = chosen, []
    stores = {s.id: s.label for s in session.stores(operator)}
    people = session.names(operator)
    zone = store.timezone if store else operator.timezone
    after = cursor()[-1] if cursor() else None

    def load() -> list[Job]:
        return queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id if store else None, status=status,
            kind=kind, limit=PAGE, after=after,
        )  # fmt: skip

    jobs = load()
    if not jobs:
        empty(status, kind)
    job_progress.live(operator, load, lambda job: line(operator, stores, people, zone, job), key="jobs_live")
    turn_pages(jobs)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
