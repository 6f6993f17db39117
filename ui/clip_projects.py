"""Projects of a store: choosing one, making, renaming, deleting and bringing them back."""

from uuid import UUID, uuid4

import streamlit as st

from services import clips
from services.clips import Project, ProjectKind
from services.profiles import Store
from services.scripts.covers import of_project
from ui import clip_actions, covers, formats, forms, session
from ui.clip_actions import Deleted
from ui.session import Operator

ALL = "all"
KINDS: dict[ProjectKind, str] = {"video": "Videos", "podcast": "Podcast"}
FORM = "new_project"


def choose(projects: list[Project]) -> Project | None:
    """The project that the page is narrowed to; None: all of them. It is in the address."""
    labels = labels_of(projects)
    if st.session_state.get("project", ALL) not in (ALL, *labels):
        st.session_state["project"] = ALL  # another store's, or deleted meanwhile
    names = {ALL: "All projects", **labels}
    chosen = st.selectbox("Project", list(names), format_func=names.__getitem__, key="project", bind="query-params")
    return next((project for project in projects if str(project.id) == chosen), None)


def labels_of(projects: list[Project]) -> dict[str, str]:
    """A label an id; alike names are told apart by a number, since the address carries the label."""
    made: dict[str, str] = {}
    for project in reversed(projects):
        name = label = f"{project.name} ({KINDS[project.kind].lower()})"
        count = 1
        while label in made.values():
            count += 1
            label = f"{name} {count}"
        made[str(project.id)] = label
    return dict(reversed(made.items()))


def make(operator: Operator, store: Store) -> None:
    """The form of a new project, which is chosen as soon as it is there."""
    with st.form(FORM, border=False):
        st.text_input("Name", key="project_name", max_chars=200, placeholder="Autumn offers")
        forms.beside(f"{FORM}.name")
        st.radio("For", list(KINDS), format_func=KINDS.get, key="project_kind", horizontal=True)
        forms.beside(f"{FORM}.kind", f"{FORM}.")
        st.form_submit_button(
            "Create project", key="project_create", type="primary", on_click=_make, args=(operator, store)
        )


def _make(operator: Operator, store: Store) -> None:
    made = st.session_state.setdefault("project_new_id", uuid4())  # an impatient second click makes no second one
    kind, name = st.session_state["project_kind"], st.session_state["project_name"]
    if forms.attempt(FORM, lambda: clips.create_project(operator.database, store.id, kind, name, made)):
        del st.session_state["project_new_id"]
        st.session_state["project"], st.session_state["project_name"] = str(made), ""


def change(operator: Operator, project: Project) -> None:
    """Rename or delete the chosen project."""
    form = f"project_{project.id}"
    name = st.text_input("Name", value=project.name, key=f"{form}_name", max_chars=200)
    forms.beside(f"{form}.name", f"{form}.")
    with st.container(horizontal=True):
        if st.button("Rename", key="project_rename", disabled=name == project.name):
            forms.attempt(form, lambda: clips.rename_project(operator.database, project.id, name))
            session.forget_numbers(operator)
            st.rerun()
        if st.button("Delete with its clips", key="project_delete", icon=":material/delete:"):
            clip_actions.delete_project(operator, project.name, project.id)
    st.caption("What is deleted can be brought back: choose “Deleted” as the state.")


def cover(operator: Operator, store: Store, project: Project) -> None:
    """The chosen project's picture, and where it is drawn."""
    if project.cover_id:
        with st.container(key="project_cover"):
            st.html(covers.picture(project.cover_id, f"Cover of the project {project.name}"))
    covers.card(operator, store, of_project(project), "Cover of this project")


def deleted(operator: Operator, store: Store) -> None:
    """Deleted projects, each with the way back."""
    for project in clips.projects(operator.database, store.id, deleted=True):
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"project_gone_{project.id}"):
            st.markdown(f"Project **{formats.plain(project.name)}** with its clips", width="stretch")
            if st.button("Bring back", key=f"project_restore_{project.id}", icon=":material/undo:"):
                clip_actions.restore(operator, Deleted(project.name, "project", project.id))


def target(projects: list[Project], chosen: Project | None) -> UUID | None:
    """Where uploads go: the chosen project, else the one picked here; None while there is none."""
    if chosen or not projects:
        return chosen.id if chosen else None
    labels = labels_of(projects)
    if st.session_state.get("clips_into") not in labels:
        st.session_state.pop("clips_into", None)
    return UUID(st.selectbox("Add to the project", list(labels), format_func=labels.get, key="clips_into"))
