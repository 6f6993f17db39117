"""Settings: a store's own voice, its accounts at vendors, its channels; or (all stores) the company's accounts."""

import streamlit as st

from services.errors import AppError
from ui import session, settings_accounts, settings_channels, settings_voice
from ui.session import Operator

person = session.require("admin", "manager")


def of_company(operator: Operator) -> None:
    if operator.role != "admin":
        st.info("Choose a store in the sidebar to see its settings.", icon=":material/storefront:")
        return
    st.write("The company's accounts. A store uses them where you let it; choose a store to set its own.")
    settings_accounts.of_company(operator)


def show(operator: Operator) -> None:
    st.title("Settings")
    store = session.chosen_store(operator)
    if store is None:
        of_company(operator)
        return
    voice, accounts, channels = st.tabs(["Voice", "Accounts", "Channels"])
    with voice:
        settings_voice.show(operator, store)
    with accounts:
        settings_accounts.of_store(operator, store)
    with channels:
        settings_channels.show(operator, store)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
