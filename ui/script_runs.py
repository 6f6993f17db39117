"""Runs of a store, the newest first, narrowed by assistant and state; one of them opened."""

from collections.abc import Mapping
from typing import cast
from uuid import UUID

import streamlit as st

from services.profiles import Store
from services.scripts import assistants, runs
from services.scripts.runs import Listed, Status
from ui import formats, pager, script_address, script_run, script_words, session
from ui.script_address import EVERY, RUN, RUNS, WRITE
from ui.session import Operator

PAGE = 25
ICONS: Mapping[Status, str] = {
    "running": ":material/progress_activity:", "completed": ":material/check_circle:", "failed": ":material/error:",
    "cancelled": ":material/cancel:",
}  # fmt: skip


def show(operator: Operator, store: Store) -> None:
    asked = script_address.named(RUN)
    if asked:
        script_run.show(operator, store, asked)
        return
    known = assistants.every(session.recently(operator, store), store.id)
    with st.container(horizontal=True):
        assistant = script_address.assistant(known, "script_runs", every="Any assistant")
        status = _status()
    after = pager.after("script_runs", (store.id, assistant and assistant.id, status))
    found = runs.find(
        operator.database, store.id, assistant_id=assistant.id if assistant else None, status=status, limit=PAGE,
        after=after,
    )  # fmt: skip
    if not found:
        _empty(narrowed=bool(assistant or status or after))
    names = {one.id: one.name for one in known}
    for run in found:
        _line(operator, store, run, names.get(run.assistant_id, "An assistant that is gone"))
    pager.buttons("script_runs", found[-1].key if len(found) == PAGE else None)


def _status() -> Status | None:
    states = {EVERY: "Any state", **script_words.RUNS}
    chosen = st.selectbox("State", list(states), format_func=states.get, key="script_state", bind="query-params")
    return None if chosen == EVERY else cast(Status, chosen)


def _empty(*, narrowed: bool) -> None:
    if narrowed:
        st.info("No run matches. Choose another assistant or state.", icon=":material/filter_alt_off:")
        return
    st.info("Nothing was written here yet. Type a briefing first.", icon=":material/history_edu:")
    st.button("Write a script", on_click=script_address.go, args=(WRITE,), icon=":material/history_edu:")


def _line(operator: Operator, store: Store, run: Listed, assistant: str) -> None:
    with st.container(border=True, key=f"job_run_{run.id}"):
        what, outcome, action = st.columns([4, 4, 1], vertical_alignment="center")
        what.markdown(f"{ICONS[run.status]} **{formats.plain(assistant)}** · {script_words.RUNS[run.status]}")
        who = session.names(operator).get(run.created_by, "Somebody who left")
        what.caption(f"{formats.moment(run.started_at, store.timezone)} · {formats.plain(who)}")
        outcome.caption(formats.plain(_facts(run)))
        if run.error:
            outcome.caption(formats.plain(run.error))
        action.button("Open", key=f"script_open_{run.id}", on_click=_open, args=(run.id,))


def _facts(run: Listed) -> str:
    parts = [script_words.score(run.best_score)] if run.status == "completed" else []
    parts.append("free" if run.total_cost_usd == 0 else formats.usd(run.total_cost_usd))
    if run.seconds is not None:
        parts.append(formats.seconds(run.seconds))
    return " · ".join(parts)


def _open(run_id: UUID) -> None:
    script_address.go(RUNS, run=run_id)
