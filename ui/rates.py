"""The price book as pages show it: US dollars per 1,000 characters."""

from collections.abc import Iterable
from decimal import Decimal
from uuid import UUID

import streamlit as st

from services.costs import prices
from services.costs.prices import PER_UNITS, Price, PriceBook
from services.database.door import Database
from services.identity import Role
from services.speech.catalogue import Offer
from services.speech.provider import Model
from ui import formats, recent, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

UNIT = "characters"


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _book(account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, _database: Database) -> PriceBook:
    return prices.current(_database, account_id)


def book(operator: Operator) -> PriceBook:
    """The company's prices, at most 30 s old."""
    found: PriceBook = recent.remembered(
        _book, *session.cache_key(operator), operator.database, anew=operator.told is not None
    )
    return found


def priced(offer: Offer, known: PriceBook) -> tuple[Model, ...]:
    """The models that may be used: those with a price."""
    return tuple(model for model in offer.models if (offer.name, model.id, UNIT) in known)


def of_model(price: Price, model: Model) -> Decimal:
    """US dollars of 1,000 characters in an ordinary voice of the model."""
    return price.usd * PER_UNITS / price.per_units * model.multiplier


def text(usd: Decimal) -> str:
    return "free" if usd == 0 else f"{formats.usd(usd)} per {PER_UNITS:,} characters"


def cheapest(usd: Iterable[Decimal]) -> str:
    """The rate of a service: of its one price, or from its lowest on."""
    amounts = set(usd)
    return ("from " if len(amounts) > 1 else "") + text(min(amounts))


def units(known: PriceBook, provider: str, model: str, count: Decimal) -> Decimal | None:
    """US dollars of so many units; None without a price."""
    price = known.get((provider, model, UNIT))
    return None if price is None else price.usd * count / price.per_units
