"""Why an order was refused, in arithmetic: as it was, as it is now, who holds what, who can change it, the ways on."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import streamlit as st

from services.costs import refusals
from services.costs.refusals import Admin, Hold, Limit, Picture
from services.database.door import Database
from services.errors import AppError, QuotaExceeded, Refusal
from services.identity import Role
from services.jobs.queue import Job
from services.profiles import Store
from ui import charts, formats, job_progress, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

Amounts = tuple[Decimal | None, Decimal, Decimal, Decimal, Decimal]  # limit, spent, held, this request, missing
SCRIPT_WAYS = (
    "Shorten the briefing, or let the assistant write shorter scripts: both make the most that it can cost smaller.",
    "Choose a cheaper model for the assistant's phases.",
    "Use a version that is there already: that costs nothing.",
)
CAPTION_WAYS = (
    "Choose an assistant with a cheaper model.",
    "Write the captions yourself: that costs nothing.",
)
COVER_WAYS = (
    "Choose a cheaper model, or the practice writer.",
    "Use a cover that is there already: that costs nothing.",
)
LINES = ("Limit", "Spent", "Held by work under way", "This request", "Missing")


def show(
    operator: Operator,
    store: Store,
    error: AppError,
    *,
    characters: int = 0,
    ways: Sequence[str] | None = None,
    job_id: UUID | None = None,
    key: str = "refusal",
) -> None:
    """A refusal by money in arithmetic, others in a sentence; who can change it.

    Of speech, `characters` of the text that was refused tell how much shorter it must be; of other work `ways` are what
    can be done. With `job_id` what is asked now is what
    a retry of that job would need.
    """
    with st.container(border=True, key=key):
        if not isinstance(error, QuotaExceeded) or error.refusal is None:
            st.warning(formats.plain(str(error)), icon=":material/block:")
            who(operator, store)
            return
        try:
            now = refusals.explain(operator.database, store.id, job_id)
        except AppError as exc:  # what was said stands all the same
            _headline(store, error.refusal)
            _table(store, error.refusal, None)
            st.caption(formats.plain(f"How it stands now cannot be read: {exc}"))
        else:
            own = speech_ways(store, error.refusal, characters) if ways is None else ways
            _money(operator, store, error.refusal, now, own, key)


def of_job(operator: Operator, store: Store, job: Job, kept: int) -> None:
    """In a card that opens: why the job's last order was refused. `kept` of its passages are bought already."""
    card = st.expander("Why was it refused?", key=f"why_{job.id}", icon=":material/help:", on_change="rerun")
    if card.open and job.refusal:
        with card:
            characters = 0 if kept else len(job.input.get("text", ""))
            show(operator, store, refusals.told(job.refusal), characters=characters, ways=ways_of(job),
                 job_id=job.id, key=f"refusal_{job.id}")  # fmt: skip


def ways_of(job: Job) -> Sequence[str] | None:
    """What can be done about a job that is no speech."""
    return {"script": SCRIPT_WAYS, "captions": CAPTION_WAYS, "cover": COVER_WAYS}.get(job.kind)


def open_card(job: Job) -> None:
    """Before it is drawn."""
    st.session_state[f"why_{job.id}"] = True


# By money ---------------------------------------------------------------------------------------------------------


def _money(operator: Operator, store: Store, why: Refusal, now: Picture, ways: Sequence[str], key: str) -> None:
    need = now.job.need if now.job else why.estimate
    if now.job and now.job.obstacle:
        _headline(store, why)
        st.warning(formats.plain(now.job.obstacle), icon=":material/block:")
    elif need is None:
        st.success("Nothing is left to buy for it: try again, it costs nothing.", icon=":material/check_circle:")
    elif now.covers(need, exempt=store.allow_free_voices_over_quota):
        st.success("It fits now: try again.", icon=":material/check_circle:")
    else:
        _headline(store, why)
    limit = now.limit(why.scope)
    _table(store, why, now, need)
    _limit(store, why.scope, limit)
    _held(store, limit)
    missing = limit.missing(need) if need is not None else Decimal(0)
    if missing:
        _ways_on(operator, why, now, ways)
        _ask(operator, store, why.scope, now, missing, key)


def _headline(store: Store, why: Refusal) -> None:
    whose = formats.plain(store.name) if why.scope == "store" else "the company"
    st.error(f"This month's quota of {whose} does not cover it. Nothing was bought.", icon=":material/block:")


def _table(store: Store, why: Refusal, now: Picture | None, need: Decimal | None = None) -> None:
    """The arithmetic of the refusal and, where it is another by now, as it is."""
    then: Amounts = (why.monthly_quota, why.current_costs, why.held, why.estimate, why.shortfall)
    columns = {"US dollars, this month (UTC)": list(LINES), "Amount": _written(then)}
    if now and (today := _amounts(now.limit(why.scope), need)) != then:
        said = "When refused" if why.at is None else f"Refused {formats.moment(why.at, store.timezone)}"
        columns = {"US dollars, that month (UTC)": list(LINES), said: _written(then),
                   f"Now ({formats.moment(now.as_of, store.timezone)})": _written(today)}  # fmt: skip
    st.table(columns)
    if why.scope == "company":
        st.caption("Spent and held count all stores of the company.")


def _amounts(limit: Limit, need: Decimal | None) -> Amounts:
    asked = need or Decimal(0)
    short = Decimal(0) if limit.limit is None else max(limit.settled + limit.held + asked - limit.limit, Decimal(0))
    return limit.limit, limit.settled, limit.held, asked, short


def _written(amounts: Amounts) -> list[str]:
    limit, spent, held, asked, short = amounts
    first = "No limit" if limit is None else formats.usd(limit)
    return [first, formats.usd(spent), formats.usd(held), formats.usd(asked), formats.usd_short(short)]


def _limit(store: Store, scope: str, limit: Limit) -> None:
    """What the limit is made of, and since when."""
    whose = "store" if scope == "store" else "company"
    parts = [
        f"{formats.usd(grant.usd)} by a grant from {formats.moment(grant.begins, store.timezone)} until "
        f"{formats.moment(grant.until, store.timezone)}"
        for grant in limit.grants
    ]
    if limit.since and limit.limit is not None:
        own = limit.limit - sum((grant.usd for grant in limit.grants), Decimal(0))
        since = formats.moment(limit.since, store.timezone)
        parts.insert(0, f"{formats.usd(own)} by the {whose}'s quota since {since}")
    if parts:
        st.caption(formats.plain(f"The limit: {'; '.join(parts)}."))


def _held(store: Store, limit: Limit) -> None:
    if limit.holds.dearest:
        st.caption(
            "**Held by work under way**\n" + "\n".join(f"- {_hold(store, hold)}" for hold in limit.holds.dearest)
        )
    others = limit.holds.count - len(limit.holds.dearest)
    if others:
        st.caption(f"and by {others:,} more.")
    if limit.held_elsewhere > 0:
        st.caption(formats.plain(f"{formats.usd(limit.held_elsewhere)} is held in other stores."))


def _hold(store: Store, hold: Hold) -> str:
    what = job_progress.KINDS.get(hold.kind or "", "Work")
    where = "" if hold.store_code == store.code else f", {hold.store_code} · {hold.store}"
    state = "its call is under way" if hold.sent else "not called yet"
    who = hold.person or "somebody who left"
    since = formats.moment(hold.since, store.timezone)
    return formats.plain(
        f"{formats.usd(hold.usd)} for {what} ({charts.name(hold.service)}) of {who}{where} since {since}; {state}"
    )


def speech_ways(store: Store, why: Refusal, characters: int) -> list[str]:
    ways = []
    left = why.monthly_quota - why.current_costs - why.held
    fits = int(Decimal(characters) * left / why.estimate) if left > 0 and why.estimate > 0 else 0
    if fits:
        ways.append(f"Shorten the text: {fits:,} of its {characters:,} characters fit.")
    if why.estimate > 0 and (left > 0 or store.allow_free_voices_over_quota):
        ways.append("Choose the free embedded voice.")
    ways.append("Reuse a speech from the list: that costs nothing.")
    return ways


def _ways_on(operator: Operator, why: Refusal, now: Picture, ways: Sequence[str]) -> None:
    """`ways` of this kind of work, and those of any."""
    held = now.limit(why.scope).held > 0
    waiting = ["Wait: what is held and not used comes back when that work ends."] if held else []
    if operator.role == "admin":
        last = "Raise the quota on the Admin page."
    else:
        last = f"Ask an admin to raise the quota: {_names(now.admins)}."
    st.markdown("**Ways on**\n" + "\n".join(f"- {way}" for way in [*ways, *waiting, last]))


# Who can change it ------------------------------------------------------------------------------------------------


def _ask(operator: Operator, store: Store, scope: str, now: Picture, missing: Decimal, key: str) -> None:
    """One click tells the admins; what was asked already is said instead."""
    if operator.role != "manager":
        return
    if request := now.asked(scope, missing):
        when = formats.moment(request.at, store.timezone)
        st.caption(formats.plain(f"The admins were asked for {formats.usd(request.missing_usd)} more on {when}."))
        return
    label = formats.plain(f"Ask the admins for {formats.usd_short(missing)} more")
    if st.button(label, key=f"{key}_ask", icon=":material/contact_support:"):
        try:
            refusals.ask_admins(operator.database, store.id, scope, missing)
        except AppError as exc:
            st.error(str(exc), icon=":material/error:")
        else:
            st.success("The admins are told.", icon=":material/mark_email_read:")


def _names(admins: list[Admin]) -> str:
    named = [f"{formats.plain(admin.name)} ({formats.plain(admin.email)})" for admin in admins[:5]]
    return ", ".join(named) + (f" and {len(admins) - 5} more" if len(admins) > 5 else "")


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _admins(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID, _database: Database
) -> list[Admin]:
    return refusals.explain(_database, profile_id).admins


def who(operator: Operator, store: Store) -> None:
    """Who can lift what stands in a store's way."""
    if operator.role == "admin":
        st.caption("You can change that on the Admin page.")
        return
    try:
        admins = _admins(*session.cache_key(operator), store.id, operator.database)
    except AppError:  # a line beside the sentence, no more
        return
    st.caption(f"An admin can change that: {_names(admins)}.")
