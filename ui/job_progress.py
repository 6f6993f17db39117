"""Live progress of jobs: polled once a second, and only while something runs."""

from collections.abc import Callable

import streamlit as st

from services.errors import AppError
from services.jobs import queue
from services.jobs.queue import Job
from ui import session
from ui.session import Operator

POLL = "1s"
ACTIVE = ("pending", "running")
ICONS = {
    "pending": ":material/hourglass_empty:",
    "running": ":material/progress_activity:",
    "completed": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}
KINDS = {"speech": "Speech"}  # that belong to a company; the installation's own are nobody's business


def kind(job: Job) -> str:
    return KINDS.get(job.kind, job.kind.replace("_", " ").capitalize())


def live(operator: Operator, load: Callable[[], list[Job]], draw: Callable[[Job], None], *, key: str) -> None:
    """Draw the jobs that `load` returns, again each second while one of them runs; then run the page once more."""
    jobs = load()
    active = any(job.status in ACTIVE for job in jobs)

    @st.fragment(run_every=POLL if active else None, key=key)
    def part() -> None:
        try:
            if session.current() is None:  # fragment runs do not pass the shell
                st.rerun()
            shown = load()
        except AppError as exc:
            st.warning(str(exc), icon=":material/cloud_off:")
            return
        for job in shown:
            draw(job)
        if active and not any(job.status in ACTIVE for job in shown):
            session.forget_stores(operator)
            st.rerun()

    part()


def bar(job: Job) -> None:
    """A running job's share and sentence; an ended one's sentence."""
    if job.status in ACTIVE:
        st.progress(float(job.progress), text=f"{kind(job)}: {job.message}")
    elif job.status == "failed":
        st.error(job.error or "Failed.", icon=ICONS["failed"])
    elif job.status == "cancelled":
        st.info(f"{kind(job)}: cancelled. Nothing was charged.", icon=ICONS["cancelled"])


def cancel_button(operator: Operator, job: Job) -> None:
    stopping = job.cancel_requested_at is not None
    if st.button(
        "Stopping…" if stopping else "Cancel",
        key=f"cancel_{job.id}",
        disabled=stopping,
        icon=":material/stop_circle:",
    ):
        act(lambda: queue.cancel(operator.database, job.id), "Asked to stop.")


def retry_button(operator: Operator, job: Job) -> None:
    if st.button("Retry", key=f"retry_{job.id}", icon=":material/replay:"):
        act(lambda: queue.retry(operator.database, job.id), "Queued again.")


def act(run: Callable[[], object], done: str) -> None:
    """Do it, say so and show the new state; or say why not, where the button is."""
    try:
        run()
    except AppError as exc:
        st.error(str(exc), icon=":material/error:")
        return
    st.toast(done, icon=":material/check:")
    st.rerun()
