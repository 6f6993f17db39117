"""The grid of clips: a card each, with live progress while one is worked on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import streamlit as st

from services import clips
from services.clips import Clip, MediaType, Shown
from services.jobs.queue import Job
from services.profiles import Store
from ui import clip_actions, clip_player, clip_speech, formats, job_progress, pager
from ui.clip_actions import Deleted
from ui.clip_speech import Hand
from ui.session import Operator

PAGE = 24  # clips


@dataclass(frozen=True)
class Question:
    """Which clips are shown."""

    project_id: UUID | None
    shown: Shown | None
    media_type: MediaType | None
    words: str

    @property
    def narrowed(self) -> bool:
        return bool(self.shown or self.media_type or self.words)


@dataclass(frozen=True)
class Setting:
    """What every card is drawn with."""

    operator: Operator
    store: Store
    hand: Hand | None  # speech that was brought along and waits for a clip
    work: dict[UUID, Job]


def grid(operator: Operator, store: Store, question: Question, hand: Hand | None) -> list[Clip]:
    """The page of clips that the question finds; returns them."""
    after = pager.after("clips", (store.id, question))
    latest = [_read(operator, store, question, after)]
    first = [latest[0]]  # drawn as it is; later runs of the fragment read anew

    def show() -> list[Job]:
        found, work = latest[0] = first.pop() if first else _read(operator, store, question, after)
        with st.container(key="clips_grid"):
            for clip in found:
                card(Setting(operator, store, hand, work), clip)
        return [work[clip.id] for clip in found if clip.id in work]

    found, work = latest[0]
    job_progress.polled(operator, show, active=any(clip.id in work for clip in found), key="clips_live")
    pager.buttons("clips", found[-1].key if len(found) == PAGE else None)
    return latest[0][0]


def _read(
    operator: Operator, store: Store, question: Question, after: tuple[datetime, UUID] | None
) -> tuple[list[Clip], dict[UUID, Job]]:
    asked: dict[str, Any] = {
        "project": question.project_id, "status": question.shown, "search": question.words or None,
        "media_type": question.media_type, "limit": PAGE, "after": after,
    }  # fmt: skip
    found = clips.page(operator.database, store.id, **asked)
    unfinished = any(clip.final_status in ("pending", "processing") for clip in found)
    return found, clips.work(operator.database, store.id) if unfinished else {}


def card(page: Setting, clip: Clip) -> None:
    with st.container(border=True, key=f"clip_card_{clip.id}"):
        st.html(clip_player.picture(clip))
        st.markdown(f"**{formats.plain(clip.name)}**")
        st.caption(facts(clip, page.store.timezone))
        state(page, clip)
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            buttons(page, clip)


def facts(clip: Clip, timezone: str) -> str:
    """Duration, size and when it was added, as far as they are known."""
    known = [
        formats.seconds(clip.duration_seconds) if clip.duration_seconds else None,
        formats.megabytes(clip.bytes) if clip.bytes else None,
        "with speech" if clip.speech_id else None,
        formats.moment(clip.created_at, timezone),
    ]
    return " · ".join(fact for fact in known if fact)


def state(page: Setting, clip: Clip) -> None:
    """How far the work on it is, or why it failed. A finished clip says nothing."""
    if job := page.work.get(clip.id):
        job_progress.bar(job, job_progress.NOTHING_SPENT)
    elif clip.final_status in ("pending", "processing"):
        st.caption(":material/hourglass_empty: Waiting for a worker")
    if clip.error and clip.final_status == "failed":
        st.error(formats.plain(clip.error), icon=":material/error:")
    elif clip.error:
        st.warning(formats.plain(clip.error), icon=":material/warning:")


def buttons(page: Setting, clip: Clip) -> None:
    if clip.deleted_at:
        if st.button("Bring back", key=f"clip_restore_{clip.id}", icon=":material/undo:"):
            clip_actions.restore(page.operator, Deleted(clip.name, "clip", clip.id))
        return
    if page.hand and clip_speech.fits(clip):
        clip_speech.put_button(page.operator, clip, page.hand, label="Put it here", key=f"clip_take_{clip.id}")
    if st.button("Open", key=f"clip_open_{clip.id}", icon=":material/open_in_full:", type="tertiary"):
        st.query_params["clip"] = str(clip.id)
        st.rerun()
    if clip.final_status == "failed" and st.button("Retry", key=f"clip_retry_{clip.id}", icon=":material/replay:"):
        clip_actions.act(page.operator, lambda: clips.retry(page.operator.database, clip.id), "Queued again.")
    if job := page.work.get(clip.id):
        job_progress.cancel_button(page.operator, job)
    elif clip.ready:
        publish_link(clip)
    if st.button("Delete", key=f"clip_delete_{clip.id}", icon=":material/delete:", type="tertiary"):
        clip_actions.delete(page.operator, clip.name, clip.id)


def publish_link(clip: Clip) -> None:
    st.page_link("../pages/publish.py", label="Publish", icon=":material/send:", query_params={"clip": str(clip.id)})
