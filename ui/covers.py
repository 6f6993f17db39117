"""Cover images of a clip or project: described, priced, drawn, and one of them shown."""

from html import escape
from typing import get_args
from uuid import UUID, uuid4

import streamlit as st

from services.errors import AppError, InvalidInput, PriceMissing, QuotaExceeded
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.scripts import covers, models, practice
from services.scripts.covers import LONGEST_PROMPT, Cover, Subject
from services.scripts.proposals import Proposal, Quote
from services.scripts.writer import Ratio
from services.speech.bills import Spent
from ui import clip_actions, formats, forms, job_progress, refusal, script_models, script_price, script_words, session
from ui.session import Operator

LATEST = 10  # jobs among which open ones are looked for
RATIOS: dict[Ratio, str] = {
    "16:9": "16:9, wide", "4:3": "4:3", "1:1": "1:1, square", "4:5": "4:5", "3:4": "3:4", "9:16": "9:16, upright",
}  # fmt: skip


def card(operator: Operator, store: Store, subject: Subject, label: str) -> None:
    """The panel in a card; nothing is asked of the database before it is opened."""
    shown = st.expander(label, icon=":material/palette:", key=f"cover_card_{subject.id}", on_change="rerun")
    if shown.open:
        with shown, st.container(key=f"cover_{subject.id}"):
            offer(operator, store, subject)


def offer(operator: Operator, store: Store, subject: Subject) -> None:
    found = covers.find(operator.database, subject)
    drawing = _watch(operator, store, subject)
    if found and not drawing:
        _ended(found[0])
    _order(operator, store, subject, drawing=drawing)
    _choose(operator, store, subject, [cover for cover in found if cover.status == "completed"])


def picture(cover_id: UUID, words: str) -> str:
    """A cover in its box; `words` are read to who cannot see it."""
    source = f'<img src="/files/small-covers/{cover_id}" alt="{escape(words, quote=True)}" loading="lazy">'
    return f'<div class="clip-picture">{source}</div>'


# While one is drawn -----------------------------------------------------------------------------------------------


def _watch(operator: Operator, store: Store, subject: Subject) -> bool:
    """The covers that are being drawn for it; returns whether there is one."""

    def load() -> list[Job]:
        latest = queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id, kind="cover", limit=LATEST
        )
        clip = str(subject.clip_id) if subject.clip_id else None
        place = {"clip_id": clip, "project_id": str(subject.project_id)}
        return [job for job in latest if job.open and (job.input["clip_id"], job.input["project_id"])
                == (place["clip_id"], place["project_id"])]  # fmt: skip

    def draw(job: Job) -> None:
        with st.container(border=True, key=f"cover_job_{job.id}"):
            job_progress.bar(job, Spent())
            job_progress.cancel_button(operator, job)
            if error := job_progress.refused(job):
                st.error(formats.plain(str(error)), icon=":material/error:")

    jobs = load()
    job_progress.live(operator, jobs, load, draw, key=f"cover_live_{subject.id}")
    return bool(jobs)


def _ended(latest: Proposal) -> None:
    """Why the latest one is not there, and what it cost all the same."""
    charged = "Nothing was charged." if latest.cost_usd == 0 else f"{formats.usd(latest.cost_usd)} was charged."
    if latest.status == "failed":
        st.error(formats.plain(f"{latest.error or 'It failed.'} {charged}"), icon=":material/error:")
    elif latest.status == "cancelled":
        st.info(formats.plain(f"Cancelled. {charged}"), icon=":material/cancel:")


# Ordering ---------------------------------------------------------------------------------------------------------


def _order(operator: Operator, store: Store, subject: Subject, *, drawing: bool) -> None:
    form = f"cover_{subject.id}"
    prompt = st.text_area("What the cover shows", subject.prompt, key=f"{form}_prompt", max_chars=LONGEST_PROMPT,
                          persist_state="session", help="These words are sent as they stand.")  # fmt: skip
    forms.beside(f"{form}.prompt")
    left, right = st.columns(2)
    with left:
        ratio: Ratio = st.selectbox("Shape", get_args(Ratio), index=get_args(Ratio).index(subject.ratio),
                                    format_func=RATIOS.get, key=f"{form}_ratio", persist_state="session")  # fmt: skip
    with right:
        model = _model(operator, store, form)
    quote = _quote(operator, store, model)
    if quote is None:
        return
    clicked = st.button(
        f"Draw · {script_price.at_most(quote.largest)}", key=f"{form}_draw", type="primary", icon=":material/palette:",
        disabled=drawing or store.suspended or not prompt.strip(),
    )  # fmt: skip
    forms.beside(f"{form}.", f"{form}.model")
    shown = st.session_state.get(f"{form}_shown")
    st.session_state[f"{form}_shown"] = quote.largest
    if not clicked or drawing:
        return
    if shown is None or quote.largest > shown:
        st.info(f"It now costs {script_price.at_most(quote.largest)}. Press again.", icon=":material/sell:")
        return
    _start(operator, store, subject, (model, prompt, ratio))


def _model(operator: Operator, store: Store, form: str) -> str:
    """What draws it: without an account only the practice writer, with what to add."""
    connected = script_models.connected(operator, store)
    drawing = [model.id for model in models.usable(models.today(), draws=True)] if connected else []
    offered = [*drawing, practice.MODEL]
    if st.session_state.get(f"{form}_model") not in offered:
        st.session_state.pop(f"{form}_model", None)
    titles = {practice.MODEL: "Practice writer (not AI: free)"}
    model: str = st.selectbox("Drawn by", offered, format_func=lambda id_: titles.get(id_) or script_words.model(id_),
                              key=f"{form}_model", persist_state="session")  # fmt: skip
    script_models.warn([model])
    if not connected and not operator.membership.is_demo:
        where = (
            "Add it under Settings → Accounts." if operator.role == "admin" else "An admin can add it under Settings."
        )
        st.caption(f":material/key_off: Gemini is not connected for this store: its key is missing. {where}")
    return model


def _quote(operator: Operator, store: Store, model: str) -> Quote | None:
    """What it costs, said; None where it cannot be bought."""
    try:
        quote = covers.quote(operator.database, store.id, model)
    except PriceMissing:
        st.warning("This model has no prices yet, so nothing can be bought. An admin must set them under "
                   "Admin → Prices → Writing models.", icon=":material/sell:")  # fmt: skip
        if operator.role == "admin":
            st.page_link("../pages/admin.py", label="Prices", icon=":material/sell:", query_params={"part": "Prices"})
        return None
    if quote.largest == 0:
        st.caption(practice.DRAWN_PLAINLY)
        return quote
    typically = f"Typically {formats.usd(quote.typical)}. " if quote.typical else ""
    left = [quota.left for quota in (quote.store, quote.company) if quota.left is not None]
    month = f"The month has {formats.usd_left(min(left))} left. " if left else ""
    st.caption(formats.plain(f"{typically}{month}At most is set aside, and what the call really cost is charged."))
    return quote


def _start(operator: Operator, store: Store, subject: Subject, wanted: tuple[str, str, Ratio]) -> None:
    form = f"cover_{subject.id}"
    try:
        covers.order(operator.database, _cover_id(form, wanted), subject, *wanted)
    except QuotaExceeded as exc:
        refusal.show(operator, store, exc, ways=refusal.COVER_WAYS, key=f"{form}_refusal")
        return
    except AppError as exc:
        field = exc.field if isinstance(exc, InvalidInput) else None
        st.session_state["form_error"] = (f"{form}.{field or ''}", str(exc))
        st.rerun()
    finally:
        session.forget_numbers(operator)
    del st.session_state[f"{form}_order"]
    st.rerun()


def _cover_id(form: str, wanted: tuple[str, str, Ratio]) -> UUID:
    """One id an order, kept until it got through: after a lost answer the next click finds it used."""
    known: tuple[object, UUID] | None = st.session_state.get(f"{form}_order")
    if known is None or known[0] != wanted:
        known = st.session_state[f"{form}_order"] = (wanted, uuid4())
    return known[1]


# Choosing ---------------------------------------------------------------------------------------------------------


def _choose(operator: Operator, store: Store, subject: Subject, drawn: list[Proposal]) -> None:
    """All that were drawn, newest first, and the way back to none of them."""
    what = "thumbnail" if subject.clip_id else "cover"
    if subject.cover_id:
        label = "Back to its own thumbnail" if subject.clip_id else "Show no cover"
        if st.button(label, key=f"cover_{subject.id}_none", icon=":material/undo:"):
            _show(operator, subject, None, f"The {what} is as it was.")
    if not drawn:
        return
    with st.container(key=f"covers_grid_{subject.id}"):
        for proposal in drawn:
            with st.container(border=True, key=f"cover_drawn_{proposal.id}"):
                _drawn(store, proposal)
                if proposal.id == subject.cover_id:
                    st.markdown(f":material/check_circle: The {what}")
                elif st.button(f"Use as {what}", key=f"cover_use_{proposal.id}"):
                    _show(operator, subject, proposal.id, f"It is the {what} now.")


def _drawn(store: Store, proposal: Proposal) -> None:
    prompt, cover = str(proposal.wanted["prompt"]), Cover.model_validate(proposal.output)
    st.html(picture(proposal.id, f"Cover: {prompt}"))
    cost = "free" if proposal.cost_usd == 0 else formats.usd(proposal.cost_usd)
    made = formats.moment(proposal.started_at, store.timezone)
    st.caption(
        formats.plain(f"{script_words.model(proposal.model)} · {cost} · {cover.width} × {cover.height} · {made}")
    )
    with st.expander("Prompt"):
        st.text(prompt)
        if cover.note:
            st.caption(formats.plain(cover.note))
    st.html(f'<a class="cover-save" href="/files/covers/{proposal.id}?download=1" download="cover.jpg">Download</a>')


def _show(operator: Operator, subject: Subject, cover_id: UUID | None, done: str) -> None:
    clip_actions.act(operator, lambda: covers.show(operator.database, subject, cover_id), done)
