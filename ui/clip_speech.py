"""Putting speech on a clip: speech that was brought along from the Voice page, or chosen among the store's latest."""

from typing import NamedTuple
from uuid import UUID

import streamlit as st

from services import clips
from services.clips import Clip, Mode
from services.errors import NotFound
from services.profiles import Store
from services.speech import generation
from services.speech.generation import SpeechAsset
from ui import clip_actions, formats, session
from ui.session import Operator

LATEST = 30  # speeches offered
PREVIEW = 80  # characters
MODES: dict[Mode, str] = {"mix": "Mix with its own sound", "replace": "Replace its sound"}


class Hand(NamedTuple):
    """Speech that waits for a clip, and how it shall be put on it."""

    speech: SpeechAsset
    mode: Mode


def brought(operator: Operator, store: Store) -> Hand | None:
    """The speech that the address names, with the question for which clip it is meant."""
    if "speech" not in st.query_params:
        return None
    speech = _named(operator, store)
    if speech is None:
        st.warning("The speech in the address is not one of this store's, or was deleted.", icon=":material/link_off:")
        return None
    with st.container(border=True, key="clips_hand"):
        st.markdown(f"Put on a clip: *{formats.plain(_preview(speech))}*")
        mode = _mode("clips_hand_mode")
        st.caption("Choose the clip below. A clip that has speech already gets this one instead.")
        if st.button("Not now", key="clips_hand_drop"):
            del st.query_params["speech"]
            st.rerun()
    return Hand(speech, mode)


def _named(operator: Operator, store: Store) -> SpeechAsset | None:
    try:
        speech = generation.get(session.recently(operator, store), UUID(st.query_params["speech"]))
    except (ValueError, NotFound):
        return None
    return speech if speech.profile_id == store.id else None


def _preview(speech: SpeechAsset) -> str:
    text = " ".join(speech.text.split())
    return text if len(text) <= PREVIEW else f"{text[:PREVIEW]}…"


def _mode(key: str) -> Mode:
    mode: Mode = st.radio("How", list(MODES), format_func=MODES.get, key=key, horizontal=True)
    return mode


def fits(clip: Clip) -> bool:
    """Whether speech can be put on it now."""
    return clip.ready and clip.media_type in ("video", "audio")


def put_button(operator: Operator, clip: Clip, hand: Hand, *, label: str, key: str) -> None:
    if st.button(label, key=key, type="primary", icon=":material/graphic_eq:"):
        put(operator, clip, hand.speech.id, hand.mode)


def put(operator: Operator, clip: Clip, speech_id: UUID, mode: Mode) -> None:
    version = clip_actions.seen(clip.id, clip.version)
    st.query_params.pop("speech", None)
    clip_actions.act(
        operator,
        lambda: clips.put_speech(operator.database, clip.id, speech_id, mode, version),
        f"The speech is being put on “{clip.name}”.",
    )


def offer(operator: Operator, store: Store, clip: Clip) -> None:
    """Choose among the store's latest speech, or take off what is on the clip."""
    if clip.speech_id:
        taken_off(operator, clip)
    made = {
        speech.id: speech for speech in generation.recent(session.recently(operator, store), store.id, limit=LATEST)
    }
    if not made:
        st.info("This store has no speech yet. Speak a line on the Voice page first.", icon=":material/graphic_eq:")
        st.page_link("../pages/voice.py", label="Voice", icon=":material/graphic_eq:")
        return
    chosen = st.selectbox(
        "Speech", list(made), format_func=lambda id_: _line(made[id_], store), key=f"clip_speech_{clip.id}"
    )
    mode = _mode(f"clip_mode_{clip.id}")
    if chosen in made:
        put_button(operator, clip, Hand(made[chosen], mode), label="Put it on", key=f"clip_put_{clip.id}")


def taken_off(operator: Operator, clip: Clip) -> None:
    how = "instead of its own sound" if clip.speech_mode == "replace" else "mixed with its own sound"
    st.markdown(f"There is speech on this clip, {how}.")
    if st.button("Take it off", key=f"clip_off_{clip.id}", icon=":material/undo:"):
        version = clip_actions.seen(clip.id, clip.version)
        clip_actions.act(
            operator,
            lambda: clips.take_speech_off(operator.database, clip.id, version),
            "The clip gets its own sound back.",
        )


def _line(speech: SpeechAsset, store: Store) -> str:
    made_at = formats.moment(speech.created_at, store.timezone)
    return f"{_preview(speech)} · {formats.seconds(speech.duration_seconds)} · {made_at}"
