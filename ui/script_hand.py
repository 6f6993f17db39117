"""Scripts on their way to Voice and Publish: handed over in one click, or the deployed one taken there."""

from uuid import UUID

import streamlit as st

from services.errors import NotFound
from services.profiles import Store
from services.scripts import versions
from services.scripts.versions import Deployed, Version
from ui import formats, session
from ui.session import Operator

SCRIPT = "script"  # the address's name for the version that is handed over


def links(version: Version) -> None:
    """To where a text becomes speech, and where it becomes a caption."""
    asked = {SCRIPT: str(version.id)}
    with st.container(horizontal=True):
        st.page_link("../pages/voice.py", label="Speak this version", icon=":material/graphic_eq:", query_params=asked)
        st.page_link("../pages/publish.py", label="Use as caption", icon=":material/send:",
                     query_params={**asked, "post_part": "Write"})  # fmt: skip


def receive(operator: Operator, store: Store, key: str) -> None:
    """Fill the text input `key`, not drawn yet, with the version that the address names, once. What stood there can be
    brought back."""
    if SCRIPT not in st.query_params:
        return
    version = _named(operator, store, st.query_params.pop(SCRIPT))
    if version is None:
        st.warning("The script in the address is not one of this store's, or was deleted.", icon=":material/link_off:")
    else:
        _fill(key, version.content)


def _named(operator: Operator, store: Store, asked: str) -> Version | None:
    try:
        version = versions.get(operator.database, UUID(asked))
    except (ValueError, NotFound):
        return None
    return version if version.profile_id == store.id else None


def offer(operator: Operator, store: Store, key: str) -> None:
    """The store's deployed scripts for the text input `key`, the latest first, and what was typed there before."""
    found = versions.deployed(session.recently(operator, store), store.id)
    before = st.session_state.get(f"{key}_before")
    if not found and before is None:
        return
    with st.container(horizontal=True):
        if found:
            st.button("Use the deployed script", key=f"{key}_deployed", icon=":material/history_edu:", on_click=_fill,
                      args=(key, found[0].content), help=_about(found[0]))  # fmt: skip
        if len(found) > 1:
            with st.popover("Other deployed scripts"):
                for one in found[1:]:
                    st.button(
                        formats.plain(_about(one)), key=f"{key}_{one.id}", on_click=_fill, args=(key, one.content)
                    )
        if before is not None:
            st.button("Bring back what stood here", key=f"{key}_undo", icon=":material/undo:", on_click=_bring_back,
                      args=(key,))  # fmt: skip


def _about(one: Deployed) -> str:
    return f"v{one.number} · {one.title}" if one.title else f"v{one.number}"


def _fill(key: str, content: str) -> None:
    typed = st.session_state.get(key, "")
    if typed.strip() and typed != content:
        st.session_state[f"{key}_before"] = typed
    st.session_state[key] = content


def _bring_back(key: str) -> None:
    st.session_state[key] = st.session_state.pop(f"{key}_before")
