"""When a post goes out: as soon as possible, or at a moment in the store's own time, whatever its clocks do."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from services.errors import InvalidInput
from services.profiles import Store
from services.publishing.moments import Moment, moment, offset
from ui import formats

MODES = {"now": "As soon as possible", "at": "At a moment"}


def choose(form: str, store: Store, wanted_at: datetime | None = None) -> tuple[datetime | None, bool]:
    """The instant (UTC; None: as soon as possible) and whether it can be used. `wanted_at` is shown first."""
    mode = st.radio(
        "When", list(MODES), format_func=MODES.get, index=int(wanted_at is not None), horizontal=True,
        key=f"{form}_mode", persist_state="session", label_visibility="collapsed",
    )  # fmt: skip
    if mode != "at":
        st.caption("Handed over at once, published about three minutes later.")
        return None, True
    return _picked(form, store, wanted_at)


def _picked(form: str, store: Store, wanted_at: datetime | None) -> tuple[datetime | None, bool]:
    here = (wanted_at or _next_hour()).astimezone(ZoneInfo(store.timezone))
    today = datetime.now(ZoneInfo(store.timezone)).date()
    left, right = st.columns(2)
    day = left.date_input(
        "Day", max(here.date(), today), min_value=today, max_value=today + timedelta(days=730), key=f"{form}_day",
        persist_state="session",
    )  # fmt: skip
    at = right.time_input(
        "Time", here.time().replace(second=0, microsecond=0), step=300, key=f"{form}_time", persist_state="session",
        help=f"In the store's time zone, {store.timezone}.",
    )  # fmt: skip
    try:
        found = _one_of(form, store, moment(day, at or time(9), store.timezone))
    except InvalidInput as exc:
        st.error(str(exc), icon=":material/update_disabled:")
        return None, False
    st.caption(f"{formats.moment(found, store.timezone)} = {found.astimezone(UTC):%-d %b %H:%M} UTC")
    return found, True


def _one_of(form: str, store: Store, found: Moment) -> datetime:
    """Of a time that comes twice that night: the one that is meant."""
    if found.again is None:
        return found.instant
    names = {"first": f"the first ({offset(found.instant, store.timezone)})",
             "second": f"the second ({offset(found.again, store.timezone)})"}  # fmt: skip
    which = st.radio(
        "The clocks are set back that night: this time comes twice. Which is meant?", list(names),
        format_func=names.get, horizontal=True, key=f"{form}_fold_{found.instant:%Y%m%d%H%M}",
    )  # fmt: skip
    return found.again if which == "second" else found.instant


def _next_hour() -> datetime:
    return (datetime.now(UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
