"""What a click on the Clips page does, and what is said about it at the page's top afterwards."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import streamlit as st

from services import clips
from services.errors import AppError
from ui import formats, session
from ui.session import Operator

SAID, UNDO, SEEN = "clips_said", "clips_undo", "clips_seen"


class Deleted(NamedTuple):
    """What was deleted last, for bringing it back."""

    name: str
    what: str  # a clip or a project
    id: UUID


def act(operator: Operator, run: Callable[[], Any], done: str) -> None:
    """Do it, then show the page anew with `done`, or with why it could not be done."""
    if attempt(run):
        session.forget_numbers(operator)
        st.toast(done, icon=":material/check:")
    st.rerun()


def attempt(run: Callable[[], Any]) -> bool:
    try:
        run()
    except AppError as exc:
        st.session_state[SAID] = str(exc)
        return False
    return True


def delete(operator: Operator, name: str, clip_id: UUID) -> None:
    """Delete a clip; the page then offers to bring it back."""
    _delete(operator, Deleted(name, "clip", clip_id), lambda: clips.delete(operator.database, clip_id))


def delete_project(operator: Operator, name: str, project_id: UUID) -> None:
    _delete(operator, Deleted(name, "project", project_id), lambda: clips.delete_project(operator.database, project_id))


def _delete(operator: Operator, what: Deleted, run: Callable[[], Any]) -> None:
    if attempt(run):
        session.forget_numbers(operator)
        st.session_state[UNDO] = (operator.account_id, what)
        st.query_params.pop("clip", None)
    st.rerun()


def restore(operator: Operator, what: Deleted) -> None:
    run = clips.restore if what.what == "clip" else clips.restore_project
    st.session_state.pop(UNDO, None)
    act(operator, lambda: run(operator.database, what.id), f"“{what.name}” is back.")


def say_refusal() -> None:
    """Why the last click was refused; once."""
    if sentence := st.session_state.pop(SAID, None):
        st.error(formats.plain(sentence), icon=":material/error:")


def offer_undo(operator: Operator) -> None:
    """What was deleted last, until something else is or the page is left for another company."""
    account_id, deleted = st.session_state.get(UNDO, (None, None))
    if account_id != operator.account_id:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="clips_undo_bar"):
        st.markdown(f"Deleted the {deleted.what} **{formats.plain(deleted.name)}**.", width="stretch")
        if st.button("Undo", key="clips_undo_button", icon=":material/undo:"):
            restore(operator, deleted)


def seen(clip_id: UUID, version: int) -> int:
    """The version that stood on the page when a button was clicked."""
    return int(st.session_state.get(SEEN, {}).get(clip_id, version))


def remember(versions: dict[UUID, int]) -> None:
    """What stands on the page now. Call when all buttons of this run were asked."""
    st.session_state[SEEN] = versions
