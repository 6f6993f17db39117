"""One speech: what it says, its facts, a player, and the download."""

from decimal import Decimal
from html import escape

import streamlit as st

from services.speech.generation import SpeechAsset
from ui import charts, formats, pauses

PREVIEW = 160  # characters


def show(speech: SpeechAsset, timezone: str, *, key: str, overrun: Decimal | None = None) -> None:
    """`overrun`: how many times the announced units a passage of it was billed."""
    with st.container(border=True, key=key):
        st.text(speech.text if len(speech.text) <= PREVIEW else f"{speech.text[:PREVIEW]}…")
        st.caption(
            f"{charts.name(speech.provider)} · {formats.seconds(speech.duration_seconds)} · {cost(speech)} · "
            f"{formats.moment(speech.created_at, timezone)}"
        )
        if overrun:
            st.caption(f":material/price_change: Billed {pauses.times(overrun)} of what was announced.")
        st.html(player(speech))
        st.page_link(
            "../pages/clips.py", label="Put on a clip", icon=":material/movie:", query_params={"speech": str(speech.id)}
        )


def cost(speech: SpeechAsset) -> str:
    spent = "free" if speech.cost_usd == 0 else formats.usd(speech.cost_usd)
    saved = f", reuse saved {formats.usd(speech.saved_usd)}" if speech.saved_usd > 0 else ""
    return formats.plain(f"{spent}{saved}")


def player(speech: SpeechAsset) -> str:
    """Audio fetched only when played, through the gated route."""
    address = f"/files/speech/{speech.id}"
    label = escape(f"Play: {speech.text[:60]}", quote=True)
    return (
        f'<div class="desk-player"><audio controls preload="none" src="{address}" aria-label="{label}"></audio>'
        f'<a href="{address}?download=1" download="{escape(speech.file_name, quote=True)}">'
        f"Download {speech.format.upper()}</a></div>"
    )
