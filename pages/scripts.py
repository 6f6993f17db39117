"""Scripts: a briefing becomes a text, judged and improved; its runs, versions and assistants. All in the address."""

import streamlit as st

from services.errors import AppError
from ui import script_address, script_assistants, script_runs, script_versions, script_write, session
from ui.session import Operator

person = session.require("admin", "manager")

PARTS = {
    script_address.WRITE: script_write.show,
    script_address.RUNS: script_runs.show,
    script_address.VERSIONS: script_versions.show,
    script_address.ASSISTANTS: script_assistants.show,
}


def show(operator: Operator) -> None:
    store = session.require_store(operator)
    st.title("Scripts")
    PARTS[script_address.part()](operator, store)


try:
    show(person)
except AppError as exc:
    st.error(str(exc), icon=":material/error:")
