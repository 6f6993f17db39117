"""One version: its text, its state and how to change it, notes, files, and where it is used."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from services.profiles import Store
from services.scripts import versions
from services.scripts.assistants import SavedAssistant
from services.scripts.versions import Listed, Status, Version
from ui import formats, forms, script_address, script_hand, script_words, sections, session
from ui.script_address import RUN, RUNS
from ui.session import Operator


def show(
    operator: Operator, store: Store, assistant: SavedAssistant, version: Version, deployed: Listed | None
) -> None:
    with st.container(border=True, key="script_version_card"):
        st.subheader(formats.plain(f"{version.name} · {version.title}" if version.title else version.name))
        st.caption(formats.plain(_facts(operator, store, version)))
        st.text(version.content)
        st.caption(f"{len(version.content):,} characters")
        script_hand.links(version)
        _states(operator, version, deployed)
        forms.beside(f"version_{version.id}.", f"version_{version.id}.status")
        _files(assistant, version)
        _notes(operator, version)
        if version.run_id:
            st.button("How it was made", key="script_version_run", icon=":material/timeline:", type="tertiary",
                      on_click=script_address.go, args=(RUNS,), kwargs={RUN: version.run_id})  # fmt: skip


def _facts(operator: Operator, store: Store, version: Version) -> str:
    state = script_words.VERSIONS[version.status]
    if version.deployed_at:
        state += f" since {formats.moment(version.deployed_at, store.timezone)}: Voice and Publish offer it first"
    who = session.names(operator).get(version.created_by, "Somebody who left")
    made = formats.moment(version.created_at, store.timezone)
    return f"{state} · {script_words.score(version.final_score)} · made {made} by {who}"


# States ---------------------------------------------------------------------------------------------------------------


def _states(operator: Operator, version: Version, deployed: Listed | None) -> None:
    with st.container(horizontal=True):
        if version.status != "deployed":
            _deploy(operator, version, deployed)
        if version.status == "draft":
            _button(operator, version, "final", "Finalize", icon=":material/task_alt:")
        if version.status in ("final", "archived"):
            _button(operator, version, "draft", "Back to draft", icon=":material/undo:")
        if version.status == "deployed":
            _withdraw(operator, version)
        elif version.status != "archived":
            _button(operator, version, "archived", "Archive", icon=":material/archive:")


def _deploy(operator: Operator, version: Version, deployed: Listed | None) -> None:
    """An earlier version is brought back in the same way."""
    if deployed is None:
        _button(operator, version, "deployed", "Deploy", icon=":material/rocket_launch:", kind="primary")
        return
    back = version.number < deployed.number
    with st.popover("Roll back to it" if back else "Deploy", icon=":material/rocket_launch:"):
        st.write(f"{deployed.name} is deployed now. {version.name} takes its place; {deployed.name} is final again.")
        _button(operator, version, "deployed", f"Deploy {version.name} instead of {deployed.name}", kind="primary")


def _withdraw(operator: Operator, version: Version) -> None:
    with st.popover("Withdraw", icon=":material/remove_done:"):
        st.write("Then no version of this assistant is deployed, and Voice and Publish offer none of it.")
        _button(operator, version, "final", "Keep it as final")
        _button(operator, version, "archived", "Archive it")


def _button(
    operator: Operator,
    version: Version,
    status: Status,
    label: str,
    *,
    icon: str | None = None,
    kind: str = "secondary",
) -> None:
    if st.button(label, key=f"version_{status}_{version.id}", icon=icon, type=kind):
        change = partial(versions.set_status, operator.database, version.id, status)
        _do(operator, version, change, f"{version.name} is {script_words.VERSIONS[status].lower()} now.")


def _do(operator: Operator, version: Version, change: Callable[[], object], done: str) -> None:
    if forms.attempt(f"version_{version.id}", change):
        session.forget_numbers(operator)
        st.toast(done, icon=":material/check:")
    st.rerun()


# Notes and files ------------------------------------------------------------------------------------------------------


def _files(assistant: SavedAssistant, version: Version) -> None:
    with st.container(horizontal=True):
        st.download_button("Download the text", version.content, f"{version.name}.txt", "text/plain",
                           key=f"version_text_{version.id}", icon=":material/download:", on_click="ignore")  # fmt: skip
        st.download_button("Download the injection file", version.injection_content, version.injection_path,
                           "text/plain", key=f"version_file_{version.id}", icon=":material/download:",
                           on_click="ignore", help="The text in the assistant's export template.")  # fmt: skip
    if assistant.template:
        with st.expander("Injection file", icon=":material/code:"):
            st.code(version.injection_content, language=None, wrap_lines=True)


def _notes(operator: Operator, version: Version) -> None:
    form = f"version_notes_{version.id}"
    with st.form(form, border=False):
        notes = st.text_area("Notes", version.notes, key=sections.key(form, "notes"), height=80)
        forms.beside(f"{form}.notes")
        sent = st.form_submit_button("Save the notes")
        forms.beside(f"{form}.")
    if sent:
        if sections.save(operator, form, lambda: versions.set_notes(operator.database, version.id, notes)):
            st.toast("Notes saved.", icon=":material/check:")
        st.rerun()
