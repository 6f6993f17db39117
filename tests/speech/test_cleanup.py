"""Every reading habit of the embedded voice that the clean-up mends, written → spoken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.errors import InvalidInput
from services.speech import cleanup, hibari
from services.speech.cleanup import check_speakable, clean

SPOKEN = {
    "entities": [("Bread &amp; butter", "Bread & butter"), ("caf&eacute;&nbsp;bar", "café bar")],
    "plain letters": [
        ("𝗦𝗔𝗟𝗘 of ﬁne ｂread", "SALE of fine bread"),
        ("Iași, cafe\u0301", "Iasi, café"),
        ("ÈCLAIR in Łódź, İzmir", "ECLAIR in Lódz, Izmir"),
    ],
    "audible characters": [
        ("Hi 👋!", "Hi!"),
        ("👨‍👩‍👧 family 🇷🇴 1️⃣ ❤️ 👍🏽", "family 1"),
        ("Bread🥖Cake", "Bread Cake"),
        ("sour\u200bdough \u202erolls", "sourdough rolls"),
        ("a\x00b\x07c", "abc"),
        ("one\ttwo\nthree\r\nfour\u2028five", "one two three four five"),
    ],
    "block tags": [("<p>One</p><p>Two.</p>Three<br/>Four", "One. Two. Three. Four")],
    "inline tags": [('Visit <b class="x">us</b><!-- soon -->', "Visit us"), ("sour<i>dough</i>", "sourdough")],
    "links": [("Our [menu](https://example.com/menu)", "Our menu")],
    "brackets": [("[[a](b)](/x/)", "[a] (/x/)")],
    "paragraphs and bullets": [
        ("Our hours\n\nEvery day", "Our hours. Every day"),
        ("Today:\n- bread\n• cake", "Today: bread. cake"),
    ],
    "first bullet": [("- one\n- two", "one. two"), ("# Menu", "Menu")],
    "white space": [("  too   much ", "too much"), ("THIS IS FOR\nUS ALL", "This is for us all")],
    "mail addresses": [("Write to info@example.com.", "Write to info at example dot com.")],
    "web addresses": [
        ("See www.example.com!", "See example dot com!"),
        ("https://www.example.com/menu/?utm=1, now", "example dot com slash menu, now"),
        ("example.co.uk", "example dot co dot uk"),
    ],
    "number signs": [("the #1 bakery", "the number 1 bakery")],
    "hashtags": [("Love #bread", "Love bread")],
    "emphasis": [("**bold** and snake_case `x`", "bold and snake case x")],
    "arrows": [("raw -> baked", "raw to baked")],
    "repeated marks": [("Sale!!!!!!", "Sale!!!"), ("Wait.......", "Wait...")],
    "lines of symbols": [("One ====== two", "One two")],
    "hours": [
        ("at 7am", "at 7 AM"),
        ("7.30pm", "7:30 PM"),
        ("Open at 7 a.m. daily", "Open at 7 AM daily"),
        ("We open at 7 a.m. Come in", "We open at 7 AM. Come in"),
        ("OPEN 7 A.M. TO 3 P.M. DAILY", "Open 7 AM to 3 PM daily"),
    ],
    "capitals": [
        ("THIS IS A HUGE SALE FOR US ALL", "This is a huge sale for us all"),
        ("FRESH BREAD DAILY! COME IN.", "Fresh bread daily! Come in."),
        ("I'M OPEN MON-FRI WITH VIP BBQ", "I'm open Monday to Friday with VIP BBQ"),
        ("SALE!", "SALE!"),
        ("Visit NYC and LA", "Visit NYC and LA"),
    ],
    "day ranges": [
        ("Mon-Fri", "Monday to Friday"),
        ("Tues. – Sun.", "Tuesday to Sunday."),
        ("monday-friday", "Monday to Friday"),
    ],
    "month ranges": [("Jun-Aug", "June to August")],
    "day lists": [("Sat & Sun", "Saturday and Sunday"), ("Mon, Wed/Fri", "Monday, Wednesday, Friday")],
    "days before hours": [("Sat 8am-1pm", "Saturday 8 AM to 1 PM"), ("Sun: 9 to 5", "Sunday 9 to 5")],
    "bracketed phones": [
        ("(555) 010-4477", "5 5 5, 0 1 0, 4 4 7 7"),
        ("+1 (555) 010-4477", "plus 1, 5 5 5, 0 1 0, 4 4 7 7"),
    ],
    "international phones": [("+40 21 555 0123", "plus 4 0, 2 1, 5 5 5, 0 1 2 3")],
    "phones": [
        ("555-010-4477", "5 5 5, 0 1 0, 4 4 7 7"),
        ("1-800-555-0104", "1, 8 0 0, 5 5 5, 0 1 0 4"),
        ("Call 555-0104.", "Call 5 5 5, 0 1 0 4."),
    ],
    "phones with spaces": [("020 7946 0958", "0 2 0, 7 9 4 6, 0 9 5 8")],
    "round the clock": [("open 24/7", "open 24 7"), ("50/50", "50 50")],
    "price ranges": [("$5-10", "5 dollars to 10 dollars"), ("£4–£6", "4 pounds to 6 pounds")],
    "number ranges": [
        ("7am-3pm", "7 AM to 3 PM"),
        ("7-9pm", "7 to 9 PM"),
        ("9:00–17:00", "9:00 to 17:00"),
        ("noon-3pm", "noon to 3 PM"),
        ("20-30%", "20 to 30 percent"),
        ("Dec 24-26", "Dec 24 to 26"),
    ],
    "prices": [
        ("$9.99, 20% off", "9 dollars and 99 cents, 20 percent off"),
        ("$5, 2 for 1", "5 dollars, 2 for 1"),
        ("$1 or $1.01", "1 dollar or 1 dollar and 1 cent"),
        ("$0.99 or $.50", "99 cents or 50 cents"),
        ("£1,299.50", "1,299 pounds and 50 pence"),
        ("US$2.5 million", "2.5 million dollars"),
        ("€2M.", "2 million euros."),
        ("$1.999", "1.999 dollars"),
        ("$0.00", "0 dollars"),
    ],
    "prices with the sign after": [("9,99 €", "9 euros and 99 cents"), ("5$ off", "5 dollars off")],
    "percent": [("20%off", "20 percent off")],
    "per unit": [("$5/lb or $3/each", "5 dollars per pound or 3 dollars each")],
    "commas between numbers": [("1,2,3 and 1,000,000", "1, 2, 3 and 1,000,000")],
    "long numbers": [("Card 4111111111111111", "Card 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1")],
    "endless words": [("a" * 30, "a" * 24 + " " + "a" * 6), ("a-" * 25, "a-" * 20 + " " + "a-" * 5)],
    "spaces before marks": [("Hello , world", "Hello, world"), ("from .5 up", "from .5 up")],
    "spaces": [("now 20 % off", "now 20 percent off")],
    "ends": [(" bread ", "bread")],
}
EXAMPLES = [example for examples in SPOKEN.values() for example in examples]
PLAIN = [
    "Fresh bread at six.",
    "Don't miss it: half of all cakes, today only!",
    "She said “we open late” – and they did.",
    "Dr. Smith's state-of-the-art T-shirt (size 4) costs 1,250 dollars.",
    "We sat in the sun. May I come in on 2026-11-21?",
    "Café, crème brûlée and jalapeño at 5°C; Q&A at 9.",
]


@pytest.mark.parametrize(("written", "spoken"), EXAMPLES)
def test_is_spoken_as_meant(written, spoken):
    assert clean(written) == spoken


@pytest.mark.parametrize("text", [*PLAIN, *(spoken for _, spoken in EXAMPLES)])
def test_what_is_plain_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize("rule", cleanup.RULES, ids=lambda rule: rule.name)
def test_each_rule_is_needed_by_an_example_of_its_own(rule, monkeypatch):
    monkeypatch.setattr(cleanup, "RULES", tuple(other for other in cleanup.RULES if other is not rule))
    assert any(clean(written) != spoken for written, spoken in SPOKEN[rule.name])


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("$9.99, 20% off", "nine dollars and ninety-nine cents, twenty percent off"),
        ("$5, 2 for 1", "five dollars, two for one"),
        ("(555) 010-4477", "five five five, zero one zero, four four seven seven"),
        ("Open 24/7", "Open twenty-four seven"),
        ("Mon-Fri 7am-3pm", "Monday to Friday seven A.M. to three P.M."),
        ("THIS IS FOR US ALL", "This is for us all"),
        ("www.example.com", "example dot com"),
    ],
)
def test_the_voice_then_reads_the_same_sounds_as_the_words(written, words):
    with hibari._lock:
        read = hibari._engine().phonemize
    assert _sounds(read(clean(written))) == _sounds(read(words))
    assert _sounds(read(written)) != _sounds(read(words))


def _sounds(sentences):
    """Without stress and gaps, which follow from whether a number was written in digits."""
    return "".join(sentences).translate(str.maketrans("", "", "ˈˌ.- "))


@pytest.mark.parametrize("text", ["👋🎉", "…!?", "<br>", "$", "©", "\u200b\u200b", "❤️"])
def test_text_without_a_word_is_refused(text):
    with pytest.raises(InvalidInput, match="nothing to speak") as refused:
        check_speakable(text)
    assert refused.value.field == "text"


@pytest.mark.parametrize(
    ("text", "script", "word"),
    [
        ("مرحبا بكم", "Arabic", "مرحبا"),
        ("שלום", "Hebrew", "שלום"),
        ("Fresh хлеб today", "Cyrillic", "хлеб"),
        ("新鲜面包", "Chinese", "新鲜面包"),
        ("β version", "Greek", "β"),
    ],
)
def test_other_scripts_are_refused_by_name(text, script, word):
    with pytest.raises(InvalidInput, match=f"English only.*{script} letters.*“{word}”") as refused:
        check_speakable(text)
    assert refused.value.field == "text"


@pytest.mark.parametrize("text", ["1️⃣", "50%", "Iași", "5 µg", "a\x07", "ⓐ"])
def test_little_is_enough_to_speak(text):
    check_speakable(text)


@given(st.text(st.characters(), max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_cleaned_to_one_line_without_control_characters(text):
    spoken = clean(text)
    assert spoken == spoken.strip()
    assert not any(character in "\n\r\t\0\x7f\u200b\u202e" for character in spoken)
