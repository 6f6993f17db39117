"""Which service, model and voice shall speak, and how."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from html import escape
from uuid import UUID

import streamlit as st

from services.audio import Format
from services.costs.prices import PriceBook
from services.database.door import Database
from services.identity import Role
from services.profiles import Store
from services.speech import catalogue, languages
from services.speech.catalogue import Offer
from services.speech.defaults import VoiceDefaults
from services.speech.generation import SpeechOrder
from services.speech.provider import Model, Voice, VoiceSettings
from ui import choices, formats, rates, recent, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator

FEW = 8  # voices that need no search
SHOWN = 1_000  # voices of a service
ANY = "Any language"
STABILITY = (None, 0.0, 0.5, 1.0)  # the steps that every model takes


@dataclass(frozen=True)
class Choice:
    """What shall speak, and how."""

    offer: Offer
    model: Model
    voice: Voice
    price: Decimal  # US dollars of 1,000 characters in an ordinary voice
    settings: VoiceSettings
    format: Format

    def order(self, text: str) -> SpeechOrder:
        return SpeechOrder(
            text=text, provider=self.offer.name, model=self.model.id, voice=self.voice.id, format=self.format,
            settings=self.settings,
        )  # fmt: skip

    def warning(self, text: str) -> str | None:
        """Why the voice may not be able to read the text."""
        return languages.warning(text, self._languages())

    def _languages(self) -> Collection[str]:
        """A vendor's voices speak all languages of their model, those of this machine their own only."""
        if self.offer.provider.paid_outside:
            return self.model.languages
        return (self.voice.language,) if self.voice.language else ()


@dataclass(frozen=True)
class Services:
    """The services of a company, and its prices."""

    offers: Sequence[Offer]
    book: PriceBook

    @property
    def usable(self) -> list[Offer]:
        return [offer for offer in self.offers if offer.state.ready and rates.priced(offer, self.book)]

    @property
    def others(self) -> list[Offer]:
        """Those that cannot be used yet. Practice voices are for companies that price them, and for no other."""
        usable = self.usable
        return [offer for offer in self.offers if offer not in usable and offer.name != "practice"]

    def price(self, offer: Offer, model: Model) -> Decimal:
        return rates.of_model(self.book[offer.name, model.id, rates.UNIT], model)

    def label(self, offer: Offer) -> str:
        """A service with its rate; a free one's label says so itself."""
        rate = rates.cheapest(self.price(offer, model) for model in rates.priced(offer, self.book))
        known = rate == "free" and not offer.provider.paid_outside
        return offer.provider.label if known else f"{offer.provider.label} · {rate}"


def services(operator: Operator, store: Store | None = None) -> Services:
    """What the store, or (None) the company, can speak with. The demo's stores speak with what nobody bills."""
    found = catalogue.offers(session.recently(operator, store), operator.account_id, store.id if store else None)
    demo = operator.membership.is_demo
    return Services([o for o in found if not (demo and o.provider.paid_outside)], rates.book(operator))


def pick(operator: Operator, offered: Services, form: str = "voice") -> Choice | None:
    """Service, model, voice, speed and format; None while something is missing, which is said.

    `form` begins the keys of its widgets, so that two pages keep two choices.
    """
    offer = _service(offered, form)
    if offer is None:
        return None
    model = _model(offered, offer, form)
    voice = _voice(operator, offer, form) if model else None
    if model is None or voice is None:
        return None
    _about(voice, model)
    settings, kind = _settings(offer, form)
    return Choice(offer, model, voice, offered.price(offer, model), settings, kind)


def begin_with(defaults: VoiceDefaults, place: str, form: str = "voice") -> None:
    """The store's own voice, until somebody chooses another; `place` tells one store's start from another's."""
    if st.session_state.get(f"{form}_begun") == place:
        return
    st.session_state[f"{form}_begun"] = place
    named = {
        "provider": defaults.provider,
        f"model_{defaults.provider}": defaults.model,
        f"voice_{defaults.provider}": defaults.voice,
    }
    numbers = {
        "speed": float(defaults.speed) if defaults.speed is not None else None,
        "stability": float(defaults.stability) if defaults.stability is not None else None,
        "format": defaults.format,
    }
    for name, value in {**named, **numbers}.items():
        if value is not None:
            st.session_state[f"{form}_{name}"] = value
    for name, chosen in named.items():
        if chosen is not None:  # so that one which is not offered any more is said
            st.session_state[f"{form}_{name}_last"] = (chosen, chosen)


def _service(offered: Services, form: str) -> Offer | None:
    usable = {offer.name: offer for offer in offered.usable}
    if not usable:
        st.warning("No voice has a price yet, so none can be used. Ask an admin.", icon=":material/sell:")
        return None
    labels = {name: formats.plain(offered.label(offer)) for name, offer in usable.items()}
    chosen = choices.choose(st.radio, "Voice service", labels, key=f"{form}_provider")
    return usable[chosen] if chosen else None


def _model(offered: Services, offer: Offer, form: str) -> Model | None:
    models = {model.id: model for model in rates.priced(offer, offered.book)}
    if len(models) == 1 and f"{form}_model_{offer.name}_last" not in st.session_state:
        return next(iter(models.values()))
    labels = {name: _model_label(model, offered.price(offer, model)) for name, model in models.items()}
    chosen = choices.choose(st.selectbox, "Model", labels, key=f"{form}_model_{offer.name}")
    return models[chosen] if chosen else None


def _model_label(model: Model, price: Decimal) -> str:
    counted = "" if model.multiplier == 1 else f" · ×{model.multiplier.normalize():f}"
    return f"{model.name}{counted} · {rates.text(price)}"


# Voices -----------------------------------------------------------------------------------------------------------


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _found(
    account_id: UUID,
    person_id: UUID,
    role: Role,
    mark: UUID | None,
    checked_at: datetime | None,
    list_of: UUID | None,
    provider: str,
    search: str,
    language: str,
    _database: Database,
) -> list[Voice]:
    found = catalogue.voices(
        _database, account_id, provider, search=search, language=language, list_of=list_of, limit=SHOWN
    )
    return list(found)


def find(operator: Operator, offer: Offer, search: str = "", language: str = "") -> list[Voice]:
    """A service's voices as they were last listed."""
    question = (offer.checked_at, offer.list_of, offer.name, search, language)
    found: list[Voice] = recent.remembered(
        _found, *session.cache_key(operator), *question, operator.database, anew=operator.told is not None
    )
    return found


def _voice(operator: Operator, offer: Offer, form: str) -> Voice | None:
    known = {voice.id: voice for voice in find(operator, offer)}
    if not known:
        st.info("This service lists no voice. Refresh the voices under More voices.", icon=":material/voice_over_off:")
        return None
    key = f"{form}_voice_{offer.name}"
    shown = {voice.id: voice for voice in _filtered(operator, offer, list(known.values()), form)}
    current = st.session_state.get(key)
    if current in known and current not in shown:  # a search does not change what was chosen
        shown = {current: known[current], **shown}
    if not shown:
        return None
    chosen = choices.choose(st.selectbox, "Voice", {id_: _title(v) for id_, v in shown.items()}, key=key)
    return known[chosen] if chosen else None


def _filtered(operator: Operator, offer: Offer, known: list[Voice], form: str) -> list[Voice]:
    if len(known) <= FEW:
        return known
    left, right = st.columns(2)
    search = left.text_input(
        "Search voices", key=f"{form}_search_{offer.name}", persist_state="session", placeholder="Name or description"
    )
    tags = sorted({voice.language for voice in known if voice.language})
    language = right.selectbox("Language", [ANY, *tags], key=f"{form}_language_{offer.name}", persist_state="session")
    found = find(operator, offer, search.strip(), "" if language == ANY else language)
    if not found:
        st.info("No voice matches. Search for less, or choose any language.", icon=":material/search_off:")
    return found


def _title(voice: Voice) -> str:
    parts = [voice.name, voice.language, _times(voice)]
    return " · ".join(part for part in parts if part)


def _times(voice: Voice) -> str:
    if voice.multiplier is None:
        return "price factor unknown"
    return "" if voice.multiplier == 1 else f"×{voice.multiplier.normalize():f}"


def _about(voice: Voice, model: Model) -> None:
    """Its description, what it costs beside others, and how it sounds."""
    if voice.description:
        st.caption(formats.plain(voice.description))
    if voice.multiplier is None:
        st.caption(
            f"The vendor does not say what this voice costs beside others: until its first bill, money is held at the "
            f"dearest, ×{model.dearest.normalize():f}. Only what is billed is booked."
        )
    elif voice.multiplier != 1:
        st.caption(f"This voice counts ×{voice.multiplier.normalize():f}.")
    if player := preview(voice):
        st.html(player)


def preview(voice: Voice) -> str:
    """A player of the vendor's own sample, fetched only when played; empty without a safe address."""
    if not (voice.preview_url or "").startswith("https://"):
        return ""
    address, name = escape(voice.preview_url or "", quote=True), escape(voice.name, quote=True)
    return (
        f'<div class="desk-player">'
        f'<audio controls preload="none" src="{address}" aria-label="Sample of {name}"></audio>'
        f'<a href="{address}" target="_blank" rel="noopener noreferrer">Sample of {name}</a></div>'
    )


# How --------------------------------------------------------------------------------------------------------------


def _settings(offer: Offer, form: str) -> tuple[VoiceSettings, Format]:
    left, right = st.columns(2)
    with left:
        speed = _speed(offer.provider.speeds, form)
    kind = right.radio(
        "Format",
        ["mp3", "wav"],
        format_func=str.upper,
        horizontal=True,
        key=f"{form}_format",
        persist_state="session",
    )
    stability = _stability(form) if offer.provider.takes_stability else None
    return VoiceSettings(speed=speed, stability=stability), kind


def _speed(speeds: tuple[float, float], form: str) -> float:
    slowest, fastest = speeds
    key = f"{form}_speed"
    chosen = st.session_state.get(key, 1.0)
    st.session_state[key] = min(max(chosen, slowest), fastest)  # another service's limits may have been wider
    return st.slider("Speed", slowest, fastest, step=0.05, format="%.2f×", key=key, persist_state="session")


def _stability(form: str) -> float | None:
    names = {None: "as the voice is", 0.0: "lively", 0.5: "natural", 1.0: "even"}
    return st.select_slider(
        "Stability", STABILITY, format_func=names.__getitem__, key=f"{form}_stability", persist_state="session"
    )
