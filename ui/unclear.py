"""Calls of which nobody can tell whether they were billed, and what people can decide about them."""

from decimal import Decimal

import streamlit as st

from services.costs.prices import PriceBook
from services.jobs.queue import Job
from services.speech import decisions
from services.speech.bills import Call, Spent
from ui import forms, job_progress, rates, session
from ui.price_card import price
from ui.session import Operator

SHOWN = 5  # calls of a job that are decided at once


def buy_again_button(operator: Operator, job: Job, spent: Spent, book: PriceBook) -> None:
    """In two clicks, the second beside the amount that may be paid twice."""
    amount = worth(spent.undecided, book)
    with st.popover("Buy it again", icon=":material/replay:"):
        calls = "this call" if len(spent.undecided) == 1 else f"these {len(spent.undecided):,} calls"
        st.text(f"The vendor may have billed {calls} already. Bought again, it may be paid twice.")
        if st.button(f"Pay {amount} again if need be", key=f"again_{job.id}", type="primary"):
            job_progress.act(operator, job, lambda: decisions.buy_again(operator.database, job.id), "Queued again.")


def worth(calls: tuple[Call, ...], book: PriceBook) -> str:
    """What these calls would cost as announced."""
    amounts = [rates.units(book, call.provider, call.model, call.units_expected) for call in calls]
    known = [amount for amount in amounts if amount is not None]
    return price(sum(known, Decimal(0))) if len(known) == len(amounts) else "an unknown amount"


def decide(operator: Operator, job: Job, spent: Spent, book: PriceBook) -> None:
    """For admins: say of each call whether it was billed, and how one knows."""
    if operator.role != "admin":
        return
    for call in spent.unclear[:SHOWN]:
        with st.popover(f"Decide passage {call.place + 1}", icon=":material/gavel:"):
            _form(operator, job, call, book)


def _form(operator: Operator, job: Job, call: Call, book: PriceBook) -> None:
    form = f"decide_{call.id}"
    amount = worth((call,), book)
    st.text(f"{call.characters:,} characters, announced at {amount}. Look it up in the vendor's own account.")
    with st.form(form, border=False):
        reason = st.text_input("How do you know?", key=f"reason_{call.id}", placeholder="Usage page of 21 Nov, 10:05")
        forms.beside(f"{form}.reason")
        billed = st.form_submit_button("It was billed", key=f"billed_{call.id}")
        not_billed = st.form_submit_button("It was not billed", key=f"not_billed_{call.id}")
        forms.beside(f"{form}.")
    if billed or not_billed:
        if forms.attempt(form, lambda: decisions.decide(operator.database, call.id, billed=billed, reason=reason)):
            session.forget_numbers(operator)
            st.toast("Booked." if billed else "Released.", icon=":material/check:")
        st.rerun()
