"""Jobs: what runs, what ended and why, with retry and cancel. The filters are in the address."""

from dataclasses import dataclass
from uuid import UUID

import streamlit as st

from services import desks
from services.desks import JobsDesk
from services.errors import AppError, ModelPaused, PriceMissing, QuotaExceeded, StoreSuspended
from services.jobs.queue import Job
from services.profiles import Store
from services.speech.bills import Spent
from ui import formats, job_progress, ledger_card, pager, pauses, refusal, session, unclear
from ui.session import Operator

person = session.require("admin", "manager", "finance")

STATUSES = {"any": "Any state", "running": "Running", "pending": "Queued", "completed": "Completed",
            "failed": "Failed", "cancelled": "Cancelled"}  # fmt: skip
PAGE = 25
REFUSALS = (QuotaExceeded, ModelPaused, PriceMissing, StoreSuspended)


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
    zone: str
    desk: JobsDesk

    def spent(self, job: Job) -> Spent:
        return self.desk.spent.get(job.id, Spent())


def line(page: Setting, job: Job) -> None:
    with st.container(border=True, key=f"job_{job.id}"):
        what, state, buttons = st.columns([4, 4, 2], vertical_alignment="center")
        with what:
            about(page, job)
        with state:
            outcome(page, job)
        with buttons:
            actions(page, job)
        if error := job_progress.refused(job):
            explain(page, job, error)
        else:
            why(page, job)
        if cost := page.desk.costs.get(job.id):
            ledger_card.show(page.operator, job, cost, page.zone)


def about(page: Setting, job: Job) -> None:
    where = formats.plain(store_name(page.stores, job))
    who = formats.plain(page.desk.people.get(job.created_by, "Somebody who left") if job.created_by else "System")
    st.markdown(f"{job_progress.ICONS[job.status]} **{job_progress.kind(job)}** · {where}")
    st.caption(f"{formats.moment(job.created_at, page.zone)} · {who}")
    if preview := job.input.get("text"):
        st.text(preview if len(preview) <= 100 else f"{preview[:100]}…")


def outcome(page: Setting, job: Job) -> None:
    spent = page.spent(job)
    if job.status == "completed":
        st.caption(f"Done in {formats.seconds(job.seconds)}")
        if spent.unclear:
            st.caption(f"{formats.plain(job_progress.outcome(spent))} It was bought again.")
    else:
        job_progress.bar(job, spent)
    if factor := page.desk.overruns.get(job.id):
        sentence = f"Billed {pauses.times(factor)} of what was announced; booked in full."
        st.warning(sentence, icon=":material/price_change:")


def store_name(stores: dict[UUID, Store], job: Job) -> str:
    if job.profile_id is None:
        return "Company"
    return stores[job.profile_id].label if job.profile_id in stores else "A store that was archived"


def actions(page: Setting, job: Job) -> None:
    if page.operator.role == "finance":
        return
    spent = page.spent(job)
    if job.open:
        job_progress.cancel_button(page.operator, job)
        return
    if job_progress.is_lost(job) and job.profile_id in page.stores:
        if spent.undecided:
            unclear.buy_again_button(page.operator, job, spent, page.desk.book)
        else:
            job_progress.retry_button(page.operator, job)
    unclear.decide(page.operator, job, spent, page.desk.book)


def explain(page: Setting, job: Job, error: AppError) -> None:
    """Across the card: why a click was refused. What is kept with the job stays open until it is closed."""
    if isinstance(error, QuotaExceeded) and job.refusal:
        refusal.open_card(job)
        why(page, job)
    elif isinstance(error, REFUSALS) and job.profile_id in page.stores:
        refusal.show(page.operator, page.stores[job.profile_id], error, ways=refusal.ways_of(job), job_id=job.id)
    else:
        st.error(str(error), icon=":material/error:")


def why(page: Setting, job: Job) -> None:
    store = page.stores.get(job.profile_id) if job.profile_id else None
    if store and job.refusal:
        refusal.of_job(page.operator, store, job, page.spent(job).kept)


def ask_for_decisions(waiting: int, *, filtered: bool) -> None:
    """Undecided calls hold money and stop their jobs, however old those are."""
    if waiting:
        calls = "a call was" if waiting == 1 else f"{waiting:,} calls were"
        where = "Choose any state and kind, on the first page, to see the jobs." if filtered else "See the jobs below."
        st.warning(
            f"Nobody can tell whether {calls} billed; the money stays held until somebody decides. {where}",
            icon=":material/help:",
        )


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

    stores = {choice.id: choice for choice in session.stores(operator)}
    zone = store.timezone if store else operator.timezone

    def read() -> JobsDesk:
        return desks.jobs(
            operator.database, operator.account_id, profile_id=store.id if store else None, status=status, kind=kind,
            limit=PAGE, after=after,
        )  # fmt: skip

    latest = [read()]

    def load() -> list[Job]:
        latest[0] = read()
        return latest[0].jobs

    def draw(job: Job) -> None:
        line(Setting(operator, stores, zone, latest[0]), job)

    jobs = latest[0].jobs
    filtered = bool(status or kind or after)
    ask_for_decisions(latest[0].waiting, filtered=filtered)
    if not jobs:
        empty(filtered=filtered)
    job_progress.live(operator, jobs, load, draw, key="jobs_live")
    pager.buttons("jobs", jobs[-1].key if len(jobs) >= PAGE else None)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
