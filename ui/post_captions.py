"""Captions proposed from a clip's frames: what they cost, ordering them, and how far they are."""

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import streamlit as st

from services.clips import Clip
from services.errors import AppError, InvalidInput, PriceMissing, QuotaExceeded
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.publishing import networks
from services.publishing.posts import PinnedChannel
from services.publishing.rules import LiveRules
from services.scripts import assistants, captions, practice, proposals
from services.scripts.assistants import SavedAssistant
from services.scripts.captions import Wanted
from services.scripts.proposals import Proposal, Quote
from services.speech import bills
from services.speech.bills import Spent
from ui import formats, job_progress, post_proposals, refusal, script_address, script_models, script_price, session
from ui.post_words import Editing
from ui.session import Operator

KEY = "post_captions"


def show(
    operator: Operator, store: Store, editing: Editing, clip: Clip, chosen: Sequence[PinnedChannel],
    live: Mapping[str, LiveRules],
) -> None:  # fmt: skip
    """A card that opens. Draw it before the words of the channels: a proposal fills them in."""
    card = st.expander("Propose captions from the clip", key=KEY, icon=":material/auto_awesome:", on_change="rerun")
    if not card.open:
        return
    with card:
        if obstacle := _obstacle(clip):
            st.info(obstacle, icon=":material/info:")
            return
        writer = _writer(operator, store)
        if writer is None:
            return
        try:
            wanted = captions.wanted(writer.language, _limits(chosen, live), writer.tone, writer.banned_words)
        except InvalidInput as exc:
            st.info(str(exc), icon=":material/info:")
            return
        _card(operator, store, editing, clip, chosen, writer, wanted)


def _obstacle(clip: Clip) -> str | None:
    if clip.media_type == "audio":
        return "This clip is sound only: there is nothing to see in it. Write its captions yourself."
    return None if clip.ready else "This clip is not ready yet. Captions can be proposed once it is."


def _writer(operator: Operator, store: Store) -> SavedAssistant | None:
    """The store's assistant that writes captions."""
    found = assistants.of_store(session.recently(operator, store), store.id)
    if not found:
        st.info("Nobody writes for this store yet. Make an assistant on the Scripts page first: captions are written "
                "in its language and tone.", icon=":material/history_edu:")  # fmt: skip
        st.page_link("../pages/scripts.py", label="Make an assistant", icon=":material/person_add:",
                     query_params={"script_part": script_address.ASSISTANTS})  # fmt: skip
        return None
    names = {one.id: one for one in found}
    picked = st.selectbox(
        "Written by", list(names), format_func=lambda id_: _about(names[id_]), key=f"{KEY}_by_{store.id}",
        persist_state="session", help="An assistant of the store. Its language, tone and model write the captions.",
    )  # fmt: skip
    return names[picked]


def _about(one: SavedAssistant) -> str:
    return f"{one.name} · {one.language}"


def _model(writer: SavedAssistant) -> str:
    return writer.models["prompt_generation"]


def _limits(chosen: Sequence[PinnedChannel], live: Mapping[str, LiveRules]) -> dict[str, int]:
    """The longest caption of each network: the shortest limit of its chosen channels."""
    limits: dict[str, int] = {}
    for one in chosen:
        own = networks.limit_of(one.identifier, live.get(one.channel, LiveRules()).max_length)
        limits[one.identifier] = min(own, limits.get(one.identifier, own))
    return limits


def _card(
    operator: Operator, store: Store, editing: Editing, clip: Clip, chosen: Sequence[PinnedChannel],
    writer: SavedAssistant, wanted: Wanted,
) -> None:  # fmt: skip
    known = proposals.find(operator.database, "captions", clip_id=clip.id)
    asked, model = wanted.model_dump(mode="json"), _model(writer)
    current = next((one for one in known if one.model == model and one.wanted == asked), None)
    kept = current or next((one for one in known if one.status == "completed"), None)
    if current is None:
        _offer(operator, store, clip, writer, wanted)
    elif current.status != "completed":
        _follow(operator, store, current)
    if kept and kept.status == "completed":
        if kept is not current:
            st.caption("These were proposed before, for other networks or by another assistant:")
        post_proposals.show(editing, chosen, kept)


# Ordering ---------------------------------------------------------------------------------------------------------


def _offer(operator: Operator, store: Store, clip: Clip, writer: SavedAssistant, wanted: Wanted) -> None:
    """What it costs, and the button."""
    model = _model(writer)
    script_models.warn([model])
    if model == practice.MODEL:
        st.info(practice.PLAINLY, icon=":material/school:")
    elif not script_models.connected(operator, store):
        _not_connected(operator)
        return
    try:
        quote = proposals.quote(operator.database, store.id, "captions", model)
    except PriceMissing:
        st.warning("The assistant's model has no prices yet, so nothing can be bought. An admin must set them under "
                   "Admin → Prices → Writing models.", icon=":material/sell:")  # fmt: skip
        return
    st.caption(formats.plain(_price(quote)))
    clicked = st.button(
        f"Propose captions · {script_price.at_most(quote.largest)}", key=f"{KEY}_order", icon=":material/auto_awesome:",
        disabled=store.suspended,
    )  # fmt: skip
    if clicked:
        _order(operator, store, clip, model, wanted)


def _not_connected(operator: Operator) -> None:
    st.warning("Gemini is not connected for this store: its key is missing. An assistant of the practice writer needs "
               "none.", icon=":material/key_off:")  # fmt: skip
    if operator.role == "admin":
        st.page_link("../pages/settings.py", label="Settings", icon=":material/tune:")
    else:
        st.caption("An admin can add it under Settings.")


def _price(quote: Quote) -> str:
    """In US dollars, as all is."""
    looks = f"Up to {captions.FRAMES} frames of the clip are looked at, and a caption is written for each network."
    if quote.largest == 0:
        return f"{looks} It is free."
    typically = f", typically {formats.usd(quote.typical)}: the mean of the last {quote.known}" if quote.typical else ""
    left = script_price.left(quote.store, quote.company)
    return (
        f"{looks} US dollars: at most {formats.usd_short(quote.largest)}{typically}. Nothing if this film's captions "
        f"are there already. The month has left: {left}."
    )


def _order(operator: Operator, store: Store, clip: Clip, model: str, wanted: Wanted) -> None:
    order = (clip.id, model, wanted.model_dump(mode="json"))
    try:
        proposals.order(
            operator.database, _order_id(order), "captions", store.id, model, order[2], clip_id=clip.id
        )  # fmt: skip
    except QuotaExceeded as exc:
        if exc.refusal is None:
            raise
        refusal.show(operator, store, exc, ways=refusal.CAPTION_WAYS, key=f"{KEY}_refusal")
        return
    except AppError as exc:
        refusal.show(operator, store, exc, key=f"{KEY}_refusal")
        return
    finally:
        session.forget_numbers(operator)
    del st.session_state[f"{KEY}_id"]
    st.rerun()


def _order_id(order: object) -> UUID:
    """One id an order, kept until it got through: after a lost answer the next click finds it used."""
    known: tuple[object, UUID] | None = st.session_state.get(f"{KEY}_id")
    if known is None or known[0] != order:
        known = st.session_state[f"{KEY}_id"] = (order, uuid4())
    return known[1]


# Following --------------------------------------------------------------------------------------------------------


def _follow(operator: Operator, store: Store, current: Proposal) -> None:
    """How far it is, or why there is nothing, with a way on."""

    def load() -> list[Job]:
        return [queue.get_job(operator.database, current.id)]

    def draw(job: Job) -> None:
        if job.open:
            job_progress.bar(job, job_progress.NOTHING_SPENT)
            job_progress.cancel_button(operator, job)
        elif job_progress.is_lost(job):
            _lost(operator, job, current)
        if error := job_progress.refused(job):
            refusal.show(operator, store, error, ways=refusal.CAPTION_WAYS, key=f"{KEY}_refusal")

    job_progress.live(operator, load(), load, draw, key=f"{KEY}_live")


def _lost(operator: Operator, job: Job, current: Proposal) -> None:
    """Ended without captions: what was charged all the same, and a way on."""
    calls = bills.spent(operator.database, [job.id]).get(job.id, Spent())
    spent = Spent(booked=current.cost_usd, open=calls.open)
    job_progress.bar(job, spent)
    if spent.undecided:
        st.page_link("../pages/jobs.py", label="Decide it on the Jobs page", icon=":material/gavel:")
    else:
        job_progress.retry_button(operator, job)
