"""A warning where nobody has read the company's spending for a while: whoever should tell of that may have stopped."""

import streamlit as st

from services.costs import alerts
from ui import formats, session
from ui.session import Operator


def warn(operator: Operator, zone: str) -> None:
    """Nothing while alerts work."""
    since = alerts.unread_since(session.recently(operator), operator.account_id)
    if since:
        st.warning(
            f"Spending was last read for alerts on {formats.moment(since, zone)}. Until it is read again there are no "
            "alerts, and no store is suspended or opened by itself; limits hold all the same. An admin looks whether "
            "the worker runs.",
            icon=":material/sync_problem:",
        )
