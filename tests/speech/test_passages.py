"""Where a text is cut, and what no cut may ever do."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.speech.passages import PASSAGE, split

FAMILY = "👩‍👩‍👧‍👦"
PIECES = [*"aZ9é .,;:!?…\n\r\t'\"”)。！？、،؟।#*€", "\u0301", "\u200b", "\u200d", "\u2028", "\xa0", "\0"]
PIECES += ["Dr. ", "a.m. ", "3.5", "word ", "Next. ", "\n\n", FAMILY, "🇩🇪", "👍🏽", "नमस्ते", "각", "x" * 30, " " * 9]
texts = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=120).map("".join))
limits = st.one_of(st.integers(1, 40), st.just(10_000))


def shown(text):
    return "".join(character for character in text if character.isprintable() and not character.isspace())


def sentences(count, word="word"):
    return " ".join(f"Sentence {number} has one more {word}." for number in range(count))


@settings(deadline=None, max_examples=200)
@given(texts, limits)
@example("\u200b\n\u200b", 1)
@example("*\nHello\n*", 7)
@example("\U0001f1e9" * 30, 3)
def test_nothing_visible_is_lost_or_added_and_every_passage_fits_and_shows_something(text, longest):
    passages = split(text, longest)
    assert shown("".join(passages)) == shown(text)
    assert all(shown(passage) and len(passage) <= longest and passage == passage.strip() for passage in passages)
    assert split(text, longest) == passages


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(["a", ". ", ", ", " ", "e\u0301\u0323", FAMILY, "🇩🇪", "👍🏽", "❤️", "각"])),
    st.integers(11, 30),
)
def test_no_character_of_several_code_points_is_cut(pieces, longest):
    text = "".join(pieces)
    for passage in split(text, longest):
        assert not unicodedata.category(passage[0]).startswith("M")
        assert passage[0] not in "\u200d🏽\u1161\u11a8"
        assert passage[-1] != "\u200d"
        assert sum(character in "🇩🇪" for character in passage) % 2 == 0


def test_flags_stay_whole():
    assert split("🇩🇪🇫🇷🇮🇹ab", 3) == ["🇩🇪", "🇫🇷", "🇮🇹a", "b"]


def test_halves_of_a_surrogate_pair_stay_together():
    assert split("ab\ud83d\ude00c", 3) == ["ab", "\ud83d\ude00c"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=5), st.data())
def test_an_edit_moves_no_cut_of_another_paragraph(sizes, data):
    paragraphs = [sentences(size) for size in sizes]
    edited = data.draw(st.integers(0, len(sizes) - 1))
    others = [passage for n, text in enumerate(paragraphs) if n != edited for passage in split(text, 1_000)]
    paragraphs[edited] = "Quite another beginning. " + paragraphs[edited]
    assert [passage for passage in split("\n\n".join(paragraphs), 1_000) if passage in others] == others


def test_an_edit_at_the_end_of_a_paragraph_keeps_what_stands_before():
    text = sentences(60)
    assert split(text + " One more.", 1_000)[:3] == split(text, 1_000)[:3]


@pytest.mark.parametrize("text", ["Hello.", "  Hello, world! Two for one.  ", "Sale", "\n3.5 % off\n", "ok"])
def test_a_short_paragraph_is_one_passage(text):
    assert split(text, 1_000) == [text.strip()]


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b", "\0\n\ufeff"])
def test_nothing_visible_is_no_passage(text):
    assert split(text, 1_000) == []


@pytest.mark.parametrize("gap", ["\n", "\n\n", "\r\n", " \n \n ", "\u2029", "\x85"])
def test_every_line_is_a_passage_and_a_heading_stays_its_own(gap):
    assert split(f"Sale{gap}Two for one.{gap}Today.", 1_000) == ["Sale", "Two for one.", "Today."]


def test_a_long_paragraph_is_filled_sentence_by_sentence():
    passages = split(sentences(60), 10_000)
    assert [passage[-5:] for passage in passages] == ["word."] * len(passages)
    assert all(PASSAGE - 40 < len(passage) <= PASSAGE for passage in passages[:-1])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("We open now. Ask for Dr. Smith today", "We open now."),
        ("We open now. It is 8 a.m. Monday today", "We open now."),
        ("We open now. It costs 3.5 dollars per piece", "We open now."),
        ("We open now. Ask J. Smith about the rest", "We open now."),
        ("We open now. Take No. 5 or take another", "We open now."),
        ("We open now. “Really?” he asked us again", "We open now."),
        ("He said no. Then he went away from here", "He said no."),
        ("“We open now.” He closed the door again", "“We open now.”"),
        ("We open… Then we close. And that is it, yes", "We open… Then we close."),
        ("We open now! Then we close the whole shop", "We open now!"),
        ("我们今天开门。我们明天关门，然后我们后天再开门，欢迎大家都来我们店里看看", "我们今天开门。"),
        ("我们今天开门，然后我们后天再开门，欢迎大家都来我们店里看看", "我们今天开门，然后我们后天再开门，"),
        ("「今天开门。」他说，今天的草莓买一送一！欢迎大家光临本店选购", "「今天开门。」他说，今天的草莓买一送一！"),
        ("هل المتجر مفتوح؟ نعم هو مفتوح طوال اليوم", "هل المتجر مفتوح؟"),
        ("दुकान खुली है। कल दुकान बन्द रहेगी और परसों", "दुकान खुली है।"),
        ("We open the doors, then close them all day", "We open the doors,"),
        ("We open the doors then close them all day", "We open the doors then"),
        ("https://example.com/a.B/c?d=E!f,g;h/i:j/k", "https://example.com/a.B/"),
    ],
)
def test_the_best_place_is_taken(text, first):
    assert split(text, 24)[0] == first


@pytest.mark.parametrize(
    ("text", "longest", "passages"),
    [
        ("Sale\n***\nToday", 16, ["Sale\n***", "Today"]),
        ("***\n---\nSale\nToday", 16, ["***\n---\nSale", "Today"]),
        ("***", 16, ["***"]),
        ("12345678\n***\n12345678", 8, ["12345678", "***", "12345678"]),
    ],
)
def test_a_line_of_symbols_goes_with_its_neighbour_if_it_fits(text, longest, passages):
    assert split(text, longest) == passages


@pytest.mark.parametrize("unit", ["word ", "a", "*\n", ". ", "A. ", "\u0301", "🇩", "a.\n", "， ", "\u200d"])
def test_forty_thousand_characters_of_anything_are_cut(unit):
    text = (unit * 40_000)[:40_000]
    assert shown("".join(split(text, 2_500))) == shown(text)


def test_words_stay_whole_where_they_fit():
    assert re.findall(r"\w+", " ".join(split("one two three " * 300, 100))) == ["one", "two", "three"] * 300
