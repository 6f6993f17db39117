"""Voice services that cannot be used yet, what each of them needs, and having all of them looked for anew."""

from datetime import UTC, datetime, timedelta

import streamlit as st

from services.errors import AppError
from services.speech import catalogue
from services.speech.catalogue import Offer
from ui import charts, formats, session
from ui.session import Operator
from ui.voice_picker import Services

POLL = "2s"
PATIENCE = timedelta(minutes=2)


def show(operator: Operator, offered: Services) -> None:
    with st.expander("More voices", icon=":material/library_add:"):
        for offer in offered.others:
            _needs(offer)
        if not offered.others:
            st.caption("Every voice service that was found here can be used above.")
        st.caption(f"Last looked: {_looked(offered.offers, operator.timezone)}.")
        _refresh(operator, offered)


def _needs(offer: Offer) -> None:
    """The exact command, file or setting stands in the service's own sentence."""
    state = "no price" if offer.state.ready else offer.state.readiness.value
    st.markdown(f"**{charts.name(offer.name)}** · {state}")
    st.text("An admin sets its price on the Admin page." if offer.state.ready else offer.state.sentence)


def _looked(offers: list[Offer], zone: str) -> str:
    latest = _latest(offers)
    return formats.moment(latest, zone) if latest else "never; press Refresh voices"


def _latest(offers: list[Offer]) -> datetime | None:
    return max((offer.checked_at for offer in offers if offer.checked_at), default=None)


def _refresh(operator: Operator, offered: Services) -> None:
    waiting = st.session_state.get("voices_asked")
    if waiting:
        _wait(operator)
    elif st.button("Refresh voices", key="voices_refresh", icon=":material/refresh:"):
        try:
            catalogue.refresh(operator.database, operator.account_id)
        except AppError as exc:
            st.error(str(exc), icon=":material/error:")
            return
        st.session_state["voices_asked"] = (datetime.now(UTC), _latest(offered.offers))
        st.rerun()


@st.fragment(run_every=POLL)
def _wait(operator: Operator) -> None:
    """Until every service has been looked at since the click. Managers may not read the company's own jobs."""
    if session.current() is None:  # fragment runs do not pass the shell
        st.rerun()
    asked, before = st.session_state["voices_asked"]
    try:
        now = [offer.checked_at for offer in catalogue.offers(operator.database, operator.account_id)]
    except AppError as exc:
        st.warning(str(exc), icon=":material/cloud_off:")
        return
    checked = [instant for instant in now if instant]
    late = datetime.now(UTC) - asked > PATIENCE
    if late or (checked and (before is None or min(checked) > before)):
        del st.session_state["voices_asked"]
        session.forget_numbers(operator)
        st.toast("No worker has looked yet. Try again later." if late else "Voices refreshed.")
        st.rerun()
    st.caption(":material/progress_activity: Looking for voices…")
