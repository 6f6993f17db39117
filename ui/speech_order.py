"""The buttons that order speech: the chosen voice, and a free draft before it."""

from collections.abc import Callable
from uuid import UUID, uuid4

import streamlit as st

from services.errors import AppError, ModelPaused, PriceMissing, QuotaExceeded, Refusal, StoreSuspended
from services.profiles import Store
from services.speech import generation
from services.speech.catalogue import Offer
from services.speech.generation import Quote, SpeechOrder
from ui import refusal, session, speech_player
from ui.price_card import price
from ui.session import Operator
from ui.voice_picker import Choice, Services


def generate_button(operator: Operator, store: Store, order: SpeechOrder, quote: Quote) -> None:
    again = quote.existing is not None
    if quote.running:
        st.caption("This text is being made right now.")
    clicked = st.button(
        f"Generate{' again' if again else ''} · {price(quote.estimate, exact=quote.exact)}",
        key="voice_generate",
        type="secondary" if again else "primary",
        icon=":material/graphic_eq:",
        disabled=store.suspended or quote.running is not None or quote.refusal is not None,
    )
    shown = st.session_state.get("voice_shown")
    st.session_state["voice_shown"] = quote.estimate
    if not clicked:
        return
    if shown is None or quote.estimate > shown:  # the click came with a text whose price nobody has seen
        st.info(
            f"The text changed: it now costs {price(quote.estimate, exact=quote.exact)}. Press again to generate.",
            icon=":material/sell:",
        )
        return
    send(operator, store, order, quote)


def send(operator: Operator, store: Store, order: SpeechOrder, quote: Quote) -> None:
    try:
        made = generation.order_speech(operator.database, store.id, order, job_id_for(store, order))
    except QuotaExceeded as exc:
        show_refusal(operator, store, exc.refusal, quote)
        return
    except (ModelPaused, PriceMissing, StoreSuspended) as exc:
        refusal.show(operator, store, exc)
        return
    finally:
        session.forget_numbers(operator)
    del st.session_state["voice_order"]
    st.session_state["voice_watch"] = made
    st.rerun()


def job_id_for(store: Store, order: SpeechOrder) -> UUID:
    """One id an order, kept until it got through: after a lost answer the next click finds it used."""
    known = st.session_state.get("voice_order")
    if known is None or known[:2] != (store.id, order):
        known = st.session_state["voice_order"] = (store.id, order, uuid4())
    return known[2]


def show_refusal(operator: Operator, store: Store, why: Refusal | None, quote: Quote) -> None:
    """Where some passages are bought already, the price says nothing about how long a text may be."""
    refusal.show(operator, store, QuotaExceeded(refusal=why), characters=0 if quote.bought else quote.characters)


# A draft first ----------------------------------------------------------------------------------------------------


def draft_button(operator: Operator, store: Store, offered: Services, choice: Choice, text: str) -> None:
    """Where the chosen voice costs something: hear the text in the embedded voice for nothing."""
    embedded = _embedded(offered)
    if choice.price == 0 or embedded is None:
        return
    clicked = st.button(
        "Listen to a draft · free", key="voice_draft", icon=":material/hearing:", disabled=store.suspended
    )
    if clicked:
        order = _in_embedded_voice(embedded, choice, text)
        _or_say(lambda: _draft(operator, store, order))


def _embedded(offered: Services) -> Offer | None:
    free = (o for o in offered.usable if o.name == "hibari" and offered.price(o, o.models[0]) == 0)
    return next(free, None)


def _in_embedded_voice(embedded: Offer, choice: Choice, text: str) -> SpeechOrder:
    return SpeechOrder(
        text=text,
        provider=embedded.name,
        model=embedded.models[0].id,
        voice=embedded.provider.voices()[0].id,
        format=choice.format,
        settings=choice.settings.model_copy(update={"stability": None}),
    )


def _draft(operator: Operator, store: Store, order: SpeechOrder) -> None:
    quote = generation.quote(operator.database, store.id, order)
    if quote.existing:
        st.caption("This text's draft:")
        draft = generation.get(operator.database, quote.existing)
        speech_player.show(draft, store.timezone, key="voice_draft_made")
    else:
        send(operator, store, order, quote)


def _or_say(run: Callable[[], None]) -> None:
    try:
        run()
    except AppError as exc:
        st.error(str(exc), icon=":material/error:")
