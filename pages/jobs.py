"""Jobs: what runs, what ended and why, with retry and cancel. The filters are in the address."""

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

import streamlit as st

from services.errors import AppError, QuotaExceeded
from services.jobs import queue
from services.jobs.queue import Job
from services.profiles import Store
from services.speech import bills, decisions
from services.speech.bills import Spent
from services.speech.decisions import Unclear
from ui import formats, job_progress, pager, pauses, refusal, session, unclear
from ui.session import Operator

person = session.require("admin", "manager", "finance")

STATUSES = {"any": "Any state", "running": "Running", "pending": "Queued", "completed": "Completed",
            "failed": "Failed", "cancelled": "Cancelled"}  # fmt: skip
PAGE = 25


@dataclass
class Money:
    """What the jobs on the page came to, and which of them wait for somebody's decision; read with them."""

    spent: dict[UUID, Spent] = field(default_factory=dict)
    overruns: dict[UUID, Decimal] = field(default_factory=dict)
    waiting: list[Unclear] = field(default_factory=list)

    def load(self, operator: Operator, store: Store | None) -> None:
        known = session.recently(operator)
        found = decisions.unclear(known, operator.account_id)
        self.waiting = [call for call in found if store is None or call.profile_id == store.id]
        self.overruns = bills.overruns(known, operator.account_id)

    def look_up(self, operator: Operator, jobs: list[Job]) -> None:
        unclear_jobs = {call.job_id for call in self.waiting}
        told = [job.id for job in jobs if job_progress.is_lost(job) or job.id in unclear_jobs]
        self.spent = bills.spent(operator.database, told)

    def of(self, job: Job) -> Spent:
        return self.spent.get(job.id, Spent())


def filters() -> tuple[str | None, str | None]:
    with st.container(horizontal=True):
        status = st.selectbox(
            "State", list(STATUSES), format_func=STATUSES.get, key="status", bind="query-params", width=200
        )
        kinds = {"any": "Any kind", **job_progress.KINDS}
        kind = st.selectbox("Kind", list(kinds), format_func=kinds.get, key="kind", bind="query-params", width=200)
    return (None if status == "any" else status), (None if kind == "any" else kind)


@dataclass(frozen=True)
class Setting:
    """What every card of the page is drawn with."""

    operator: Operator
    stores: dict[UUID, Store]
    people: dict[UUID | None, str]
    zone: str
    money: Money


def line(page: Setting, job: Job) -> None:
    with st.container(border=True, key=f"job_{job.id}"):
        what, state, buttons = st.columns([4, 4, 2], vertical_alignment="center")
        with what:
            about(page, job)
        with state:
            outcome(page.money, job)
        with buttons:
            actions(page, job)
        if error := job_progress.refused(job):
            explain(page, job, error)


def about(page: Setting, job: Job) -> None:
    where = formats.plain(store_name(page.stores, job))
    who = formats.plain(page.people.get(job.created_by, "Somebody who left"))
    st.markdown(f"{job_progress.ICONS[job.status]} **{job_progress.kind(job)}** · {where}")
    st.caption(f"{formats.moment(job.created_at, page.zone)} · {who}")
    if preview := job.input.get("text"):
        st.text(preview if len(preview) <= 100 else f"{preview[:100]}…")


def outcome(money: Money, job: Job) -> None:
    if job.status == "completed":
        st.caption(f"Done in {formats.seconds(job.seconds)}")
        if money.of(job).unclear:
            st.caption(f"{formats.plain(job_progress.outcome(money.of(job)))} It was bought again.")
    else:
        job_progress.bar(job, money.of(job))
    if factor := money.overruns.get(job.id):
        sentence = f"Billed {pauses.times(factor)} of what was announced; booked in full."
        st.warning(sentence, icon=":material/price_change:")


def store_name(stores: dict[UUID, Store], job: Job) -> str:
    if job.profile_id is None:
        return "Company"
    return stores[job.profile_id].label if job.profile_id in stores else "A store that was archived"


def actions(page: Setting, job: Job) -> None:
    if page.operator.role == "finance":
        return
    spent = page.money.of(job)
    if job.open:
        job_progress.cancel_button(page.operator, job)
        return
    if job_progress.is_lost(job) and job.profile_id in page.stores:
        if spent.undecided:
            unclear.buy_again_button(page.operator, job, spent)
        else:
            job_progress.retry_button(page.operator, job)
    unclear.decide(page.operator, job, spent)


def explain(page: Setting, job: Job, error: AppError) -> None:
    """Across the card: why a click was refused."""
    if isinstance(error, QuotaExceeded) and error.refusal and job.profile_id:
        characters = 0 if page.money.of(job).kept else len(job.input.get("text", ""))
        refusal.show(page.operator, page.stores[job.profile_id], error.refusal, characters=characters)
    else:
        st.error(str(error), icon=":material/error:")


def ask_for_decisions(waiting: list[Unclear], *, filtered: bool) -> None:
    """Undecided calls hold money and stop their jobs, however old those are."""
    if waiting:
        calls = "a call was" if len(waiting) == 1 else f"{len(waiting):,} calls were"
        where = "Choose any state and kind, on the first page, to see the jobs." if filtered else "See the jobs below."
        st.warning(
            f"Nobody can tell whether {calls} billed; the money stays held until somebody decides. {where}",
            icon=":material/help:",
        )


def with_waiting(operator: Operator, money: Money, listed: list[Job]) -> list[Job]:
    """First those older jobs that wait for a decision, at most 10."""
    known = {job.id for job in listed}
    older = list(dict.fromkeys(call.job_id for call in money.waiting if call.job_id not in known))[:10]
    return [job_now(operator, job_id) for job_id in older] + listed


def job_now(operator: Operator, job_id: UUID) -> Job:
    """One that has ended changes by a click only, so it is not read anew each second."""
    known = queue.get_job(session.recently(operator), job_id)
    return queue.get_job(operator.database, job_id) if known.open else known


def empty(filtered: bool) -> None:
    if filtered:
        st.info("No job matches. Choose another state or kind.", icon=":material/filter_alt_off:")
    else:
        st.info("Nothing has run here yet. Speak a line on the Voice page.", icon=":material/graphic_eq:")


def show(operator: Operator) -> None:
    store = session.chosen_store(operator)
    st.title("Jobs")
    status, kind = filters()
    after = pager.after("jobs", (operator.account_id, store and store.id, status, kind))

    filtered = bool(status or kind or after)
    money = Money()

    def load() -> list[Job]:
        shown = queue.list_jobs(
            operator.database, account_id=operator.account_id, profile_id=store.id if store else None, status=status,
            kind=kind, limit=PAGE, after=after,
        )  # fmt: skip
        money.load(operator, store)
        if not filtered:
            shown = with_waiting(operator, money, shown)
        money.look_up(operator, shown)
        return shown

    jobs = load()
    ask_for_decisions(money.waiting, filtered=filtered)
    if not jobs:
        empty(filtered=filtered)
    stores = {choice.id: choice for choice in session.stores(operator)}
    zone = store.timezone if store else operator.timezone
    page = Setting(operator, stores, session.names(operator), zone, money)
    job_progress.live(operator, jobs, load, lambda job: line(page, job), key="jobs_live")
    pager.buttons("jobs", jobs[-1].key if len(jobs) >= PAGE else None)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
