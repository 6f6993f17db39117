"""For admins: what voices cost, now, before and from a later day."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import streamlit as st

from services.costs import prices
from services.costs.prices import BookedPrice
from ui import charts, formats, forms, sections, session, voice_prices, writer_prices
from ui.session import Operator

GONE = "Somebody who left"


def show(operator: Operator) -> None:
    voice_prices.paused(operator)
    voice_prices.show(operator)
    writer_prices.show(operator)
    _book(operator)


def _book(operator: Operator) -> None:
    st.header("Price book")
    known = session.recently(operator)
    lines = prices.history(known, operator.account_id)
    now = datetime.now(UTC)
    valid = prices.in_force(lines, now)
    names = session.names(operator)
    rows = [
        _row(operator, line, names, "Coming" if line.valid_from > now else "In force" if place in valid else "Past")
        for place, line in enumerate(lines)
    ]
    rows += [
        _row(operator, line, names, f"Withdrawn by {names.get(line.withdrawn_by, GONE)}: {line.withdrawn_reason}")
        for line in prices.withdrawn(known, operator.account_id)
    ]
    st.dataframe(rows, hide_index=True, alt="Price book: coming, present and past prices, the latest first")
    st.caption(
        "Lines are never changed. Of two for the same day the upper one counts. Work keeps the price of the moment at "
        "which its money was set aside. A coming price may be withdrawn."
    )
    _withdraw(operator, {str(line.id): line for line in lines if line.valid_from > now})


def _row(operator: Operator, line: BookedPrice, names: Mapping[UUID | None, str], state: str) -> dict[str, str]:
    return {
        "Service": charts.name(line.provider),
        "Model": line.model,
        "Price": _price(line),
        "From": formats.moment(line.valid_from, operator.timezone),
        "State": state,
        "Set by": names.get(line.created_by, GONE),
        "Reason": line.reason or "",
    }


def _price(line: BookedPrice) -> str:
    if line.usd == 0:
        return "Free"
    unit = line.unit_kind.replace("_", " ")
    return f"{formats.usd(line.usd)} per {line.per_units:,} {unit}"


def _withdraw(operator: Operator, coming: dict[str, BookedPrice]) -> None:
    if not coming:
        return
    form = sections.of(operator, "withdraw")
    with st.popover("Withdraw a coming price", icon=":material/event_busy:"), st.form(form, border=False):
        chosen = st.selectbox(
            "Coming price", list(coming), format_func=lambda key: _title(operator, coming[key]),
            key=sections.key(form, "price"),
        )  # fmt: skip
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="The vendor keeps the old list")
        forms.beside(f"{form}.reason")
        st.caption("The price before it goes on counting.")
        sent = st.form_submit_button("Withdraw", type="primary")
        forms.beside(f"{form}.")
    if sent and chosen:
        if sections.save(operator, form, lambda: prices.withdraw(operator.database, UUID(chosen), reason)):
            st.toast("Withdrawn.", icon=":material/check:")
        st.rerun()


def _title(operator: Operator, line: BookedPrice) -> str:
    begins = formats.moment(line.valid_from, operator.timezone)
    return f"{charts.name(line.provider)} · {line.model} · {_price(line)} from {begins}"
