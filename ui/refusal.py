"""Why a request was refused, in arithmetic, and the ways on."""

from decimal import Decimal

import streamlit as st

from services.costs.holds import open_holds
from services.errors import Refusal
from services.profiles import Store
from ui import charts, formats
from ui.session import Operator


def show(operator: Operator, store: Store, why: Refusal, characters: int) -> None:
    """`characters` of the text that was refused tell how much shorter it must be."""
    whose = formats.plain(store.name) if why.scope == "store" else "the company"
    with st.container(border=True, key="refusal"):
        st.error(f"This month's quota of {whose} does not cover it. Nothing was bought.", icon=":material/block:")
        st.table(
            {
                "US dollars, this month (UTC)": [
                    "Limit",
                    "Spent",
                    "Held by work under way",
                    "This request",
                    "Missing",
                ],
                "Amount": [
                    formats.usd(why.monthly_quota),
                    formats.usd(why.current_costs),
                    formats.usd(why.held),
                    formats.usd(why.estimate),
                    formats.usd_short(why.shortfall),
                ],
            }
        )
        if why.scope == "store":
            held_by(operator, store)
        elif why.held > 0:
            st.caption("Spent and held count all stores of the company.")
        ways_on(operator, store, why, characters)


def held_by(operator: Operator, store: Store) -> None:
    for hold in open_holds(operator.database, store.id)[:5]:
        since = formats.moment(hold.occurred_at, store.timezone)
        st.caption(f"{formats.usd(hold.held_usd)} held for {charts.name(hold.service)} since {since}")


def ways_on(operator: Operator, store: Store, why: Refusal, characters: int) -> None:
    ways = []
    left = why.monthly_quota - why.current_costs - why.held
    fits = int(Decimal(characters) * left / why.estimate) if left > 0 and why.estimate > 0 else 0
    if fits:
        ways.append(f"Shorten the text: {fits:,} of its {characters:,} characters fit.")
    if why.held > 0:
        ways.append("Wait: what is held and not used comes back when that work ends.")
    if why.estimate > 0 and (left > 0 or store.allow_free_voices_over_quota):
        ways.append("Choose the free embedded voice.")
    ways.append("Reuse a speech from the list: that costs nothing.")
    ways.append(
        "Raise the quota on the Admin page." if operator.role == "admin" else "Ask an admin to raise the quota."
    )
    st.markdown("**Ways on**\n" + "\n".join(f"- {way}" for way in ways))
