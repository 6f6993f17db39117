"""Runs under way, phase by phase, and what became of the one that was started here."""

from collections.abc import Sequence
from uuid import UUID

import streamlit as st

from services.errors import AppError, NotFound, QuotaExceeded
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.scripts import runs, versions
from services.scripts.runs import Run, Step
from services.speech.bills import Spent
from ui import formats, job_progress, refusal, script_address, script_hand, script_words
from ui.script_address import RUN, RUNS, VERSION, VERSIONS
from ui.session import Operator

LATEST = 10  # jobs among which open ones are looked for
MARKS = {
    "running": ":material/progress_activity:",
    "completed": ":material/check_circle:",
    "failed": ":material/error:",
}


def show(operator: Operator, store: Store) -> None:
    watched = script_address.named(RUN)

    def load() -> list[Job]:
        latest = queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id, kind="script", limit=LATEST
        )
        return [job for job in latest if job.open or job.id == watched]

    def draw(job: Job) -> None:
        progress(operator, store, job)

    found = load()
    job_progress.live(operator, found, load, draw, key="script_live")
    if watched and not any(job.id == watched and job.open for job in found):
        _outcome(operator, store, watched)
    elif not found:
        st.info("A run appears here while it is written, and then its text.", icon=":material/history_edu:")


def progress(operator: Operator, store: Store, job: Job) -> None:
    """A job that is open with its phases so far and a way to stop it; why a click on it was refused."""
    if job.open:
        with st.container(border=True, key=f"script_job_{job.id}"):
            st.caption(formats.plain(str(job.input.get("assistant", ""))))
            job_progress.bar(job, Spent())
            phases(runs.steps(operator.database, job.id))
            job_progress.cancel_button(operator, job)
    if error := job_progress.refused(job):
        explain(operator, store, error)


def explain(operator: Operator, store: Store, error: AppError) -> None:
    if isinstance(error, QuotaExceeded) and error.refusal:
        refusal.show(operator, store, error, ways=refusal.SCRIPT_WAYS)
    else:
        st.error(str(error), icon=":material/error:")


def phases(steps: Sequence[Step]) -> None:
    """A line for each phase that began."""
    lines = [f"{MARKS[step.status]} {script_words.PHASES[step.phase]}{_told(step)}" for step in steps]
    if lines:
        st.markdown("  \n".join(lines))


def _told(step: Step) -> str:
    parts = []
    if step.phase == "prompt_analysis" and step.output:
        parts.append(f"score {step.output['score']:g}")
    if step.seconds is not None:
        parts.append(formats.seconds(step.seconds))
    if step.cost_usd > 0:
        parts.append(formats.plain(formats.usd(step.cost_usd)))
    return f" · {' · '.join(parts)}" if parts else ""


def _outcome(operator: Operator, store: Store, run_id: UUID) -> None:
    """Of the run that the address names."""
    try:
        run = runs.get(operator.database, run_id)
    except NotFound:
        run = None
    if run is None or run.profile_id != store.id:
        st.warning("The run in the address is not one of this store's.", icon=":material/link_off:")
        return
    with st.container(border=True, key="script_outcome"):
        if run.status == "completed":
            _text(operator, run)
        else:
            ended(run)
        st.button("How it was made", key="script_to_run", icon=":material/timeline:", type="tertiary",
                  on_click=script_address.go, args=(RUNS,), kwargs={RUN: run.id})  # fmt: skip


def ended(run: Run) -> None:
    """Why it ended, and what it cost all the same."""
    charged = "Nothing was charged." if run.total_cost_usd == 0 else f"{formats.usd(run.total_cost_usd)} was charged."
    if run.status == "failed":
        st.error(formats.plain(f"{run.error or 'It failed.'} {charged}"), icon=":material/error:")
    elif run.status == "cancelled":
        st.info(formats.plain(f"Cancelled. {charged}"), icon=":material/cancel:")
    elif run.status == "completed":
        st.success(formats.plain(f"{runs.BECAUSE.get(run.ended_because or '', 'Done.')} {charged}"),
                   icon=":material/check_circle:")  # fmt: skip


def _text(operator: Operator, run: Run) -> None:
    ended(run)
    if run.version_id is None:
        st.warning("Its version is gone.", icon=":material/link_off:")
        return
    version = versions.get(operator.database, run.version_id)
    again = "" if version.run_id == run.id else " The assistant had this text already, so there is no new version."
    st.markdown(f"**{version.name} · {formats.plain(version.title)}**")
    st.caption(f"{script_words.VERSIONS[version.status]} · {script_words.score(run.best_score)}.{again}")
    st.text(version.content)
    script_hand.links(version)
    st.button("Open the version", key="script_to_version", icon=":material/history:", type="tertiary",
              on_click=script_address.go, args=(VERSIONS,),
              kwargs={"assistant": version.assistant_id, VERSION: version.id})  # fmt: skip
