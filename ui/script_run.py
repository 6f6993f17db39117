"""One run: when its phases ran, what each cost, what was found, and why it ended."""

from collections.abc import Sequence
from uuid import UUID

import streamlit as st

from services.errors import NotFound
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.scripts import runs, versions
from services.scripts.runs import Run, Step
from ui import (
    charts,
    formats,
    job_progress,
    script_address,
    script_charts,
    script_clip,
    script_hand,
    script_watch,
    script_words,
)
from ui.script_address import ASSISTANT, RUN, RUNS, VERSION, VERSIONS
from ui.session import Operator


def show(operator: Operator, store: Store, run_id: UUID) -> None:
    st.button("All runs", icon=":material/arrow_back:", key="script_all_runs", on_click=script_address.go, args=(RUNS,),
              kwargs={RUN: None})  # fmt: skip
    try:
        run = runs.get(operator.database, run_id)
    except NotFound:
        run = None
    if run is None or run.profile_id != store.id:
        st.warning("The run in the address is not one of this store's.", icon=":material/link_off:")
        return
    _head(store, run)
    if run.clip_id:
        script_clip.link(operator, run.clip_id)
    job = _job(operator, run)
    if job:
        _live(operator, store, job)
    if run.status != "running":
        script_watch.ended(run)
    if job:
        _ways(operator, job)
    _version(operator, run)
    steps = runs.steps(operator.database, run.id)
    if steps:
        _phases(operator, store, run, steps)
    with st.expander("Briefing", icon=":material/description:"):
        st.text(run.briefing)


def _head(store: Store, run: Run) -> None:
    st.subheader(formats.plain(run.assistant_name))
    st.caption(f"{script_words.RUNS[run.status]} · {formats.moment(run.started_at, store.timezone)}")
    tokens = run.input_tokens + run.cached_tokens + run.output_tokens
    with st.container(key="tiles_script_run"):
        st.metric("Score", "—" if run.best_score is None else f"{run.best_score.normalize():f}", border=True)
        st.metric("Cost", "free" if run.total_cost_usd == 0 else formats.usd(run.total_cost_usd), border=True)
        st.metric("Tokens", f"{tokens:,}", border=True)
        st.metric("Took", "—" if run.seconds is None else formats.seconds(run.seconds), border=True)


def _job(operator: Operator, run: Run) -> Job | None:
    """None: the run was imported."""
    try:
        return queue.get_job(operator.database, run.id)
    except NotFound:
        return None


def _ways(operator: Operator, job: Job) -> None:
    with st.container(horizontal=True):
        if job_progress.is_lost(job):
            job_progress.retry_button(operator, job)
        st.page_link("../pages/jobs.py", label="Its job", icon=":material/pending_actions:",
                     query_params={"kind": "Script"})  # fmt: skip


def _live(operator: Operator, store: Store, job: Job) -> None:
    def load() -> list[Job]:
        return [queue.get_job(operator.database, job.id)]

    job_progress.live(operator, [job], load, lambda one: script_watch.progress(operator, store, one),
                      key=f"script_run_live_{job.id}")  # fmt: skip


def _version(operator: Operator, run: Run) -> None:
    if run.version_id is None:
        return
    version = versions.get(operator.database, run.version_id)
    with st.container(border=True, key="script_run_version"):
        st.markdown(f"**{version.name} · {formats.plain(version.title)}** · {script_words.VERSIONS[version.status]}")
        with st.expander("Text", icon=":material/notes:"):
            st.text(version.content)
        script_hand.links(version)
        st.button("Open the version", key="script_run_to_version", icon=":material/history:", type="tertiary",
                  on_click=script_address.go, args=(VERSIONS,),
                  kwargs={ASSISTANT: version.assistant_id, VERSION: version.id})  # fmt: skip


def _phases(operator: Operator, store: Store, run: Run, steps: Sequence[Step]) -> None:
    left, right = st.columns([3, 2])
    with left.container(border=True):
        st.markdown("**When**")
        charts.draw(script_charts.gantt(steps), key="script_gantt", alt="When each phase ran")
    with right.container(border=True):
        st.markdown("**What it cost**")
        found = runs.breakdown(operator.database, run.id)
        if any(row.cost_usd > 0 for row in found):
            charts.draw(script_charts.costs(found), key="script_costs", alt="Cost of each phase")
        else:
            st.caption("Nothing: no phase was charged.")
    st.dataframe([_row(step, store) for step in steps], hide_index=True, alt="The run's phases")
    st.caption("Tokens as the vendor billed them; what a model thought counts as output. Money in US dollars.")
    for step in steps:
        if step.phase == "prompt_analysis" and step.output:
            _findings(step)


def _row(step: Step, store: Store) -> dict[str, object]:
    served = f" (answered by {step.model_version})" if step.model_version and step.model_version != step.model else ""
    return {
        "Phase": script_words.PHASES[step.phase],
        "Round": step.round,
        "State": step.status.capitalize(),
        "Model": f"{script_words.model(step.model)}{served}",
        "Input": step.input_tokens,
        "Cached": step.cached_tokens,
        "Output": step.output_tokens,
        "Cost": formats.usd(step.cost_usd),
        "Took": "" if step.seconds is None else formats.seconds(step.seconds),
        "Began": formats.moment(step.started_at, store.timezone),
        "Score": f"{step.output['score']:g}" if step.phase == "prompt_analysis" and step.output else "",
        "Error": step.error or "",
    }


def _findings(step: Step) -> None:
    """What a review found; nothing is a finding, too."""
    output = step.output or {}
    found = output.get("findings", [])
    which = "first text" if step.round == 0 else f"round {step.round}"
    with st.expander(f"Findings on the {which}: {len(found)} · score {output['score']:g}", icon=":material/rule:"):
        if not found:
            st.caption("Nothing to mend.")
        for finding in found:
            st.markdown(f"- {formats.plain(finding['what'])} *{formats.plain(finding['how'])}*")
