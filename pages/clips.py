"""Clips: a store's videos, pictures and episodes: upload, find, look, put speech on, publish."""

from typing import cast

import streamlit as st

from services import clips
from services.clips import MediaType, Project, Shown
from services.errors import AppError
from services.profiles import Store
from ui import clip_actions, clip_cards, clip_detail, clip_projects, clip_speech, clip_upload, formats, session
from ui.clip_cards import Question
from ui.session import Operator

person = session.require("admin", "manager")

STATES = {"any": "Any state", "completed": "Ready", "working": "Being prepared", "failed": "Failed",
          "deleted": "Deleted"}  # fmt: skip
TYPES = {"any": "Any type", "video": "Videos", "image": "Pictures", "audio": "Recordings"}


def choose_project(operator: Operator, store: Store, projects: list[Project]) -> Project | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = clip_projects.choose(projects)
        if not store.suspended:
            with st.popover("New project", icon=":material/create_new_folder:"):
                clip_projects.make(operator, store)
        if chosen:
            with st.popover("Change project", icon=":material/edit:"):
                clip_projects.change(operator, chosen)
    if chosen:
        clip_projects.cover(operator, store, chosen)
    return chosen


def add(operator: Operator, store: Store, projects: list[Project], chosen: Project | None) -> None:
    """Where files are dropped; in a store without projects the first one is made here."""
    if store.suspended:
        sentence = f"{store.name} is suspended: {store.suspended_reason or 'no reason given'}"
        st.error(formats.plain(sentence), icon=":material/pause_circle:")
        return
    if not projects:
        with st.container(border=True, key="first_project"):
            st.markdown("Clips live in projects. Make the first one, then add files.")
            clip_projects.make(operator, store)
        return
    into = clip_projects.target(projects, chosen)
    project = next(project for project in projects if project.id == into)
    clip_upload.area(store, project.id, project.kind)


def narrow(chosen: Project | None) -> Question:
    with st.container(horizontal=True):
        words = st.text_input("Search", key="q", bind="query-params", placeholder="Words of a name", width=280)
        state = st.selectbox("State", list(STATES), format_func=STATES.get, key="shown", bind="query-params", width=180)
        type_ = st.selectbox("Type", list(TYPES), format_func=TYPES.get, key="media", bind="query-params", width=180)
    return Question(
        project_id=chosen.id if chosen else None,
        shown=None if state == "any" else cast(Shown, state),
        media_type=None if type_ == "any" else cast(MediaType, type_),
        words=words.strip(),
    )


def empty(question: Question) -> None:
    if question.narrowed:
        st.info("No clip matches. Search for other words, or choose another state or type.",
                icon=":material/filter_alt_off:")  # fmt: skip
    else:
        st.info("No clips yet. Drop files above, or choose them.", icon=":material/movie:")


def show(operator: Operator) -> None:
    st.title("Clips")
    store = session.require_store(operator)
    clip_upload.style()
    projects = clips.projects(operator.database, store.id)
    opened = clip_detail.asked(operator, store)
    if opened:
        clip_detail.show(operator, store, opened, projects)
    else:
        clip_actions.say_refusal()
    clip_actions.offer_undo(operator)
    hand = clip_speech.brought(operator, store)
    chosen = choose_project(operator, store, projects) if projects else None
    add(operator, store, projects, chosen)
    question = narrow(chosen)
    if question.shown == "deleted":
        clip_projects.deleted(operator, store)
    found = clip_cards.grid(operator, store, question, hand)
    if not found and projects:
        empty(question)
    clip_actions.remember({clip.id: clip.version for clip in [*found, *([opened] if opened else [])]})


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
