"""Jobs: what runs, what ended and why, with retry and cancel. The filters are in the address."""

from uuid import UUID

import streamlit as st

from services.errors import AppError, QuotaExceeded
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from ui import formats, job_progress, pager, refusal, session
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


def line(operator: Operator, stores: dict[UUID, Store], people: dict[UUID | None, str], zone: str, job: Job) -> None:
    with st.container(border=True, key=f"job_{job.id}"):
        what, state, buttons = st.columns([4, 4, 2], vertical_alignment="center")
        where = formats.plain(store_name(stores, job))
        who = formats.plain(people.get(job.created_by, "Somebody who left"))
        what.markdown(f"{job_progress.ICONS[job.status]} **{job_progress.kind(job)}** · {where}")
        what.caption(f"{formats.moment(job.created_at, zone)} · {who}")
        if preview := job.input.get("text"):
            what.text(preview if len(preview) <= 100 else f"{preview[:100]}…")
        with state:
            if job.status == "completed":
                st.caption(f"Done in {formats.seconds(job.seconds)}")
            else:
                job_progress.bar(job)
        with buttons:
            actions(operator, stores, job)
        if error := job_progress.refused(job):
            explain(operator, stores, job, error)


def store_name(stores: dict[UUID, Store], job: Job) -> str:
    if job.profile_id is None:
        return "Company"
    return stores[job.profile_id].label if job.profile_id in stores else "A store that was archived"


def actions(operator: Operator, stores: dict[UUID, Store], job: Job) -> None:
    if operator.role == "finance":
        return
    if job.open:
        job_progress.cancel_button(operator, job)
    elif job.status in ("failed", "cancelled") and job.profile_id in stores:
        job_progress.retry_button(operator, job)


def explain(operator: Operator, stores: dict[UUID, Store], job: Job, error: AppError) -> None:
    """Across the card: why a click was refused."""
    if isinstance(error, QuotaExceeded) and error.refusal and job.profile_id:
        refusal.show(operator, stores[job.profile_id], error.refusal, characters=len(job.input.get("text", "")))
    else:
        st.error(str(error), icon=":material/error:")


def empty(filtered: bool) -> None:
    if filtered:
        st.info("No job matches. Choose another state or kind.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has run here yet. Speak a line on the Voice page.", icon=":material/graphic_eq:")


def show(operator: Operator) -> None:
    store = session.chosen_store(operator)
    st.title("Jobs")
    status, kind = filters()
    after = pager.after("jobs", (operator.account_id, store and store.id, status, kind))

    def load() -> list[Job]:
        return queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id if store else None, status=status,
            kind=kind, limit=PAGE, after=after,
        )  # fmt: skip

    jobs = load()
    if not jobs:
        empty(filtered=bool(status or kind or after))
    stores = {choice.id: choice for choice in session.stores(operator)}
    people = session.names(operator)
    zone = store.timezone if store else operator.timezone
    job_progress.live(operator, jobs, load, lambda job: line(operator, stores, people, zone, job), key="jobs_live")
    pager.buttons("jobs", jobs[-1].key if len(jobs) == PAGE else None)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
