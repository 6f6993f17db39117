"""Brand names become what the voice shall say, and nothing else changes."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.speech.pronunciation import apply

ENTRIES = {
    "Nuvia": "NOO-vee-ah",
    "Nuvia Plus": "noo-vee-ah plooce",
    "H&M": "aitch and em",
    "7UP": "seven up",
    "Yahoo!": "yah-hoo",
    "Acme™": "ack-mee",
    "Café Olé": "kah-feh oh-leh",
    "Lay's": "laze",
    "C++": "see plus plus",
}


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Nuvia is here.", "NOO-vee-ah is here."),
        ("NUVIA, nuvia (Nuvia)!", "NOO-vee-ah, NOO-vee-ah (NOO-vee-ah)!"),
        ("Nuvia Plus and Nuvia", "noo-vee-ah plooce and NOO-vee-ah"),
        ("Nuvia\n Plus", "noo-vee-ah plooce"),
        ("Nuvia's offer", "NOO-vee-ah's offer"),
        ("at H&M and h&m", "at aitch and em and aitch and em"),
        ("a 7up", "a seven up"),
        ("Yahoo! It is", "yah-hoo It is"),
        ("Acme™ and Acme", "ack-mee and Acme"),
        ("LAY’S chips", "laze chips"),
        (unicodedata.normalize("NFD", "the Café Olé!"), "the kah-feh oh-leh!"),
        ("C++ rules", "see plus plus rules"),
    ],
)
def test_a_term_is_said_as_its_entry_tells(text, spoken):
    assert apply(text, ENTRIES) == spoken


@pytest.mark.parametrize(
    "text",
    ["Nuvias", "anuvia", "Nuvia_2", "7UPs", "17UP", "C++11", "SH&M", "nuvia\u0301", "éNuvia", "e\u0301Nuvia", "Nuviaद"],
)
def test_part_of_a_word_is_left_alone(text):
    assert apply(text, ENTRIES) == text


def test_what_was_put_in_is_not_replaced_again():
    assert apply("cat dog", {"cat": "dog", "dog": "cat"}) == "dog cat"


def test_what_an_entry_says_is_no_pattern():
    assert apply("a.b axb", {"a.b": r"\1 \g<0> $1"}) == r"\1 \g<0> $1 axb"


@given(st.text(), st.dictionaries(st.sampled_from(["", " ", "\n"]), st.text()))
def test_no_terms_no_change(text, entries):
    assert apply(text, entries) == text


@given(st.text(alphabet="abc .é\u0301"), st.dictionaries(st.text(alphabet="XYZ& ", min_size=1), st.text()))
def test_a_text_without_terms_stays_as_it_is(text, entries):
    assert apply(text, entries) == text


@given(st.text(min_size=1).filter(str.strip), st.text())
@example("\uf900", "")  # its composed form is another letter
def test_any_term_alone_is_replaced(term, said):
    assert apply(term.strip(), {term: said}) == said
