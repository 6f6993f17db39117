"""The Scripts page's questions, all in the address: part, assistant, run, and the versions that are looked at."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

import streamlit as st

from services.scripts.assistants import SavedAssistant
from ui import formats

WRITE, RUNS, VERSIONS, ASSISTANTS = "Write", "Runs", "Versions", "Assistants"
PARTS = [WRITE, RUNS, VERSIONS, ASSISTANTS]
ASSISTANT, MODEL, RUN, VERSION, AGAINST = "assistant", "model", "run", "version", "against"  # names in the address
EVERY, NEW = "any", "new"
PART, MADE = "script_part", "script_made"


def part() -> str:
    """Whoever has just made an assistant wants to write."""
    if made := st.session_state.pop(MADE, None):
        go(WRITE, assistant=made, model=None)
    return cast(
        str,
        st.segmented_control(
            "Part",
            PARTS,
            default=None if PART in st.session_state else WRITE,
            required=True,
            key=PART,
            bind="query-params",
            label_visibility="collapsed",
        ),
    )


def named(name: str) -> UUID | None:
    """The id that the address has under `name`; None where it has none, or something else."""
    try:
        return UUID(st.query_params.get(name, ""))
    except ValueError:
        return None


def go(part: str, **ids: UUID | str | None) -> None:
    """From a callback: another part, with these ids in the address; None takes one away."""
    st.session_state[PART] = part
    for name, value in ids.items():
        if value is None:
            st.query_params.pop(name, None)
        else:
            st.query_params[name] = str(value)


def assistant(found: Sequence[SavedAssistant], form: str, *, every: str | None = None) -> SavedAssistant | None:
    """The one that is chosen, in the address by its id; None: all of them, called `every`."""
    names = ({EVERY: every} if every else {}) | {str(one.id): one.name for one in found}
    asked, key = st.query_params.get(ASSISTANT), f"{form}_assistant"
    if asked not in (None, EVERY, NEW, *names):
        del st.query_params[ASSISTANT]  # said once
        st.warning("The assistant in the address is not one of this store's, or was archived.",
                   icon=":material/link_off:")  # fmt: skip
    st.session_state[key] = asked if asked in names else next(iter(names))
    chosen = st.selectbox("Assistant", list(names), format_func=lambda id_: formats.plain(names.get(id_, "")), key=key,
                          on_change=_chosen, args=(key,))  # fmt: skip
    return next((one for one in found if str(one.id) == chosen), None)


def _chosen(key: str) -> None:
    """Versions belong to an assistant: another one's are not looked at any more."""
    for name in (VERSION, AGAINST):
        st.query_params.pop(name, None)
    st.query_params[ASSISTANT] = st.session_state[key]
