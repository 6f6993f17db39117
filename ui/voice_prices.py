"""For admins: what each voice model costs, and models that billed more than they announced."""

from collections.abc import Sequence
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from itertools import groupby

import streamlit as st

from services.costs import prices
from services.costs.prices import OtherPrice, PriceBook
from services.errors import InvalidInput
from services.speech import decisions
from services.speech.catalogue import Offer
from services.speech.decisions import Pause
from services.speech.provider import Model
from ui import charts, formats, forms, pauses, price_preview, rates, sections, session, voice_picker
from ui.session import Operator

Priced = dict[str, tuple[Offer, Model]]  # by what a select box holds


def show(operator: Operator) -> None:
    st.header("Voice prices")
    offered = voice_picker.services(operator)
    models = {f"{o.name}/{m.id}": (o, m) for o in offered.offers for m in o.models if may_be_priced(o, offered.book)}
    _table(operator, models, offered.book)
    _form(operator, models)


def may_be_priced(offer: Offer, book: PriceBook) -> bool:
    """Practice voices are for companies that price them already, and for no other."""
    return offer.name != "practice" or bool(rates.priced(offer, book))


def _table(operator: Operator, models: Priced, book: PriceBook) -> None:
    rows = [_row(operator, offer, model, book) for offer, model in models.values()]
    st.dataframe(rows, hide_index=True, alt="Price of each voice model")
    st.caption(
        "US dollars per 1,000 characters as the vendor bills them; a model that counts ×0.5 bills half a character. "
        "A model without a price cannot be used."
    )


def _row(operator: Operator, offer: Offer, model: Model, book: PriceBook) -> dict[str, str]:
    price = book.get((offer.name, model.id, rates.UNIT))
    usd = price.usd * prices.PER_UNITS / price.per_units if price else None
    return {
        "Service": charts.name(offer.name),
        "Model": model.name,
        "Price per 1,000": "No price" if usd is None else "Free" if usd == 0 else formats.usd(usd),
        "Counts": pauses.times(model.multiplier),
        "Since": formats.moment(price.valid_from, operator.timezone) if price else "",
    }


# A new price ------------------------------------------------------------------------------------------------------


def _form(operator: Operator, models: Priced) -> None:
    labels = {key: f"{charts.name(offer.name)} · {model.name}" for key, (offer, model) in models.items()}
    form = sections.of(operator, "price")
    with st.form(form, border=True):
        chosen = st.selectbox("Model", list(labels), format_func=labels.get, key=f"{form}_model")
        forms.beside(f"{form}.model")
        amount = st.text_input("US dollars per 1,000 characters", key=f"{form}_amount", placeholder="0.10")
        forms.beside(f"{form}.price")
        free = _ask_whether_free(form)
        today = datetime.now(UTC).date()
        day = st.date_input(
            "From (UTC day)", today, min_value=today, key=f"{form}_from", help="Today: from this moment on."
        )
        forms.beside(f"{form}.valid_from")
        reason = st.text_input("Reason", key=f"{form}_reason", placeholder="Creator plan, price list of 1 Nov")
        forms.beside(f"{form}.reason")
        with st.container(horizontal=True):
            sent = st.form_submit_button("Set price", type="primary")
            looked = st.form_submit_button(
                "Preview", help="What a month would have cost. Without an amount: under the price book of that day."
            )
        forms.beside(f"{form}.")
    start = datetime.combine(day, time.min, UTC) if day > today else None
    if looked and chosen:
        forms.attempt(form, lambda: _preview(operator, models[chosen], labels[chosen], amount, start))
        st.rerun()
    price_preview.show(operator)
    if sent and chosen:
        offer, model = models[chosen]
        st.session_state[f"{form}_zero"] = is_zero(amount)
        if forms.attempt(form, lambda: _set(operator, offer, model, amount, free=free, reason=reason, start=start)):
            st.session_state.pop(f"{form}_zero", None)
            session.forget_numbers(operator)
            when = f" from {day:%-d %b %Y} on" if start else ""
            st.toast(formats.plain(f"Price of {labels[chosen]} set{when}."), icon=":material/check:")
        st.rerun()


def _preview(
    operator: Operator, priced: tuple[Offer, Model], label: str, amount: str, start: datetime | None
) -> None:  # fmt: skip
    offer, model = priced
    other = None
    if amount.strip():
        other = OtherPrice(provider=offer.name, model=model.id, usd=prices.read_amount(amount))
    price_preview.ask(operator, other, label, start)


def _ask_whether_free(form: str) -> bool:
    """Only where a 0 was typed: it would let the voice speak beyond every quota."""
    zero = st.session_state.get(f"{form}_zero", False)
    return st.checkbox("It is free: nobody bills it", key=f"{form}_free") if zero else False


def _set(
    operator: Operator, offer: Offer, model: Model, amount: str, *, free: bool, reason: str, start: datetime | None
) -> None:
    if is_zero(amount) and not free:
        raise InvalidInput("0 means free: nothing is held and nothing is booked. Tick the box if it is.", "price")
    prices.set_price(operator.database, operator.account_id, offer.name, model.id, amount, reason, start)


def is_zero(amount: str) -> bool:
    try:
        return Decimal(amount.strip().removeprefix("$")) == 0
    except InvalidOperation:
        return False


# Paused models ----------------------------------------------------------------------------------------------------


def paused(operator: Operator) -> None:
    st.header("Paused models")
    found = decisions.pauses(session.recently(operator), operator.account_id)
    if not found:
        st.caption("None: every model has billed what it announced.")
    by_model = sorted(found, key=_model_of)
    for (provider, model), rows in groupby(by_model, key=_model_of):
        _confirm(operator, provider, model, list(rows))


def _model_of(pause: Pause) -> tuple[str, str]:
    return pause.provider, pause.model


def _confirm(operator: Operator, provider: str, model: str, rows: Sequence[Pause]) -> None:
    form = sections.of(operator, f"confirm_{provider}_{model}")
    with st.form(form, border=True):
        for row in rows:
            st.text(pauses.arithmetic(row, operator.timezone))
        st.caption("Booked in full. Confirmed, later orders in these voices are held at what was billed.")
        reason = st.text_input("Reason", key=f"{form}_reason", placeholder="The vendor's price list says so")
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button("Confirm the price", key=f"{form}_send", type="primary")
        forms.beside(f"{form}.")
    if sent:
        account = operator.account_id
        if forms.attempt(form, lambda: decisions.confirm_price(operator.database, account, provider, model, reason)):
            session.forget_numbers(operator)
            st.toast("Confirmed. The model speaks again.", icon=":material/check:")
        st.rerun()
