"""For admins: what voices cost, now, before and from a later day."""

from datetime import UTC, datetime

import streamlit as st

from services.costs import prices
from services.costs.prices import BookedPrice
from ui import charts, formats, session, voice_prices
from ui.session import Operator


def show(operator: Operator) -> None:
    voice_prices.paused(operator)
    voice_prices.show(operator)
    _book(operator)


def _book(operator: Operator) -> None:
    st.header("Price book")
    lines = prices.history(session.recently(operator), operator.account_id)
    now = datetime.now(UTC)
    valid = prices.in_force(lines, now)
    names = session.names(operator)
    rows = [
        {
            "Service": charts.name(line.provider),
            "Model": line.model,
            "Price": _price(line),
            "From": formats.moment(line.valid_from, operator.timezone),
            "State": "Coming" if line.valid_from > now else "In force" if place in valid else "Past",
            "Set by": names.get(line.created_by, "Somebody who left"),
            "Reason": line.reason or "",
        }
        for place, line in enumerate(lines)
    ]
    st.dataframe(rows, hide_index=True, alt="Price book: coming, present and past prices, the latest first")
    st.caption(
        "Lines are never changed. Of two for the same day the upper one counts. Work keeps the price of the moment at "
        "which its money was set aside."
    )


def _price(line: BookedPrice) -> str:
    if line.usd == 0:
        return "Free"
    unit = line.unit_kind.replace("_", " ")
    return f"{formats.usd(line.usd)} per {line.per_units:,} {unit}"
