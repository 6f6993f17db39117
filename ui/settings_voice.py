"""The voice a store starts with, and whether free voices go on over its quota."""

from decimal import Decimal

import streamlit as st

from services.profiles import Store
from services.speech import defaults
from services.speech.defaults import StoreVoice, VoiceDefaults
from ui import forms, sections, voice_picker
from ui.session import Operator
from ui.voice_picker import Choice

FORM = "default"


def show(operator: Operator, store: Store) -> None:
    found = defaults.of_store(operator.database, store.id)
    _voice(operator, store, found)
    _free_over_quota(operator, store, found)


def _voice(operator: Operator, store: Store, found: StoreVoice) -> None:
    st.header("Voice")
    st.caption("What the Voice page starts with in this store. Everybody may still choose another for a line.")
    form = f"default_{store.id}"
    version = sections.seen(form, "voice", found.voice_version)
    st.session_state[sections.key(form, "voice")] = True  # drawn from now on, although the picker names its own fields
    voice_picker.begin_with(found.defaults, sections.key(form, "voice"), FORM)
    choice = voice_picker.pick(operator, voice_picker.services(operator, store), FORM)
    if choice is None:
        return
    if st.button("Save this voice", key="default_save", type="primary"):
        wanted = _defaults(choice)
        if sections.save(operator, form, lambda: defaults.save(operator.database, store.id, wanted, version)):
            st.toast("Voice saved.", icon=":material/check:")
        st.rerun()
    forms.beside(f"{form}.")


def _defaults(choice: Choice) -> VoiceDefaults:
    stability = choice.settings.stability
    return VoiceDefaults(
        provider=choice.offer.name,
        model=choice.model.id,
        voice=choice.voice.id,
        format=choice.format,
        speed=Decimal(str(choice.settings.speed)),
        stability=None if stability is None else Decimal(str(stability)),
    )


def _free_over_quota(operator: Operator, store: Store, found: StoreVoice) -> None:
    st.header("Free voices over quota")
    now = "go on" if found.allow_free_voices_over_quota else "stop, too,"
    st.write(f"When this store's month is used up, voices that cost nothing {now} until the next one.")
    if operator.role != "admin":
        return
    verb = "Stop them at the limit" if found.allow_free_voices_over_quota else "Let them go on"
    form = f"free_{store.id}"
    version = sections.seen(form, "reason", found.voice_version)
    with st.form(form, border=False):
        reason = st.text_input("Reason", key=sections.key(form, "reason"), placeholder="Drafts cost nothing")
        forms.beside(f"{form}.reason", f"{form}.")
        sent = st.form_submit_button(verb)
    if sent:
        allowed = not found.allow_free_voices_over_quota
        if sections.save(
            operator,
            form,
            lambda: defaults.allow_free_over_quota(operator.database, store.id, allowed, reason, version),
        ):
            st.toast("Saved.", icon=":material/check:")
        st.rerun()
