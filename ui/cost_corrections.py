"""For admins: correct what was booked, by entries of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

import streamlit as st

from services.costs import corrections
from services.costs.entries import Entry
from services.errors import InvalidInput
from ui import forms, sections, session
from ui.session import Operator

FORM = "correct"


@dataclass(frozen=True)
class Meant:
    """A correction that was typed and not booked yet; its id is kept until it is."""

    id: UUID
    entry: Entry
    usd: Decimal
    reason: str


def show(operator: Operator, found: Sequence[Entry]) -> None:
    originals = {str(entry.seq): entry for entry in found if entry.corrects is None}
    if operator.role != "admin" or not originals:
        return
    card = st.expander("Correct an entry", key="costs_correct", icon=":material/edit_note:", on_change="rerun")
    if card.open:
        with card:
            _ask(operator, originals)
            _confirm(operator, set(originals))


def exact(usd: Decimal) -> str:
    """All six places: that is what is booked."""
    return f"{'−' if usd < 0 else ''}${abs(usd):,.6f}"


def _ask(operator: Operator, originals: dict[str, Entry]) -> None:
    form = sections.of(operator, FORM)
    with st.form(form, border=False):
        chosen = st.selectbox(
            "Entry", list(originals), format_func=lambda seq: _title(originals[seq]), key=sections.key(form, "entry")
        )
        amount = st.text_input(
            "It should have cost, US dollars", key=sections.key(form, "usd"), placeholder="0.25",
            help="With its corrections so far; the difference is booked.",
        )  # fmt: skip
        forms.beside(f"{form}.usd")
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="Invoice of 3 Nov, line 12")
        forms.beside(f"{form}.reason")
        looked = st.form_submit_button("Look at the correction")
        forms.beside(f"{form}.", f"{form}.entry")
    if looked:
        st.session_state.pop(f"{form}_meant", None)
        forms.attempt(form, lambda: _keep(form, originals[chosen], amount, reason))
        st.rerun()


def _title(entry: Entry) -> str:
    corrected = " with its corrections" if entry.corrections else ""
    return f"{entry.seq} · {entry.booked_on:%-d %b %Y} · {entry.model} · {exact(entry.corrected_usd)}{corrected}"


def _keep(form: str, entry: Entry, amount: str, reason: str) -> None:
    usd = corrections.difference(entry, amount)
    if not reason.strip():
        raise InvalidInput("Say why, so that the log can tell later.", "reason")
    st.session_state[f"{form}_meant"] = Meant(uuid4(), entry, usd, reason)


def _confirm(operator: Operator, shown: set[str]) -> None:
    """What was typed, in numbers, and the button that books it."""
    form = sections.of(operator, FORM)
    meant: Meant | None = st.session_state.get(f"{form}_meant")
    if meant is None or str(meant.entry.seq) not in shown:
        return
    before = meant.entry.corrected_usd
    st.table({"Entry": [str(meant.entry.seq)], "Before": [exact(before)], "Correction": [exact(meant.usd)],
              "After": [exact(before + meant.usd)]})  # fmt: skip
    st.caption(
        "It is booked today, as an entry that names this one. It counts towards no quota. Entries are never changed or "
        "deleted; a wrong correction is corrected by another one."
    )
    if st.button("Book the correction", key="costs_correct_book", type="primary", icon=":material/check:"):
        if forms.attempt(form, lambda: _book(operator, meant)):
            st.session_state.pop(f"{form}_meant")
            sections.begin_anew(form)
            st.toast("Booked.", icon=":material/check:")
        session.forget_numbers(operator)
        st.rerun()


def _book(operator: Operator, meant: Meant) -> None:
    corrections.adjust(operator.database, meant.id, meant.entry.id, meant.usd, meant.reason, meant.entry.corrected_usd)
