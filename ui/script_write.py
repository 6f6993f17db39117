"""Write a script: assistant, briefing, what the run may cost, and the start."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID, uuid4

import streamlit as st

from services.errors import AppError, InvalidInput, PriceMissing, QuotaExceeded
from services.profiles import Store
from services.scripts import assistants, practice, runs
from services.scripts.assistants import SavedAssistant
from services.scripts.runs import Quote
from ui import formats, forms, refusal, script_address, script_clip, script_models, script_price, script_watch, session
from ui.script_address import ASSISTANT, ASSISTANTS, MODEL, NEW, RUN
from ui.session import Operator

FORM = "script"


class Order(NamedTuple):
    """What is to be written, and for which clip."""

    briefing: str
    clip_id: UUID | None


def show(operator: Operator, store: Store) -> None:
    found = assistants.of_store(operator.database, store.id)
    if not found:
        _no_assistant()
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _compose(operator, store, found)
    with right:
        script_watch.show(operator, store)


def _no_assistant() -> None:
    st.info("Nobody writes for this store yet. Make an assistant first: it says who writes, how, and how good it must "
            "be.", icon=":material/history_edu:")  # fmt: skip
    st.button("Make an assistant", type="primary", icon=":material/person_add:", on_click=script_address.go,
              args=(ASSISTANTS,), kwargs={ASSISTANT: NEW})  # fmt: skip


def _compose(operator: Operator, store: Store, found: Sequence[SavedAssistant]) -> None:
    if store.suspended:
        sentence = f"{store.name} is suspended: {store.suspended_reason or 'no reason given'}"
        st.error(formats.plain(sentence), icon=":material/pause_circle:")
    chosen = script_address.assistant(found, "script_write")
    if chosen is None:
        return
    script_models.warn(chosen.models.values())
    clip_id = script_clip.choose(operator, store)
    able = _able(operator, store, chosen)
    typed = st.text_area(
        "Briefing", key=f"script_briefing_{store.id}", height=220, persist_state="session",
        placeholder="What it is about, for whom, what it costs, until when. Facts only: the assistant finds the words.",
        help="Up to 600,000 characters, some 200 pages. Press Ctrl+Enter to see the price.",
    )  # fmt: skip
    forms.beside(f"{FORM}.briefing")
    briefing = typed.strip()
    if not briefing:
        st.button("Write the script", key="script_start", type="primary", disabled=True, icon=":material/history_edu:")
        st.caption("Say what the script is about; what it may cost appears here before anything is bought.")
        return
    _order(operator, store, chosen, Order(briefing, clip_id), able=able)


def _able(operator: Operator, store: Store, chosen: SavedAssistant) -> bool:
    """Whether all models of the assistant can be asked; says what is missing, and what is only practice."""
    if chosen.practises:
        st.info(practice.PLAINLY, icon=":material/school:")
        return True
    if practice.MODEL in chosen.models.values():
        st.caption(f"Where the practice writer writes: {practice.PLAINLY}")
    if script_models.connected(operator, store):
        return True
    with st.container(border=True, key="script_missing"):
        st.warning("Gemini is not connected for this store: its key is missing.", icon=":material/key_off:")
        admin = operator.role == "admin"
        st.markdown("Add it under Settings → Accounts." if admin else "An admin can add it under Settings.")
        if admin:
            st.page_link("../pages/settings.py", label="Settings", icon=":material/tune:")
        st.button("Practise instead: an assistant without AI", key="script_practise", icon=":material/school:",
                  on_click=script_address.go, args=(ASSISTANTS,),
                  kwargs={ASSISTANT: NEW, MODEL: practice.MODEL})  # fmt: skip
        st.caption(practice.PLAINLY)
    return False


def _order(operator: Operator, store: Store, chosen: SavedAssistant, order: Order, *, able: bool) -> None:
    try:
        quote = runs.quote(operator.database, chosen.id, order.briefing)
    except PriceMissing:
        _no_price(operator)
        return
    except AppError as exc:
        st.error(str(exc), icon=":material/error:")
        return
    script_price.show(quote, chosen.max_rounds)
    _start_button(operator, store, chosen, order, quote, able=able)


def _no_price(operator: Operator) -> None:
    st.warning("A model of this assistant has no prices yet, so nothing can be bought. An admin must set them under "
               "Admin → Prices → Writing models.", icon=":material/sell:")  # fmt: skip
    if operator.role == "admin":
        st.page_link("../pages/admin.py", label="Prices", icon=":material/sell:", query_params={"part": "Prices"})


def _start_button(
    operator: Operator, store: Store, chosen: SavedAssistant, order: Order, quote: Quote, *, able: bool
) -> None:
    clicked = st.button(
        f"Write the script · {script_price.at_most(quote.largest)}", key="script_start", type="primary",
        icon=":material/history_edu:", disabled=store.suspended or not able,
    )  # fmt: skip
    forms.beside(f"{FORM}.")
    shown = st.session_state.get("script_shown")
    st.session_state["script_shown"] = quote.largest
    if not clicked:
        return
    if shown is None or quote.largest > shown:  # the click came with a briefing whose price nobody has seen
        st.info(f"The briefing changed: it now costs {script_price.at_most(quote.largest)}. Press again to start.",
                icon=":material/sell:")  # fmt: skip
        return
    _start(operator, store, chosen, order)


def _start(operator: Operator, store: Store, chosen: SavedAssistant, order: Order) -> None:
    run_id = _run_id(chosen, order)
    try:
        runs.start(operator.database, run_id, chosen.id, order.briefing, clip_id=order.clip_id)
    except QuotaExceeded as exc:
        if exc.refusal is None:
            raise
        refusal.show(operator, store, exc, ways=refusal.SCRIPT_WAYS)
        return
    except InvalidInput as exc:
        st.session_state["form_error"] = (f"{FORM}.{exc.field or ''}", str(exc))
        st.rerun()
    finally:
        session.forget_numbers(operator)
    del st.session_state["script_order"]
    st.query_params[RUN] = str(run_id)
    st.rerun()


def _run_id(chosen: SavedAssistant, asked: Order) -> UUID:
    """One id an order, kept until it got through: after a lost answer the next click finds it used."""
    order = (chosen.id, chosen.version, asked)
    known: tuple[object, UUID] | None = st.session_state.get("script_order")
    if known is None or known[0] != order:
        known = st.session_state["script_order"] = (order, uuid4())
    return known[1]
