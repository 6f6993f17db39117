"""Two versions side by side: what went is struck through, what came is underlined."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from services.scripts import versions
from services.scripts.versions import Piece, Version
from ui import formats, script_words


def show(before: Version, after: Version) -> None:
    """The lower number stands on the left."""
    before, after = sorted((before, after), key=lambda one: one.number)
    with st.container(border=True, key="script_compare"):
        st.subheader(f"{before.name} and {after.name}")
        st.caption(formats.plain(_gain(before, after)))
        left, right = st.columns(2)
        lines = list(versions.side_by_side(before.content, after.content))
        with left:
            st.html(_side(before.name, [line.before for line in lines], "del"))
        with right:
            st.html(_side(after.name, [line.after for line in lines], "ins"))


def _gain(before: Version, after: Version) -> str:
    told = f"{script_words.score(before.final_score)}, then {script_words.score(after.final_score)}"
    point = versions.cost_a_point(before, after)
    if point is None:
        return told
    return f"{told}: each point gained cost {formats.usd(point) if point else 'nothing'}"


def _side(name: str, lines: Sequence[Sequence[Piece]], mark: str) -> str:
    """One paragraph a line; what differs stands in `mark`, which screen readers tell, too."""
    text = "".join(f"<p>{''.join(_marked(piece, mark) for piece in line) or '&nbsp;'}</p>" for line in lines)
    return f'<section class="desk-diff" aria-label="{escape(name)}"><h4>{escape(name)}</h4>{text}</section>'


def _marked(piece: Piece, mark: str) -> str:
    text = escape(piece.text)
    return f"<{mark}>{text}</{mark}>" if piece.differs else text
