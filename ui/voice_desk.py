"""All that the Voice page shows, asked for at once; its pieces then find it remembered."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import streamlit as st

from services import desks
from services.costs.prices import Price
from services.desks import VoiceDesk
from services.identity import Role
from services.profiles import Store
from services.scripts import versions
from services.scripts.versions import Deployed
from services.speech import bills, catalogue, dictionary, generation
from services.speech.bills import OverrunCall
from services.speech.catalogue import ListedVoice, Service
from services.speech.decisions import Pause
from services.speech.dictionary import Pronunciation
from services.speech.generation import SpeechAsset
from ui import session, voice_picker
from ui.recent import CACHE_SECONDS, Told
from ui.session import Operator

HISTORY = 10  # speeches a page
WATCHED = 10  # latest jobs among which open ones are looked for
AHEAD = 5  # seconds before its pieces that the whole is too old: they are all asked for together again
GIVEN = frozenset({"account_id", "profile_id", "deleted_at", "valid_from"})


@st.cache_data(ttl=CACHE_SECONDS - AHEAD, max_entries=2_000, show_spinner=False)
def _asked(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID, _ask: Callable[[], None]
) -> None:
    _ask()


def ask(operator: Operator, store: Store) -> VoiceDesk | None:
    """What was asked for in this run; None while the pieces remember it."""
    asked: list[VoiceDesk] = []

    def all_at_once() -> None:
        provider = st.session_state.get("voice_provider")
        desk = desks.voice(operator.database, operator.account_id, store.id, provider, speeches=HISTORY, jobs=WATCHED)
        _remember(operator, store, desk, provider)
        asked.append(desk)

    _asked(*session.cache_key(operator), store.id, all_at_once)
    return asked[0] if asked else None


def _remember(operator: Operator, store: Store, desk: VoiceDesk, provider: str | None) -> None:
    """Ask the page's questions once, of the desk."""
    teller = replace(operator, told=_told(operator, desk))
    known = session.recently(teller, store)
    offers = {offer.name: offer for offer in voice_picker.services(teller, store).usable}
    if provider in offers:
        voice_picker.find(teller, offers[provider])
        catalogue.models(known, provider, store.id)
    dictionary.words(known, store.id)
    generation.saved_this_month(known, store.id)
    generation.recent(known, store.id, limit=HISTORY)
    bills.overruns(known, operator.account_id)
    versions.deployed(known, store.id)


def _told(operator: Operator, desk: VoiceDesk) -> Told:
    return Told(
        database=operator.database,
        rows={
            Service: desk.services,
            ListedVoice: desk.voices,
            Price: desk.prices,
            Pronunciation: desk.words,
            SpeechAsset: desk.speeches,
            Pause: desk.overruns,
            OverrunCall: desk.overrun_calls,
            Deployed: desk.deployed,
        },
        answers={"store_accounts": desk.accounts, "speech_saved": desk.saved},
        given=GIVEN,
    )
