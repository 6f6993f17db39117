"""Live progress of jobs: polled once a second, and only while something runs."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import streamlit as st

from services.errors import AppError
from services.jobs import queue
from services.jobs.queue import Job
from services.speech.bills import Spent
from ui import formats, session
from ui.session import Operator

POLL = "1s"
NOTHING_SPENT = Spent()  # of jobs that buy nothing
ICONS = {
    "pending": ":material/hourglass_empty:",
    "running": ":material/progress_activity:",
    "completed": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}
KINDS = {
    "speech": "Speech",
    "prepare_clip": "Clip",
    "put_speech": "Speech on a clip",
    "script": "Script",
    "captions": "Captions",
    "cover": "Cover",
    "channel_rules": "Networks' rules",
    "export_costs": "Export of costs",
    "export_ledger": "Scheduled export",
    "voices": "Voice list",
    "invite": "Invitation",
    "test_credential": "Connection test",
    "check_money_of": "Check of the sums",
    "rebuild_costs": "Rebuild of the sums",
}  # that belong to a company; the installation's own are nobody's business


class Tracked(Protocol):
    """A job, or what stands for one."""

    @property
    def id(self) -> UUID: ...

    @property
    def open(self) -> bool: ...


def kind(job: Job) -> str:
    return KINDS.get(job.kind, job.kind.replace("_", " ").capitalize())


def live(
    operator: Operator, jobs: list[Job], load: Callable[[], list[Job]], draw: Callable[[Job], None], *, key: str
) -> None:
    """Draw `jobs`; while one of them is open, what `load` returns each second; run the page again when one ends."""
    first = [jobs]  # drawn as they are; later runs of the fragment read anew

    def show() -> list[Job]:
        shown = first.pop() if first else load()
        for job in shown:
            draw(job)
        return shown

    polled(operator, show, active=any(job.open for job in jobs), key=key)


def polled(operator: Operator, show: Callable[[], Sequence[Tracked]], *, active: bool, key: str) -> None:
    """Run `show`, while `active` each second; it draws and returns the jobs. Run the page again when one ends."""

    @st.fragment(run_every=POLL if active else None, key=key)
    def part() -> None:
        try:
            if session.current() is None:  # fragment runs do not pass the shell
                st.rerun()
            shown = show()
        except AppError as exc:
            st.warning(str(exc), icon=":material/cloud_off:")
            return
        if _some_ended(shown, key):
            session.forget_numbers(operator)
            st.rerun()

    part()


def _some_ended(shown: Sequence[Tracked], key: str) -> bool:
    """Whether a job that was open when `key` was last drawn is so no more. The page may have run between two polls."""
    name, now = f"{key}_open", {job.id for job in shown if job.open}
    before = st.session_state.get(name, set())
    st.session_state[name] = now
    return bool(before - now)


def is_lost(job: Job) -> bool:
    """Whether it ended without a result: what it cost must be told."""
    return job.status in ("failed", "cancelled")


def bar(job: Job, spent: Spent) -> None:
    """A running job's share and sentence; an ended one's sentence, with what its calls came to."""
    if job.open:
        st.progress(float(job.progress), text=f"{kind(job)}: {job.message}")
    elif job.status == "failed":
        st.error(formats.plain(f"{job.error or 'Failed.'} {outcome(spent)}"), icon=ICONS["failed"])
    elif job.status == "cancelled":
        st.info(formats.plain(f"{kind(job)}: cancelled. {outcome(spent)}"), icon=ICONS["cancelled"])


def outcome(spent: Spent) -> str:
    """What a job that ended without a result was charged, what of it is kept, and what is not known."""
    sentences = []
    if spent.booked > 0:
        sentences.append(f"{formats.usd(spent.booked)} was charged.")
    if spent.kept:
        sentences.append(f"{_passages(spent.kept)} bought and kept: a retry reuses what was bought.")
    if spent.under_way:
        sentences.append(f"Whether {_calls(spent.under_way)} billed is being found out.")
    if spent.unclear:
        sentences.append(f"Nobody can tell whether {_calls(len(spent.unclear))} billed.")
    return " ".join(sentences) or "Nothing was charged."


def _passages(count: int) -> str:
    return "1 passage was" if count == 1 else f"{count:,} passages were"


def _calls(count: int) -> str:
    return "a call was" if count == 1 else f"{count:,} calls were"


def cancel_button(operator: Operator, job: Job) -> None:
    label = "Stopping…" if job.stopping else "Cancel"
    if st.button(label, key=f"cancel_{job.id}", disabled=job.stopping, icon=":material/stop_circle:"):
        act(operator, job, lambda: queue.cancel(operator.database, job.id), "Asked to stop.")


def retry_button(operator: Operator, job: Job) -> None:
    if st.button("Retry", key=f"retry_{job.id}", icon=":material/replay:"):
        act(operator, job, lambda: queue.retry(operator.database, job.id), "Queued again.")


def act(operator: Operator, job: Job, run: Callable[[], object], done: str) -> None:
    """Do it, say so and show the new state; why it could not be done is kept for `refused`."""
    try:
        run()
    except AppError as exc:
        st.session_state["job_refused"] = (job.id, exc)
    else:
        session.forget_numbers(operator)
        st.toast(done, icon=":material/check:")
    st.rerun()


def refused(job: Job) -> AppError | None:
    """Why the last click on this job's buttons was refused; told once."""
    job_id, error = st.session_state.get("job_refused", (None, None))
    if job_id != job.id:
        return None
    del st.session_state["job_refused"]
    return error
