"""Assistants of a store: who writes, how, with which models, and how good it must be."""

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import streamlit as st

from services.costs.assistants import AssistantCost, of_assistants
from services.errors import InvalidInput
from services.profiles import Store
from services.scripts import assistants, models, practice
from services.scripts.assistants import SavedAssistant, Values
from services.scripts.phases import PHASES, Assistant, PhaseModels
from ui import formats, forms, script_address, script_fields, script_models, script_words, sections, session
from ui.script_address import ASSISTANT, ASSISTANTS, MODEL, NEW, WRITE
from ui.session import Operator

BLANK = "Blank"


def show(operator: Operator, store: Store) -> None:
    asked = st.query_params.get(ASSISTANT)
    if asked == NEW:
        _make(operator, store)
        return
    every = assistants.every(operator.database, store.id)
    known, archived = [one for one in every if not one.archived_at], [one for one in every if one.archived_at]
    opened = next((one for one in known if str(one.id) == asked), None)
    if opened:
        _change(operator, store, opened)
        return
    st.button("New assistant", type="primary" if not known else "secondary", icon=":material/person_add:",
              key="assistant_new", on_click=script_address.go, args=(ASSISTANTS,), kwargs={ASSISTANT: NEW})  # fmt: skip
    if not known:
        st.info("Nobody writes for this store yet. A new assistant begins with a template or blank.",
                icon=":material/history_edu:")  # fmt: skip
    door = session.recently(operator, store)
    costs = {cost.assistant_id: cost for cost in of_assistants(door, operator.account_id, store.id)}
    for one in known:
        _card(operator, store, one, costs.get(one.id))
    if archived:
        with st.expander(f"Archived assistants ({len(archived)})", icon=":material/inventory_2:"):
            for one in archived:
                _archived(operator, one)


# Cards ----------------------------------------------------------------------------------------------------------------


def _card(operator: Operator, store: Store, one: SavedAssistant, cost: AssistantCost | None) -> None:
    with st.container(border=True, key=f"job_assistant_{one.id}"):
        what, actions = st.columns([4, 4], vertical_alignment="center")
        with what:
            st.markdown(f"**{formats.plain(one.name)}** · {one.language}")
            st.caption(formats.plain(_facts(one)))
            if cost:
                st.caption(_cost(store, cost))
            script_models.warn(one.models.values())
        with actions, st.container(horizontal=True):
            st.button("Write", key=f"assistant_write_{one.id}", icon=":material/history_edu:",
                      on_click=script_address.go, args=(WRITE,), kwargs={ASSISTANT: one.id})  # fmt: skip
            st.button("Edit", key=f"assistant_edit_{one.id}", icon=":material/edit:", on_click=script_address.go,
                      args=(ASSISTANTS,), kwargs={ASSISTANT: one.id})  # fmt: skip
            _archive(operator, one)
        forms.beside(f"assistant_{one.id}.")


def _facts(one: SavedAssistant) -> str:
    used = dict.fromkeys(script_words.model(model) for model in one.models.values())
    tone = f"{one.tone} · " if one.tone else ""
    return (
        f"{tone}{', '.join(used)} · good from {one.target_score.normalize():f} points, at most {one.max_rounds} rounds "
        f"· at most {one.max_characters:,} characters"
    )


def _cost(store: Store, cost: AssistantCost) -> str:
    each = " · ".join(
        f"{name} {formats.usd(cost.phases[phase].average)}"
        for phase, name in script_words.PHASES.items()
        if phase in cost.phases
    )
    return formats.plain(
        f"{cost.runs:,} {'run' if cost.runs == 1 else 'runs'} for {formats.usd(cost.cost_usd)} in all · on average "
        f"{each} · last {formats.moment(cost.last_activity, store.timezone)}"
    )


def _archive(operator: Operator, one: SavedAssistant) -> None:
    with st.popover("Archive", icon=":material/archive:"):
        st.write("It writes no more. Its versions and runs stay, also the deployed one, and it can be brought back.")
        if st.button("Archive it", key=f"assistant_archive_{one.id}", type="primary"):
            _put(operator, one, archive=True)


def _archived(operator: Operator, one: SavedAssistant) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(formats.plain(one.name))
        if st.button("Bring it back", key=f"assistant_restore_{one.id}", icon=":material/unarchive:"):
            _put(operator, one, archive=False)
    forms.beside(f"assistant_{one.id}.")


def _put(operator: Operator, one: SavedAssistant, *, archive: bool) -> None:
    if forms.attempt(f"assistant_{one.id}", partial(assistants.archive, operator.database, one.id, archive=archive)):
        session.forget_numbers(operator)
        st.toast(formats.plain(f"{one.name} {'archived' if archive else 'is back'}."), icon=":material/check:")
    st.rerun()


# Make and change ------------------------------------------------------------------------------------------------------


def _back() -> None:
    st.button("All assistants", icon=":material/arrow_back:", key="assistants_all", on_click=script_address.go,
              args=(ASSISTANTS,), kwargs={ASSISTANT: None, MODEL: None})  # fmt: skip


def _make(operator: Operator, store: Store) -> None:
    _back()
    st.subheader("A new assistant")
    practise = st.query_params.get(MODEL) == practice.MODEL or not script_models.connected(operator, store)
    if practise:
        st.info(f"It begins with the practice writer. {practice.PLAINLY}", icon=":material/school:")
    begun = _templates(practice.MODEL if practise else models.DEFAULT)
    chosen = st.pills("Begin with", list(begun), default=next(iter(begun)), key=f"assistant_template_{store.id}",
                      persist_state="session", required=True)  # fmt: skip
    start = Values(assistant=begun[chosen or BLANK])
    ids: dict[UUID, UUID] = st.session_state.setdefault("assistant_ids", {})
    form = f"assistant_{store.id}_{list(begun).index(chosen or BLANK)}"
    if _form(operator, store, form, start, ids.setdefault(store.id, uuid4()), None, "Make the assistant"):
        st.session_state[script_address.MADE] = ids.pop(store.id)
        st.rerun()


def _templates(model: str) -> Mapping[str, Assistant]:
    every = PhaseModels.model_validate(dict.fromkeys(PHASES, model))
    return {**assistants.templates(model), BLANK: Assistant.model_construct(name="", models=every)}


def _change(operator: Operator, store: Store, one: SavedAssistant) -> None:
    _back()
    st.subheader(formats.plain(one.name))
    script_models.warn(one.models.values())
    form = f"assistant_{one.id}"
    version = sections.seen(form, "name", one.version)
    if _form(operator, store, form, script_fields.values_of(one), one.id, version, "Save"):
        st.rerun()


def _form(
    operator: Operator, store: Store, form: str, start: Values, id_: UUID, version: int | None, button: str
) -> bool:
    """Whether it was sent and saved. What was typed stays until then."""
    with st.form(form, border=True):
        typed, extra = script_fields.ask(form, start)
        sent = st.form_submit_button(button, type="primary")
        forms.beside(f"{form}.")
    if not sent:
        return False

    def save() -> None:
        assistants.save(operator.database, id_, store.id, _checked(typed, extra), version)

    if not sections.save(operator, form, save):
        st.rerun()
    st.toast(formats.plain(f"{typed['name']} saved."), icon=":material/check:")
    return True


def _checked(typed: Mapping[str, Any], extra: Mapping[str, str]) -> Values:
    if not str(typed["name"]).strip():
        raise InvalidInput(assistants.WRONG["name"], "name")
    return Values(assistant=assistants.checked(typed), external_id=extra["external_id"] or None,
                  template=extra["template"])  # fmt: skip
