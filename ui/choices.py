"""Choices that stay as they were made: what is no longer offered is said, never swapped silently."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from ui import formats

Widget = Callable[..., str | None]


def choose(widget: Widget, label: str, names: Mapping[str, str], *, key: str, **options: Any) -> str | None:
    """`widget` (radio or selectbox) over the ids of `names`, the first by default.

    None while what was chosen is gone and nothing else has been chosen.
    """
    last = st.session_state.get(f"{key}_last")
    gone = last is not None and last[0] not in names and st.session_state.get(key) not in names
    if gone:
        st.session_state[key] = None
        st.warning(f"{formats.plain(last[1])} is no longer offered here. Choose another.", icon=":material/link_off:")
    chosen = widget(
        label, list(names), index=None if gone else 0, format_func=lambda id_: names.get(id_, id_), key=key,
        persist_state="session", **options,
    )  # fmt: skip
    if chosen is not None:
        st.session_state[f"{key}_last"] = (chosen, names[chosen])
    return chosen
