"""One speech: what it says, its facts, a player, and the download."""

from html import escape

import streamlit as st

from services.speech.generation import SpeechAsset
from ui import charts, formats

PREVIEW = 160  # characters


def show(speech: SpeechAsset, timezone: str, *, key: str) -> None:
    with st.container(border=True, key=key):
        st.text(speech.text if len(speech.text) <= PREVIEW else f"{speech.text[:PREVIEW]}…")
        cost = "free" if speech.cost_usd == 0 else formats.usd(speech.cost_usd)
        st.caption(
            f"{charts.name(speech.provider)} · {formats.seconds(speech.duration_seconds)} · {cost} · "
            f"{formats.moment(speech.created_at, timezone)}"
        )
        st.html(player(speech))


def player(speech: SpeechAsset) -> str:
    """Audio fetched only when played, through the gated route."""
    address = f"/files/speech/{speech.id}"
    label = escape(f"Play: {speech.text[:60]}", quote=True)
    return (
        f'<div class="desk-player"><audio controls preload="none" src="{address}" aria-label="{label}"></audio>'
        f'<a href="{address}?download=1" download="{escape(speech.file_name, quote=True)}">'
        f"Download {speech.format.upper()}</a></div>"
    )
