"""A warning where nobody has read the company's spending for a while: whoever should tell of that may have stopped."""

from datetime import datetime

import streamlit as st

from services.costs import alerts
from services.errors import AppError
from ui import cost_trust, formats, session
from ui.session import Operator


def warn(operator: Operator, zone: str) -> None:
    """Nothing while alerts work."""
    if since := _unread_since(operator):
        st.warning(
            f"Spending was last read for alerts on {formats.moment(since, zone)}. Until it is read again there are no "
            "alerts, and no store is suspended or opened by itself; limits hold all the same. An admin looks whether "
            "the worker runs.",
            icon=":material/sync_problem:",
        )


def _unread_since(operator: Operator) -> datetime | None:
    """Admins and finance are told of the sums with it: one question less."""
    if operator.role == "manager":
        return alerts.unread_since(session.recently(operator), operator.account_id)
    try:
        return alerts.stale(cost_trust.read_at(operator))
    except AppError:
        return None  # the page says so where it shows the sums
