"""Text as people type it → text that the embedded voice reads as they meant it.

The voice reads some writing wrongly: "$5, 2 for 1" as "five dollars, two dollars for one", "7am-3pm" without
its "to", tags and web addresses letter by letter. Each rule below mends one such habit and leaves plain
sentences as they are. Order matters: a rule may rely on what an earlier one has spelled out.
"""

import html
import re
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from services.errors import InvalidInput


@dataclass(frozen=True)
class Rule:
    name: str
    apply: Callable[[str], str]


def clean(text: str) -> str:
    """The text in words the embedded voice reads correctly, on one line; empty if nothing is left."""
    for rule in RULES:
        text = rule.apply(text)
    return text


def check_speakable(text: str) -> None:
    """Raise `InvalidInput` (field `text`) for what the embedded voice would leave out or read as noise."""
    spoken = clean(text)
    foreign = next((run for run in _LETTERS.findall(spoken) if not all(map(_is_latin, run))), None)
    if foreign:
        raise InvalidInput(
            f"The embedded voice speaks English only, and this text has {_script(foreign)} letters "
            f"(“{foreign[:20]}”). Write it in Latin letters or choose another voice.",
            field="text",
        )
    if not any(c.isalnum() for c in spoken):
        raise InvalidInput(
            "There is nothing to speak in this text: emoji and symbols are silent. Add some words.",
            field="text",
        )


_LETTERS = re.compile(r"[^\W\d_]+")


def _is_latin(letter: str) -> bool:
    return letter in "ªºµ" or unicodedata.name(letter, "").startswith("LATIN ")


def _script(word: str) -> str:
    letter = next(c for c in word if not _is_latin(c))
    first = unicodedata.name(letter, "foreign").partition(" ")[0]
    return "Chinese" if first == "CJK" else first.capitalize()


def _rule(name: str, pattern: str, replacement: str | Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
    compiled = re.compile(pattern, flags)
    return Rule(name, lambda text: compiled.sub(replacement, text))


# --- characters ---------------------------------------------------------------------------------------------

# Letters in disguise that social copy is full of: letterlike, circled, ligatures, full-width, mathematical.
_DISGUISED = re.compile("[\u2100-\u2121\u2123-\u214f\u2460-\u24ff\ufb00-\ufb06\uff01-\uff5e\U0001d400-\U0001d7ff]")
# Letters that the voice reads. It leaves out most others without a word and stumbles over "İ".
_KNOWN = frozenset("ªµºÀÁÂÃÄÅÆÇÉÊÌÍÎÏÑÒÓÔÕÖØÚÜÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ" + string.ascii_letters)
_BARE = str.maketrans({"Ð": "D", "Đ": "D", "đ": "d", "Ħ": "H", "ħ": "h", "ı": "i", "ĸ": "k", "Ł": "L", "ł": "l"})
_BARE |= str.maketrans({"Ŋ": "N", "ŋ": "n", "Œ": "Oe", "œ": "oe", "Ŧ": "T", "ŧ": "t", "ẞ": "ß", "ʼ": "'"})
_EMOJI_STYLE = re.compile("[^\x00-\x7f]\ufe0f")
_SPOKEN_SYMBOLS = frozenset("°©®™")
_SILENT = frozenset({"Cc", "Cf", "Cs", "Co", "Mn", "Me"})


def _plain_letters(text: str) -> str:
    text = _EMOJI_STYLE.sub(" ", text).translate({ord(mark): "'" for mark in "ʻʼ"})
    folded = _DISGUISED.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    return "".join(_plain_letter(c) for c in unicodedata.normalize("NFC", folded))


def _plain_letter(character: str) -> str:
    """Without its marks, if the voice would leave the letter out as it stands."""
    if character in _KNOWN or not _is_latin(character):
        return character
    bare = (c for c in unicodedata.normalize("NFKD", character) if unicodedata.category(c) != "Mn")
    return "".join(bare).translate(_BARE)


def _audible(text: str) -> str:
    return "".join(_audible_character(c) for c in text)


def _audible_character(character: str) -> str:
    if character in "\n\v\f\x85\u2028\u2029":
        return "\n"
    category = unicodedata.category(character)
    if character.isspace() or (category in {"So", "Cn"} and character not in _SPOKEN_SYMBOLS):
        return " "
    pictured = category == "Sk" and character > "\x7f"  # skin tones
    return "" if pictured or category in _SILENT else character


# --- capitals -----------------------------------------------------------------------------------------------

_SENTENCE = re.compile(r".+?(?:[.!?]+(?=\s)|$)")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ACRONYMS = frozenset({"AC", "AI", "ATM", "CEO", "DIY", "EU", "FAQ", "I", "ID", "LED", "UK", "USA", "VIP"})
_SHOUTED = 0.7  # share of capital letters from which a sentence counts as written in capitals


def _lower_capitals(text: str) -> str:
    return _SENTENCE.sub(_lower_sentence, text)


def _lower_sentence(match: re.Match[str]) -> str:
    sentence = match[0]
    letters = [c for c in sentence if c.isalpha()]
    shouted = sum(c.isupper() for c in letters) >= _SHOUTED * len(letters)
    if not shouted or sum(len(word) > 1 for word in _WORD.findall(sentence)) < 2:
        return sentence
    lowered = _WORD.sub(_lower_word, sentence)
    start = _WORD.search(lowered)
    return lowered if start is None else _capitalize_at(lowered, start.start())


def _lower_word(match: re.Match[str]) -> str:
    word = match[0]
    unvoiced = len(word) > 1 and word.isascii() and not re.search("[AEIOUY]", word)
    of_the_clock = word == "AM" and re.search(r"\d $", match.string[: match.start()])
    if word in _ACRONYMS or unvoiced or of_the_clock:
        return word
    return word.capitalize() if word.lower() in _CALENDAR or word.startswith(("I'", "I’")) else word.lower()


def _capitalize_at(text: str, index: int) -> str:
    return text[:index] + text[index].upper() + text[index + 1 :]


# --- days and hours -----------------------------------------------------------------------------------------

_DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "tues": "Tuesday",
    "wed": "Wednesday",
    "weds": "Wednesday",
    "thu": "Thursday",
    "thur": "Thursday",
    "thurs": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_MONTHS = {
    "jan": "January",
    "feb": "February",
    "mar": "March",
    "apr": "April",
    "may": "May",
    "jun": "June",
    "jul": "July",
    "aug": "August",
    "sep": "September",
    "sept": "September",
    "oct": "October",
    "nov": "November",
    "dec": "December",
}
_CALENDAR = {key: name for short in (_DAYS, _MONTHS) for key, name in short.items()}
_CALENDAR |= {name.lower(): name for name in _CALENDAR.values()}


def _names(table: dict[str, str]) -> str:
    return "|".join(sorted({*table, *(name.lower() for name in table.values())}, key=len, reverse=True))


_DAY = "|".join(sorted((key.capitalize() for key in _DAYS), key=len, reverse=True))
_ANY_DAY = "|".join(sorted({*(k.capitalize() for k in _DAYS), *_DAYS.values()}, key=len, reverse=True))
_HOUR = r"\d{1,2}(?:[:.]\d{2})?"
_QUANTITY = r"(?:[$£€]?\d+(?:,\d{3})*(?:[.:]\d+)?(?:st|nd|rd|th|\s?%|\s(?:AM|PM))?)"


def _full_names(text: str) -> str:
    return _WORD.sub(lambda m: _CALENDAR.get(m[0].lower(), m[0]), text)


def _calendar_range(match: re.Match[str]) -> str:
    return f"{_CALENDAR[match[1].lower()]} to {_CALENDAR[match[2].lower()]}"


def _day_list(match: re.Match[str]) -> str:
    return _full_names(re.sub(r"\s?/\s?", ", ", re.sub(r"\s?[&+]\s?", " and ", match[0].replace(".", ""))))


def _clock(match: re.Match[str]) -> str:
    return f"{match[1].replace('.', ':')} {match[2].upper()}M"


# --- money and numbers --------------------------------------------------------------------------------------

_CURRENCIES = {
    "$": (("dollar", "dollars"), ("cent", "cents")),
    "£": (("pound", "pounds"), ("penny", "pence")),
    "€": (("euro", "euros"), ("cent", "cents")),
}
_MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
_AMOUNT = r"(\d+(?:,\d{3})*)?(?:\.(\d+))?"
_PER = {
    "lb": "pound",
    "kg": "kilogram",
    "oz": "ounce",
    "hr": "hour",
    "wk": "week",
    "mo": "month",
    "yr": "year",
    "ea": "each",
    "pp": "person",
}
_PER_UNITS = "|".join([*_PER, "hour", "day", "night", "week", "month", "year", "person", "each", "piece", "slice"])


def _price(match: re.Match[str]) -> str:
    symbol, whole, decimals, magnitude = match.groups()
    if magnitude:
        number = f"{whole or 0}.{decimals}" if decimals else whole
        return f"{number} {_MAGNITUDES.get(magnitude.lower(), magnitude.lower())} {_CURRENCIES[symbol][0][1]}"
    return _money(symbol, whole or "0", decimals or "")


def _price_after(match: re.Match[str]) -> str:
    whole, decimals, symbol = match.groups()
    return _money(symbol, whole, decimals or "")


def _money(symbol: str, whole: str, decimals: str) -> str:
    units, cents = _CURRENCIES[symbol]
    if len(decimals) not in {0, 2}:
        return f"{whole}.{decimals} {units[1]}"
    parts = [_count(whole, units)] if whole.strip("0") or not decimals.strip("0") else []
    return " and ".join(parts + ([_count(str(int(decimals)), cents)] if decimals.strip("0") else []))


def _count(number: str, names: tuple[str, str]) -> str:
    return f"{number} {names[0] if number == '1' else names[1]}"


def _per(match: re.Match[str]) -> str:
    unit = _PER.get(match[2].lower(), match[2])
    return f"{match[1]} {unit}" if unit == "each" else f"{match[1]} per {unit}"


def _digits(match: re.Match[str]) -> str:
    groups = ", ".join(" ".join(group) for group in re.findall(r"\d+", match[0]))
    return ("plus " if "+" in match[0] else "") + groups


def _long_number(match: re.Match[str]) -> str:
    return " ".join(match[0].replace(",", ""))


# --- web addresses ------------------------------------------------------------------------------------------

_TOP_LEVEL = "com|org|net|io|ro|de|fr|es|eu|uk|info|shop|store|app|cafe"
_HOST = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\."
_ADDRESS = (
    rf"(?:(?:https?|ftp)://(?:www\.)?|\bwww\.)[^\s<>()\"]+|\b{_HOST}(?:{_TOP_LEVEL})\b(?:/[^\s<>()\"]*)?(?![\w@])"
)


def _address(match: re.Match[str]) -> str:
    address = re.sub(r"^(?:\w+://)?(?:www\.)?", "", match[0])
    end = re.search(r"[.,;:!?]+$", address)
    closing = end[0] if end else ""
    path = re.split("[?#]", address.removesuffix(closing))[0].rstrip("/")
    return path.replace(".", " dot ").replace("/", " slash ") + closing


def _mail(match: re.Match[str]) -> str:
    return f"{match[1].replace('.', ' dot ')} at {match[2].replace('.', ' dot ')}"


# --- the rules ----------------------------------------------------------------------------------------------

_BLOCK_TAG = r"(?i)<\s*/?\s*(?:br|p|div|li|ul|ol|h[1-6]|tr|table)\b[^<>]*>"

RULES: tuple[Rule, ...] = (
    _rule("entities", r"&#?\w{2,31};", lambda m: html.unescape(m[0])),
    Rule("plain letters", _plain_letters),
    Rule("audible characters", _audible),
    _rule("block tags", _BLOCK_TAG, "\n\n"),
    _rule("inline tags", r"</?[A-Za-z][^<>]*>|<!--.*?-->", "", re.DOTALL),
    _rule("links", r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1"),
    _rule("brackets", r"\]\(", "] ("),  # what is left of "[word](/sounds/)" would be read as sounds
    _rule("paragraphs and bullets", r"(?<=[\w)”\"%])[ \t]*\n\s*(?:\n\s*|(?=[-–•·*]\s))(?:[-–•·*]\s+)?", ". "),
    _rule("first bullet", r"(?m)^\s*(?:[-–•·*]|#{1,6})\s+", ""),
    _rule("white space", r"\s+", " "),
    _rule("mail addresses", rf"\b([\w.+-]+)@({_HOST}[A-Za-z]{{2,}})\b", _mail),
    _rule("web addresses", _ADDRESS, _address),
    _rule("number signs", r"#(?=\d)", "number "),
    _rule("hashtags", r"#", ""),
    _rule("emphasis", r"[*_`^|\\]+|~(?!\d)", " "),
    _rule("arrows", r"\s?-+>\s?", " to "),
    _rule("repeated marks", r"([!?.])\1{3,}", r"\1\1\1"),
    _rule("lines of symbols", r"([^\w\s!?.])\1{2,}", " "),
    _rule(
        "hours",
        rf"\b({_HOUR})\s?(?i:([ap])\.?\s?m)(?:\.(?=\s*(?:[a-z\d,;–-]|[A-Z]{{2}})))?(?![A-Za-z])",
        _clock,
    ),
    Rule("capitals", _lower_capitals),
    _rule("day ranges", rf"(?i)\b({_names(_DAYS)})\.?\s?[-–—]\s?({_names(_DAYS)})\b", _calendar_range),
    _rule("month ranges", rf"(?i)\b({_names(_MONTHS)})\.?\s?[-–—]\s?({_names(_MONTHS)})\b", _calendar_range),
    _rule("day lists", rf"\b(?:{_ANY_DAY})\b(?:\.?\s?(?:,|&|/|\+|and)\s?(?:{_ANY_DAY})\b)+", _day_list),
    _rule("days before hours", rf"\b({_DAY})\b\.?:?(?=\s\d)", lambda m: _DAYS[m[1].lower()]),
    _rule("bracketed phones", r"(?<![\w.])(?:\+?\d{1,3}[ .-]?)?\(\d{2,5}\)(?:[ .-]?\d{3,4}){2}(?!\w)", _digits),
    _rule("international phones", r"(?<![\w.])\+\d{1,3}(?:[ .-]?\d{2,4}){2,5}(?!\w)", _digits),
    _rule("phones", r"(?<![\w.,/$£€-])(?:1[ .-])?(?:\d{3}[ .-])?\d{3}[.-]\d{4}(?![\w-])", _digits),
    _rule(
        "phones with spaces",
        r"(?<![\w.,/$£€-])(?:\d{3} \d{3} \d{4}|0\d{2,4}(?:[ -]\d{2,4}){2,3})(?![\w-])",
        _digits,
    ),
    _rule("round the clock", r"\b(24)/(7)\b|\b(\d+)/(?=\3\b)", lambda m: "24 7" if m[1] else f"{m[3]} "),
    _rule("price ranges", r"([$£€])(\d[\d,]*(?:\.\d+)?)\s?[-–]\s?\1?(?=\d)", r"\1\2 to \1"),
    _rule(
        "number ranges",
        rf"(?<![\w.,/–-])({_QUANTITY}|(?i:noon|midnight))\s?[-–]\s?"
        rf"(?=(?:{_QUANTITY}|(?i:noon|midnight|late|close))(?![\w/–-]))",
        r"\1 to ",
    ),
    _rule(
        "prices",
        rf"(?:\bUS)?([$£€])\s?(?=[\d.]){_AMOUNT}(?:\s?(?i:(hundred|thousand|million|billion|k|m|bn|b))\b)?",
        _price,
    ),
    _rule(
        "prices with the sign after",
        r"(?<![\w.,])(\d+(?:,\d{3})*)(?:[.,](\d{2}))?\s?([$£€])(?!\d)",
        _price_after,
    ),
    _rule("percent", r"\s*%", " percent "),
    _rule("per unit", rf"(\d|dollars?|cents?|euros?|pounds?|pence)\s?/\s?({_PER_UNITS})\b", _per, re.IGNORECASE),
    _rule("commas between numbers", r"(?<=\d),(?=\d)(?!\d{3}(?!\d))", ", "),
    _rule("long numbers", r"\d{10,}|\d{1,3}(?:,\d{3}){5,}", _long_number),
    # The voice drops letters of an unknown word past its 24th, and its reader slows with the fourth power of
    # the length of an unbroken chain: 800 characters of "a-a-a" took over two minutes.
    _rule("endless words", r"[^\W\d_]{24}(?=[^\W\d_])|\S{40}(?=\S)", r"\g<0> "),
    _rule("spaces before marks", r"\s+(?=[,;:!?]|\.(?!\d))", ""),
    _rule("spaces", r"\s+", " "),
    Rule("ends", str.strip),
)
