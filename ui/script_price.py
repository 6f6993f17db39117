"""What a run would cost, phase by phase, before it is started."""

from decimal import Decimal

import streamlit as st

from services.profiles import Quota
from services.scripts.runs import PhaseCost, Quote
from ui import formats, script_words


def at_most(usd: Decimal) -> str:
    return "free" if usd == 0 else f"at most {formats.usd_short(usd)}"


def show(quote: Quote, rounds: int) -> None:
    """Amounts in US dollars; `rounds` of improvement at most."""
    free = quote.largest == 0
    with st.container(key="tiles_script_price"):
        st.metric("Typically", "free" if free else formats.usd(quote.typical), border=True)
        st.metric("At most", "free" if free else formats.usd_short(quote.largest), border=True)
        st.metric("Month has left", left(quote.store, quote.company), border=True)
    with st.expander("By phase", icon=":material/table_rows:"):
        st.dataframe([_row(cost, rounds) for cost in quote.phases], hide_index=True, alt="Cost of each phase")
        st.caption("US dollars for once. At most: the whole briefing read anew and the longest answer, at the prices "
                   "of your price book. Each phase is set aside just before it runs.")  # fmt: skip
    if free:
        return
    if quote.store.left is not None and quote.largest > quote.store.left:
        st.warning("The month may not cover the whole run. It then stops at the limit and keeps its best text.",
                   icon=":material/warning:")  # fmt: skip
    elif quote.store.near_with(quote.typical):
        st.warning("This brings the store to 90 % of its quota or more.", icon=":material/warning:")


def left(*quotas: Quota) -> str:
    """What the tightest of them has left."""
    known = [quota.left for quota in quotas if quota.left is not None]
    return formats.usd_left(min(known)) if known else "No limit"


def _row(cost: PhaseCost, rounds: int) -> dict[str, str]:
    times = {"prompt_generation": "once", "prompt_analysis": f"1 to {rounds + 1} times",
             "prompt_improvement": f"up to {rounds} times"}  # fmt: skip
    known = f"of the last {cost.known}" if cost.known else "a guess: none ran yet"
    return {
        "Phase": script_words.PHASES[cost.phase],
        "Model": script_words.model(cost.model),
        "Typically": f"{formats.usd(cost.typical)}, {known}",
        "At most": formats.usd_short(cost.largest),
        "How often": times[cost.phase] if rounds or cost.phase != "prompt_analysis" else "once",
    }
