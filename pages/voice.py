"""Voice: type a text, see its price and what is left, generate, hear, download."""

from decimal import Decimal
from uuid import UUID, uuid4

import streamlit as st

from services.costs import prices
from services.costs.prices import PriceBook
from services.errors import AppError, InvalidInput, QuotaExceeded, Refusal
from services.jobs import queue
from services.profiles import Store
from services.speech import generation, registry
from services.speech.generation import Quote, SpeechOrder
from services.speech.provider import Provider
from ui import formats, job_progress, refusal, session, speech_player
from ui.session import Database, Operator

person = session.require("admin", "manager")

HISTORY = 10


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
    """What it costs and what is left then."""
    left = quote.left_after
    with st.container(key="tiles_price"):
        st.metric("Characters", f"{quote.characters:,}", border=True)
        st.metric("Price", price(quote.estimate), border=True)
        st.metric("Left after", "No limit" if left is None else formats.usd_left(max(left, Decimal(0))), border=True)
        if quote.more_like_it is not None:
            st.metric("More like it this month", f"about {quote.more_like_it:,}", border=True)
    if quote.store.near_with(quote.estimate):
        st.warning("This brings the store to 90 % of its quota or more.", icon=":material/warning:")


def price(amount: Decimal) -> str:
    return "free" if amount == 0 else formats.usd(amount)


def generate_button(operator: Operator, store: Store, order: SpeechOrder, quote: Quote) -> None:
    label = f"Generate · {price(quote.estimate)}"
    again = quote.existing is not None
    if again:
        st.success("This text already exists in this voice: use it for nothing.", icon=":material/recycling:")
        speech_player.show(generation.get(operator.database, quote.existing), store.timezone, key="existing")
        label = f"Generate again · {price(quote.estimate)}"
    clicked = st.button(
        label, key="voice_generate", type="secondary" if again else "primary", icon=":material/graphic_eq:",
        disabled=store.suspended or quote.running is not None,
    )  # fmt: skip
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
    send(operator, store, order)


def send(operator: Operator, store: Store, order: SpeechOrder) -> None:
    """Order the speech. The id outlives a rerun, so that an impatient second click finds it used."""
    job_id = st.session_state.setdefault("voice_job_id", uuid4())
    try:
        made = generation.order_speech(operator.database, store.id, order, job_id)
    except QuotaExceeded as exc:
        show_refusal(operator, store, exc.refusal)
        return
    finally:
        session.forget_stores(operator)
    del st.session_state["voice_job_id"]
    st.session_state["voice_watch"] = (store.id, made)
    st.rerun()


def show_refusal(operator: Operator, store: Store, why: Refusal | None) -> None:
    if why is None:
        st.error(QuotaExceeded.sentence, icon=":material/block:")
        return
    refusal.show(operator, store, why, characters=len(st.session_state.get("voice_text", "").strip()))


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
    if quote.refusal:
        show_refusal(operator, store, quote.refusal)
        st.button(f"Generate · {price(quote.estimate)}", key="voice_generate", disabled=True)
        return
    generate_button(operator, store, order, quote)


def progress(operator: Operator, store: Store) -> None:
    """The job ordered from this page, until it ended and was replaced."""
    watched_store, job_id = st.session_state.get("voice_watch", (None, None))
    if watched_store != store.id:
        return

    def draw(job: queue.Job) -> None:
        job_progress.bar(job)
        if job.status in job_progress.ACTIVE:
            job_progress.cancel_button(operator, job)
        elif job.status == "completed":
            st.success("Done.", icon=":material/check_circle:")

    job_progress.live(operator, lambda: [queue.get_job(operator.database, job_id)], draw, key="voice_live")


def history(operator: Operator, store: Store) -> None:
    st.subheader("Made for this store")
    made = generation.recent(operator.database, store.id, limit=HISTORY)
    if not made:
        st.info("Nothing yet. The first line you generate appears here.", icon=":material/graphic_eq:")
        return
    for speech in made:
        speech_player.show(speech, store.timezone, key=f"speech_{speech.id}")
    if len(made) == HISTORY:
        st.caption(f"The latest {HISTORY}.")


def show(operator: Operator) -> None:
    st.title("Voice")
    store = session.require_store(operator)
    left, right = st.columns([3, 2], gap="large")
    with left:
        if store.suspended:
            st.error(
                f"{store.name} is suspended: {store.suspended_reason or 'no reason given'}",
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
