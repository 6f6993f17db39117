"""What an order would cost, before it is given."""

from decimal import Decimal

import streamlit as st

from services.speech.generation import Quote
from ui import formats


def price(amount: Decimal, *, exact: bool = True) -> str:
    if amount == 0:
        return "free"
    return formats.usd(amount) if exact else f"at most {formats.usd_short(amount)}"


def show(quote: Quote) -> None:
    """What it costs and, unless it is refused, what is left then."""
    with st.container(key="tiles_price"):
        st.metric("Characters", f"{quote.characters:,}", border=True)
        if quote.passages > 1:
            st.metric("Passages", f"{quote.passages:,}", border=True)
        st.metric("Price", price(quote.estimate, exact=quote.exact), border=True)
        if not quote.refusal:
            _rest(quote)
    _reused(quote)
    if not quote.refusal and quote.store.near_with(quote.estimate):
        st.warning("This brings the store to 90 % of its quota or more.", icon=":material/warning:")


def _rest(quote: Quote) -> None:
    left = quote.left_after
    least = "" if quote.exact else "at least "
    st.metric("Left after", "No limit" if left is None else f"{least}{formats.usd_left(left)}", border=True)
    if quote.more_like_it is not None:
        st.metric("More like it this month", f"about {quote.more_like_it:,}", border=True)


def _reused(quote: Quote) -> None:
    if quote.bought:
        of = "The passage was" if quote.passages == 1 else f"{quote.bought:,} of {quote.passages:,} passages were"
        st.caption(f":material/recycling: {of} bought before: reusing saves {formats.plain(formats.usd(quote.saved))}.")
