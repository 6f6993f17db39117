"""For admins: what each model that writes or draws costs, with the vendor's list as a suggestion."""

from collections.abc import Callable
from datetime import UTC, datetime, time

import streamlit as st

from services.costs.prices import PriceBook
from services.scripts import models, prices
from services.scripts.models import Model
from services.scripts.prices import KINDS, LIST
from ui import formats, forms, rates, sections, session, voice_prices
from ui.session import Operator


def show(operator: Operator) -> None:
    st.header("Writing models")
    today = models.today()
    known = [*models.usable(today), *models.usable(today, draws=True)]
    _table(known, rates.book(operator))
    _form(operator, known)


def _table(known: list[Model], book: PriceBook) -> None:
    st.dataframe([_row(model, book) for model in known], hide_index=True, alt="Prices of each writing model")
    st.caption("US dollars per 1,000,000 tokens. A model without prices cannot be used; the practice writer is free. "
               "Those called image draw covers.")  # fmt: skip


def _row(model: Model, book: PriceBook) -> dict[str, str]:
    found = prices.of_model(book, model.id)
    told = {name: formats.usd(found[kind]) if found else "No price" for kind, name in KINDS.items()}
    return {"Model": model.title, **told, "Until": f"{model.retires_on:%-d %b %Y}" if model.retires_on else ""}


def _form(operator: Operator, known: list[Model]) -> None:
    form = sections.of(operator, "writer_price")
    titles = {model.id: model.title for model in known}
    with st.container(border=True):
        chosen = st.selectbox("Writing model", list(titles), format_func=titles.get, key=f"{form}_model")
        forms.beside(f"{form}.model")
        _suggest(form, chosen)
        with st.form(form, border=False):
            amounts = _amounts(form)
            zero = st.session_state.get(f"{form}_zero", False)
            free = st.checkbox("It is free: nobody bills it", key=f"{form}_free") if zero else False
            today = datetime.now(UTC).date()
            day = st.date_input("From (UTC day)", today, min_value=today, key=f"{form}_from",
                                help="Today: from this moment on.")  # fmt: skip
            forms.beside(f"{form}.valid_from")
            reason = st.text_input("Reason", key=f"{form}_reason", placeholder="Price list of 7 Oct")
            forms.beside(f"{form}.reason")
            sent = st.form_submit_button("Set prices", type="primary")
            forms.beside(f"{form}.")
    if sent and chosen:
        st.session_state[f"{form}_zero"] = any(voice_prices.is_zero(amount) for amount in amounts.values())
        start = datetime.combine(day, time.min, UTC) if day > today else None
        _send(operator, form, titles[chosen], lambda: prices.set_prices(
            operator.database, operator.account_id, chosen, amounts, reason, free=free, valid_from=start))  # fmt: skip


def _amounts(form: str) -> dict[str, str]:
    amounts = {}
    for kind, name in KINDS.items():
        amounts[kind] = st.text_input(f"{name}: US dollars per 1,000,000 tokens", key=f"{form}_{kind}")
        forms.beside(f"{form}.{kind}")
    return amounts


def _suggest(form: str, model: str | None) -> None:
    listed = LIST.get(model or "")
    if listed is None:
        return
    label = f"Fill in the vendor's list price of {listed.listed_on:%-d %b %Y}"
    st.button(label, key=f"{form}_suggest", icon=":material/sell:", on_click=_fill, args=(form, model))
    if listed.note:
        st.caption(formats.plain(listed.note))


def _fill(form: str, model: str) -> None:
    for kind in KINDS:
        st.session_state[f"{form}_{kind}"] = getattr(LIST[model], kind)
    st.session_state[f"{form}_reason"] = f"The vendor's list price of {LIST[model].listed_on:%-d %b %Y}"


def _send(operator: Operator, form: str, title: str, run: Callable[[], object]) -> None:
    if forms.attempt(form, run):
        session.forget_numbers(operator)
        st.toast(formats.plain(f"Prices of {title} set."), icon=":material/check:")
    st.rerun()
