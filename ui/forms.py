"""Forms whose errors stand beside the input they belong to and whose values stay."""

from collections.abc import Callable

import streamlit as st

from services.errors import AppError, InvalidInput


def beside(*places: str) -> None:
    """Show the error of a form's last sending, once, below the input it belongs to: "form.field", "form." = any."""
    error = st.session_state.get("form_error")
    if error and error[0] in places:
        st.error(error[1], icon=":material/error:")
        del st.session_state["form_error"]


def attempt(form: str, run: Callable[[], object]) -> bool:
    """Run a form's change; keep its error for `beside`. Returns whether it went well."""
    st.session_state.pop("form_error", None)
    try:
        run()
    except InvalidInput as exc:
        st.session_state["form_error"] = (f"{form}.{exc.field or ''}", str(exc))
    except AppError as exc:
        st.session_state["form_error"] = (f"{form}.", str(exc))
    else:
        return True
    return False
