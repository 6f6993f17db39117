"""Voice: type a text, see its price and what is left, generate, hear, download."""

from decimal import Decimal
from uuid import UUID, uuid4

import streamlit as st

from services.costs import prices
from services.costs.prices import PriceBook
from services.errors import AppError, InvalidInput, QuotaExceeded, Refusal
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.speech import generation, registry
from services.speech.generation import Quote, SpeechOrder
from services.speech.provider import Provider
from ui import formats, job_progress, pager, refusal, session, speech_player
from ui.session import Database, Operator

person = session.require("admin", "manager")

HISTORY = 10  # speeches a page
WATCHED = 10  # latest jobs among which open ones are looked for


@st.cache_data(ttl=session.CACHE_SECONDS, max_entries=500, show_spinner=False)
def price_book(account_id: UUID, person_id: UUID, _database: Database) -> PriceBook:
    return prices.current(_database, account_id)


def choose_voice(operator: Operator, store: Store) -> dict | None:
    """Voice, speed and format; None when the price book has no voice."""
    book = price_book(operator.account_id, operator.person.id, operator.database)
    offered = [p for p in registry.providers() if (p.name, p.models[0], "characters") in book]
    if not offered:
        st.warning("No voice has a price yet, so none can be used. Ask an admin.", icon=":material/sell:")
        return None

    def label(provider: Provider) -> str:
        price = book[provider.name, provider.models[0], "characters"]
        rate = "" if price.usd == 0 else f" · {formats.usd(price.usd)} per {price.per_units:,} characters"
        return f"{provider.label}{rate}"

    names = {p.name: label(p) for p in offered}
    name = st.radio("Voice", list(names), format_func=names.get, key="voice_provider", persist_state="session")
    provider = registry.provider(name)
    left, right = st.columns(2)
    speed = left.slider("Speed", 0.5, 2.0, 1.0, 0.05, format="%.2f×", key="voice_speed", persist_state="session")
    kind = right.radio(
        "Format",
        ["mp3", "wav"],
        format_func=str.upper,
        horizontal=True,
        key="voice_format",
        persist_state="session",
    )
    return {
        "provider": name,
        "model": provider.models[0],
        "voice": provider.voices()[0].id,
        "settings": {"speed": speed},
        "format": kind,
    }


def price_card(quote: Quote) -> None:
    """What it costs and, unless it is refused, what is left then."""
    left = quote.left_after
    with st.container(key="tiles_price"):
        st.metric("Characters", f"{quote.characters:,}", border=True)
        st.metric("Price", price(quote.estimate), border=True)
        if quote.refusal:
            return
        st.metric("Left after", "No limit" if left is None else formats.usd_left(left), border=True)
        if quote.more_like_it is not None:
            st.metric("More like it this month", f"about {quote.more_like_it:,}", border=True)
    if quote.store.near_with(quote.estimate):
        st.warning("This brings the store to 90 % of its quota or more.", icon=":material/warning:")


def price(amount: Decimal) -> str:
    return "free" if amount == 0 else formats.usd(amount)


def offer_reuse(operator: Operator, store: Store, quote: Quote) -> None:
    if quote.existing is None:
        return
    st.success("This text already exists in this voice: use it for nothing.", icon=":material/recycling:")
    speech_player.show(generation.get(operator.database, quote.existing), store.timezone, key="existing")


def generate_button(operator: Operator, store: Store, order: SpeechOrder, quote: Quote) -> None:
    again = quote.existing is not None
    if quote.running:
        st.caption("This text is being made right now.")
    clicked = st.button(
        f"Generate{' again' if again else ''} · {price(quote.estimate)}",
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
            f"The text changed: it now costs {price(quote.estimate)}. Press again to generate.",
            icon=":material/sell:",
        )
        return
    send(operator, store, order, quote)


def job_id_for(store: Store, order: SpeechOrder) -> UUID:
    """One id an order, kept until it got through: after a lost answer the next click finds it used."""
    known = st.session_state.get("voice_order")
    if known is None or known[:2] != (store.id, order):
        known = st.session_state["voice_order"] = (store.id, order, uuid4())
    return known[2]


def send(operator: Operator, store: Store, order: SpeechOrder, quote: Quote) -> None:
    try:
        made = generation.order_speech(operator.database, store.id, order, job_id_for(store, order))
    except QuotaExceeded as exc:
        show_refusal(operator, store, exc.refusal, quote.characters)
        return
    finally:
        session.forget_numbers(operator)
    del st.session_state["voice_order"]
    st.session_state["voice_watch"] = made
    st.rerun()


def show_refusal(operator: Operator, store: Store, why: Refusal | None, characters: int) -> None:
    if why is None:
        st.error(QuotaExceeded.sentence, icon=":material/block:")
    else:
        refusal.show(operator, store, why, characters=characters)


def compose(operator: Operator, store: Store) -> None:
    text = st.text_area(
        "Text", key="voice_text", height=180, persist_state="session",
        placeholder="Fresh bread at six, every morning on the quay.",
        help="Press Ctrl+Enter to see the price.",
    )  # fmt: skip
    beside_text = st.container()
    voice = choose_voice(operator, store)
    if voice is None:
        return
    if not text.strip():
        st.button("Generate", key="voice_generate", type="primary", disabled=True, icon=":material/graphic_eq:")
        beside_text.caption("Type what should be said; the price appears here before anything is bought.")
        return
    try:
        registry.provider(voice["provider"]).check(text)
        order = SpeechOrder(text=text, **voice)
        quote = generation.quote(operator.database, store.id, order)
    except InvalidInput as exc:
        beside_text.error(str(exc), icon=":material/error:")
        return
    price_card(quote)
    offer_reuse(operator, store, quote)
    if quote.refusal:
        show_refusal(operator, store, quote.refusal, quote.characters)
    generate_button(operator, store, order, quote)


def progress(operator: Operator, store: Store) -> None:
    """The store's speech under way, whoever ordered it, and how the job ordered from this page ended."""
    watched = st.session_state.get("voice_watch")

    def load() -> list[Job]:
        latest = queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id, kind="speech", limit=WATCHED
        )
        return [job for job in latest if job.open or job.id == watched]

    def draw(job: Job) -> None:
        job_progress.bar(job)
        if job.open:
            job_progress.cancel_button(operator, job)
        elif job.status == "completed":
            st.success("Done.", icon=":material/check_circle:")
        if error := job_progress.refused(job):
            st.error(str(error), icon=":material/error:")

    job_progress.live(operator, load(), load, draw, key="voice_live")


def history(operator: Operator, store: Store) -> None:
    st.header("Made for this store")
    after = pager.after("speech", store.id)
    made = generation.recent(operator.database, store.id, limit=HISTORY, after=after)
    if not made:
        st.info("Nothing yet. The first line you generate appears here.", icon=":material/graphic_eq:")
    for speech in made:
        speech_player.show(speech, store.timezone, key=f"speech_{speech.id}")
    pager.buttons("speech", made[-1].key if len(made) == HISTORY else None)


def show(operator: Operator) -> None:
    st.title("Voice")
    store = session.require_store(operator)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if store.suspended:
            st.error(
                formats.plain(f"{store.name} is suspended: {store.suspended_reason or 'no reason given'}"),
                icon=":material/pause_circle:",
            )
        compose(operator, store)
    with right:
        progress(operator, store)
        history(operator, store)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
