"""How a store says its brand names, for every voice."""

import streamlit as st

from services.profiles import Store
from services.speech import dictionary
from services.speech.dictionary import Pronunciation
from ui import forms, session
from ui.session import Operator

SHOWN = 20  # words a page


def show(operator: Operator, store: Store) -> None:
    with st.expander("How to say brand names", icon=":material/record_voice_over:"):
        st.caption("Applies to every voice of this store. Names are found as whole words, in capitals or not.")
        _form(operator, store)
        words = dictionary.words(session.recently(operator, store), store.id)
        if not words:
            st.info("No word yet. Add a name that the voices say wrongly.", icon=":material/spellcheck:")
        for word in _page(words):
            _line(operator, store, word)
        forms.beside("word_gone.")


def _form(operator: Operator, store: Store) -> None:
    with st.form("word", border=False):
        left, right = st.columns(2)
        with left:
            term = st.text_input("Written as", key="word_term", max_chars=80, placeholder="Eau de Quay")
            forms.beside("word.term")
        with right:
            say = st.text_input("Said as", key="word_say", max_chars=200, placeholder="oh duh key")
            forms.beside("word.say")
        sent = st.form_submit_button("Save word", icon=":material/save:")
        forms.beside("word.")
    if sent:
        if forms.attempt("word", lambda: dictionary.say(operator.database, store.id, term, say)):
            session.forget_numbers(operator)
            st.toast("Saved. It counts from the next text on.", icon=":material/check:")
        st.rerun()


def _page(words: list[Pronunciation]) -> list[Pronunciation]:
    pages = -(-len(words) // SHOWN)
    if pages <= 1:
        return words
    at = st.pagination(pages, key="words_page")
    return words[(at - 1) * SHOWN : at * SHOWN]


def _line(operator: Operator, store: Store, word: Pronunciation) -> None:
    written, said, button = st.columns([3, 4, 2], vertical_alignment="center")
    written.text(word.term)
    said.text(word.say)
    if button.button("Remove", key=f"forget_{word.term}", help=f"Remove {word.term}", icon=":material/delete:"):
        if forms.attempt("word_gone", lambda: dictionary.forget(operator.database, store.id, word.term)):
            session.forget_numbers(operator)
        st.rerun()
