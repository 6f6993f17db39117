"""Asking for a month's limit: "No limit", or an amount. A typed 0 is asked about again."""

from decimal import Decimal, InvalidOperation

import streamlit as st

from services.errors import InvalidInput
from ui import formats

LIMIT, NO_LIMIT = "Limit", "No limit"


def ask(label: str, kind_key: str, amount_key: str, present: Decimal | None = None) -> tuple[str, str]:
    """What was chosen and typed; `present` in US dollars is offered, 0 = no limit, None offers nothing."""
    chosen = NO_LIMIT if present == 0 else LIMIT
    kind = st.radio(label, [LIMIT, NO_LIMIT], index=[LIMIT, NO_LIMIT].index(chosen), key=kind_key, horizontal=True)
    typed = st.text_input(
        "US dollars a month", value=str(present) if present else "", key=amount_key, placeholder="25.00"
    )
    return str(kind), typed


def amount(kind: str, typed: str, field: str) -> str:
    """US dollars as text, "0" for no limit. Raises `InvalidInput` where choice and amount do not say one thing."""
    zero = _is_zero(typed)
    if kind == NO_LIMIT and typed.strip() and not zero:
        raise InvalidInput(
            f"{typed.strip()} is typed and no limit is chosen. Choose Limit, or clear the amount.", field
        )
    if kind == LIMIT and zero:
        raise InvalidInput(
            "Does 0 mean no limit? Then choose it. If nothing may be spent, suspend the store under Stores.", field
        )
    return "0" if kind == NO_LIMIT else typed


def _is_zero(typed: str) -> bool:
    try:
        return Decimal(typed.strip().removeprefix("$")) == 0
    except InvalidOperation:
        return False


def words(usd: Decimal) -> str:
    """A limit as it is stored: 0 = none."""
    return formats.usd(usd) if usd else NO_LIMIT
