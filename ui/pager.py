"""Turning pages by key: each page begins behind the last row of the one before."""

from typing import Any

import streamlit as st


def after(key: str, question: object) -> Any:
    """Where the page begins, or None for the first. Another question (store, filters) begins anew."""
    if st.session_state.get(f"{key}_question") != question:
        st.session_state[f"{key}_question"], st.session_state[f"{key}_turned"] = question, []
    turned = st.session_state[f"{key}_turned"]
    return turned[-1] if turned else None


def buttons(key: str, last: Any) -> None:
    """Newer and Older, as far as there are; `last` is the key of the page's last row, None if nothing follows."""
    turned = st.session_state[f"{key}_turned"]
    with st.container(horizontal=True, horizontal_alignment="center"):
        if turned and st.button("Newer", icon=":material/arrow_back:", key=f"{key}_newer"):
            turned.pop()
            st.rerun()
        if last is not None and st.button("Older", icon=":material/arrow_forward:", key=f"{key}_older"):
            turned.append(last)
            st.rerun()
