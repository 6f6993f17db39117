"""Sections that several people may save: what was typed stays until it is saved, with the version that was seen."""

from collections.abc import Callable

import streamlit as st

from services.errors import Conflict
from ui import forms, session
from ui.session import Operator


def of(operator: Operator, form: str) -> str:
    """A form's name in this company: what was typed for one is not shown in another."""
    return f"{form}_{operator.account_id}"


def key(form: str, field: str) -> str:
    """A field's widget. It is another one after each save, so that it shows what was saved."""
    return f"{form}_{field}_{st.session_state.get(f'{form}_turn', 0)}"


def seen(form: str, field: str, version: int) -> int:
    """The version that stood on the page when `field`, which is not drawn yet, was first drawn."""
    if key(form, field) not in st.session_state or f"{form}_seen" not in st.session_state:
        st.session_state[f"{form}_seen"] = version
    return int(st.session_state[f"{form}_seen"])


def save(operator: Operator, form: str, run: Callable[[], object]) -> bool:
    """Run a section's change; returns whether it went well. Told of another's, the next save counts from theirs."""

    def attempt() -> None:
        try:
            run()
        except Conflict:
            session.forget_numbers(operator)
            st.session_state.pop(f"{form}_seen", None)
            raise

    if not forms.attempt(form, attempt):
        return False
    begin_anew(form)
    session.forget_numbers(operator)
    return True


def begin_anew(form: str) -> None:
    """Draw the form's fields as new ones."""
    st.session_state[f"{form}_turn"] = st.session_state.get(f"{form}_turn", 0) + 1
