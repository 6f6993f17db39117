"""One clip opened: its player, its name and project, speech, publishing, deleting."""

from uuid import UUID

import streamlit as st

from services import clips
from services.clips import Clip, Project
from services.errors import NotFound
from services.profiles import Store
from services.scripts.covers import of_clip
from ui import clip_actions, clip_cards, clip_player, clip_projects, clip_speech, covers, formats, forms, session
from ui.session import Operator


def asked(operator: Operator, store: Store) -> Clip | None:
    """The clip that the address names, if it is one of this store's."""
    if "clip" not in st.query_params:
        return None
    try:
        clip = clips.get(operator.database, UUID(st.query_params["clip"]))
    except (ValueError, NotFound):
        clip = None
    if clip is None or clip.profile_id != store.id or clip.deleted_at:
        st.warning("The clip in the address is not one of this store's, or was deleted.", icon=":material/link_off:")
        return None
    return clip


def show(operator: Operator, store: Store, clip: Clip, projects: list[Project]) -> None:
    """Over the page, so that it is seen wherever on the page it was opened."""

    @st.dialog(formats.plain(clip.name), width="large", on_dismiss=_close)
    def opened() -> None:
        if session.current() is None:  # runs of the dialog do not pass the shell
            st.rerun()
        with st.container(key="clip_detail"):
            clip_actions.say_refusal()
            watch(clip, store)
            change(operator, clip, projects)
            if clip_speech.fits(clip):
                with st.expander("Put speech on it", icon=":material/graphic_eq:", expanded=bool(clip.speech_id)):
                    clip_speech.offer(operator, store, clip)
            covers.card(operator, store, of_clip(clip), "Cover image")

    opened()


def _close() -> None:
    st.query_params.pop("clip", None)


def watch(clip: Clip, store: Store) -> None:
    if clip.media_type == "audio" and clip.cover_id:
        st.html(clip_player.picture(clip))
    if clip.media_path:
        st.html(clip_player.player(clip))
    else:
        st.html(clip_player.picture(clip))
    size = f" · {clip.width} × {clip.height}" if clip.width and clip.height else ""
    st.caption(f"{clip_cards.facts(clip, store.timezone)}{size}")
    if clip.source_name:
        st.caption(formats.plain(f"Uploaded as {clip.source_name}"))


def change(operator: Operator, clip: Clip, projects: list[Project]) -> None:
    form = f"clip_{clip.id}"
    left, right = st.columns(2)
    with left:
        name = st.text_input("Name", value=clip.name, key=f"{form}_name", max_chars=200)
        forms.beside(f"{form}.name")
    fitting = [project for project in projects if clip.media_type != "audio" or project.kind == "podcast"]
    labels = clip_projects.labels_of(fitting)
    ids = list(labels)
    here = str(clip.project_id)
    place = ids.index(here) if here in ids else None
    with right:
        project = st.selectbox("Project", ids, index=place, format_func=labels.get, key=f"{form}_project")
        forms.beside(f"{form}.project", f"{form}.")
    changed = name != clip.name or project not in (here, None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Save", key="clip_save", type="primary", disabled=not changed):
            forms.attempt(form, lambda: save(operator, clip, name, project))
            session.forget_numbers(operator)
            st.rerun()
        if clip.ready:
            clip_cards.publish_link(clip)
        st.page_link("../pages/scripts.py", label="Write a script", icon=":material/history_edu:",
                     query_params={"clip": str(clip.id)})  # fmt: skip
        if st.button("Delete", key="clip_delete", icon=":material/delete:"):
            clip_actions.delete(operator, clip.name, clip.id)


def save(operator: Operator, clip: Clip, name: str, project: str | None) -> None:
    """What was changed of name and project. Raises as `clips.rename` and `clips.move`."""
    if name != clip.name:
        clips.rename(operator.database, clip.id, name)
    if project and project != str(clip.project_id):
        clips.move(operator.database, clip.id, UUID(project))
