"""Voice: type a text, choose a voice, see its price and what is left, generate, hear, download."""

from uuid import UUID

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from services.desks import JobsDesk
from services.errors import AppError, InvalidInput, ModelPaused, PriceMissing
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.speech import bills, decisions, generation
from services.speech.bills import Spent
from services.speech.defaults import VoiceDefaults
from services.speech.generation import Quote
from ui import (
    dictionary,
    formats,
    job_progress,
    more_voices,
    pager,
    pauses,
    price_card,
    refusal,
    script_hand,
    session,
    speech_order,
    speech_player,
    voice_desk,
    voice_picker,
)
from ui.session import Operator
from ui.voice_picker import Choice, Services

person = session.require("admin", "manager")


def compose(operator: Operator, store: Store) -> None:
    script_hand.receive(operator, store, "voice_text")
    text = st.text_area(
        "Text", key="voice_text", height=180, persist_state="session",
        placeholder="Fresh bread at six, every morning on the quay.",
        help="Up to 40,000 characters. Press Ctrl+Enter to see the price.",
    )  # fmt: skip
    beside_text = st.container()
    script_hand.offer(operator, store, "voice_text")
    offered = voice_picker.services(operator, store)
    choice = voice_picker.pick(operator, offered)
    if choice is not None and text.strip():
        order(operator, store, offered, choice, text, beside_text)
    elif choice is not None:
        st.button("Generate", key="voice_generate", type="primary", disabled=True, icon=":material/graphic_eq:")
        beside_text.caption("Type what should be said; the price appears here before anything is bought.")
    saved(operator, store)
    more_voices.show(operator, offered)
    dictionary.show(operator, store)


def order(
    operator: Operator, store: Store, offered: Services, choice: Choice, text: str, beside_text: DeltaGenerator
) -> None:
    """Price, what exists already, and the buttons; or why there is no price."""
    if sentence := choice.warning(text):
        beside_text.warning(formats.plain(sentence), icon=":material/translate:")
    try:
        # After a click on Generate, the words and models of this moment.
        known = session.recently_or_now(operator, store, now=bool(st.session_state.get("voice_generate")))
        quote = generation.quote(known, store.id, choice.order(text))
    except InvalidInput as exc:
        beside_text.error(str(exc), icon=":material/error:")
        return
    except ModelPaused as exc:
        say_paused(operator, store, choice, exc)
    except PriceMissing as exc:
        refusal.show(operator, store, exc)
    except AppError as exc:
        st.error(str(exc), icon=":material/error:")
    else:
        decide(operator, store, choice, text, quote)
    speech_order.draft_button(operator, store, offered, choice, text)


def say_paused(operator: Operator, store: Store, choice: Choice, error: ModelPaused) -> None:
    """Something would have to be bought from the model, and nothing can be. What was bought before has a price."""
    found = decisions.pauses(session.recently(operator), operator.account_id)
    mine = [p for p in found if (p.provider, p.model) == (choice.offer.name, choice.model.id)]
    if mine:
        pauses.warn(operator, mine, store.timezone)
    else:  # paused a moment ago
        st.warning(formats.plain(str(error)), icon=":material/pause_circle:")
    refusal.who(operator, store)


def decide(operator: Operator, store: Store, choice: Choice, text: str, quote: Quote) -> None:
    price_card.show(quote)
    offer_reuse(operator, store, quote)
    if quote.refusal:
        speech_order.show_refusal(operator, store, quote.refusal, quote)
    speech_order.generate_button(operator, store, choice.order(text), quote)


def offer_reuse(operator: Operator, store: Store, quote: Quote) -> None:
    if quote.existing is None:
        return
    st.success("This text already exists in this voice: use it for nothing.", icon=":material/recycling:")
    made = generation.get(session.recently(operator, store), quote.existing)
    speech_player.show(made, store.timezone, key="existing")


def saved(operator: Operator, store: Store) -> None:
    amount = generation.saved_this_month(session.recently(operator, store), store.id)
    if amount > 0:
        st.caption(
            f":material/recycling: Reusing passages saved {formats.plain(formats.usd(amount))} this month (UTC)."
        )


def progress(operator: Operator, store: Store, just_asked: JobsDesk | None) -> None:
    """The store's speech under way, whoever ordered it, and how the job ordered from this page ended."""
    watched = st.session_state.get("voice_watch")
    spent: dict[UUID, Spent] = {}

    def shown(latest: list[Job]) -> list[Job]:
        return [job for job in latest if job.open or job.id == watched]

    def load() -> list[Job]:
        latest = queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id, kind="speech",
            limit=voice_desk.WATCHED,
        )  # fmt: skip
        lost = [job.id for job in shown(latest) if job_progress.is_lost(job)]
        spent.update(bills.spent(operator.database, lost))
        return shown(latest)

    def told(desk: JobsDesk) -> list[Job]:
        spent.update(desk.spent)
        return shown(desk.jobs)

    def draw(job: Job) -> None:
        job_progress.bar(job, spent.get(job.id, Spent()))
        if job.open:
            job_progress.cancel_button(operator, job)
        elif job.status == "completed":
            st.success("Done.", icon=":material/check_circle:")
        if error := job_progress.refused(job):
            st.error(str(error), icon=":material/error:")

    job_progress.live(operator, told(just_asked) if just_asked else load(), load, draw, key="voice_live")


def history(operator: Operator, store: Store) -> None:
    st.header("Made for this store")
    after = pager.after("speech", store.id)
    known = session.recently(operator, store)
    made = generation.recent(known, store.id, limit=voice_desk.HISTORY, after=after)
    if not made:
        st.info("Nothing yet. The first line you generate appears here.", icon=":material/graphic_eq:")
    overruns = bills.overruns(known, operator.account_id) if made else {}
    for speech in made:
        factor = overruns.get(speech.job_id) if speech.job_id else None
        speech_player.show(speech, store.timezone, key=f"speech_{speech.id}", overrun=factor)
    pager.buttons("speech", made[-1].key if len(made) == voice_desk.HISTORY else None)


def show(operator: Operator) -> None:
    st.title("Voice")
    store = session.require_store(operator)
    voice_picker.begin_with(VoiceDefaults.model_validate(store.tts_settings), str(store.id))
    asked = voice_desk.ask(operator, store)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if store.suspended:
            st.error(
                formats.plain(f"{store.name} is suspended: {store.suspended_reason or 'no reason given'}"),
                icon=":material/pause_circle:",
            )
            refusal.who(operator, store)
        compose(operator, store)
    with right:
        progress(operator, store, asked.jobs if asked else None)
        history(operator, store)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
