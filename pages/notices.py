"""Notices: what happened that one must know, what one wants to be told by which way, and how it is sent."""

import streamlit as st

from services.errors import AppError
from services.notices import inbox
from ui import notices, session
from ui.session import Operator

person = session.require("admin", "manager", "finance")


def show(operator: Operator) -> None:
    st.title("Notices")
    found = inbox.notice_settings(operator.database, operator.account_id)
    names = ["Inbox", "What you are told"] + (["Sending"] if operator.role == "admin" else [])
    tabs = dict(zip(names, st.tabs(names), strict=True))
    with tabs["Inbox"]:
        notices.show_inbox(operator, session.chosen_store(operator))
    with tabs["What you are told"]:
        notices.show_wishes(operator, found)
    if "Sending" in tabs:
        with tabs["Sending"]:
            notices.show_sending(operator, found)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
