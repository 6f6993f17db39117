"""Whether a voice's languages are written in the script of a text."""

import functools
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class _Script:
    name: str  # what the operator reads
    characters: tuple[str, ...]  # how the Unicode names of its letters begin
    codes: frozenset[str]  # ISO 15924, lower case
    languages: frozenset[str]  # ISO 639, whose usual script it is


def _script(name: str, characters: str, codes: str, languages: str) -> _Script:
    return _Script(name, tuple(characters.split()), frozenset(codes.split()), frozenset(languages.split()))


_SCRIPTS = (
    _script("Cyrillic", "CYRILLIC", "cyrl", "be bg kk ky mk mn ru sr tg tt uk"),
    _script("Greek", "GREEK", "grek", "el"),
    _script("Arabic", "ARABIC", "arab", "ar arz ckb fa ps sd ug ur"),
    _script("Hebrew", "HEBREW", "hebr", "he iw yi"),
    _script("Chinese", "CJK", "hans hant hani jpan kore", "cmn hak ja nan wuu yue zh"),
    _script("Japanese", "HIRAGANA KATAKANA", "jpan hira kana", "ja"),
    _script("Korean", "HANGUL", "kore hang", "ko"),
    _script("Thai", "THAI", "thai", "th"),
    _script("Lao", "LAO", "laoo", "lo"),
    _script("Khmer", "KHMER", "khmr", "km"),
    _script("Burmese", "MYANMAR", "mymr", "my"),
    _script("Devanagari", "DEVANAGARI", "deva", "bho hi kok mai mr ne sa"),
    _script("Bengali", "BENGALI", "beng", "as bn"),
    _script("Gurmukhi", "GURMUKHI", "guru", "pa"),
    _script("Gujarati", "GUJARATI", "gujr", "gu"),
    _script("Odia", "ORIYA", "orya", "or"),
    _script("Tamil", "TAMIL", "taml", "ta"),
    _script("Telugu", "TELUGU", "telu", "te"),
    _script("Kannada", "KANNADA", "knda", "kn"),
    _script("Malayalam", "MALAYALAM", "mlym", "ml"),
    _script("Sinhala", "SINHALA", "sinh", "si"),
    _script("Georgian", "GEORGIAN", "geor", "ka"),
    _script("Armenian", "ARMENIAN", "armn", "hy"),
    _script("Ethiopic", "ETHIOPIC", "ethi", "am ti"),
)
_LATIN = """af az bs ca cs cy da de en es et eu fi fil fr ga gl hr hu id is it jv lt lv ms mt nb nl nn no pl pt ro
    sk sl so sq su sv sw tl tr uz vi zu"""
_KNOWN = frozenset(_LATIN.split()).union(*(script.languages for script in _SCRIPTS))


def warning(text: str, languages: Collection[str]) -> str | None:
    """A sentence if `text` has words in a script that none of `languages` (BCP 47 tags) is written in.

    Latin letters never warn, as names and brands stand in them everywhere; nor do single letters, as in "π", beside
    others; nor does a voice of which some language, or every one, is unknown.
    """
    if not languages or any(_language(tag) not in _KNOWN for tag in languages):
        return None
    words = text.split()
    foreign = [
        (script, word)
        for word in words
        for script, letters in Counter(filter(None, map(_script_of, word))).items()
        if letters > 1 or len(words) == 1 or script.name == "Chinese"
        if not any(_writes(tag, script) for tag in languages)
    ]
    if not foreign:
        return None
    script = Counter(script for script, _ in foreign).most_common(1)[0][0]
    word = next(word for other, word in foreign if other is script).strip(".,:;!?()")[:20]
    return (
        f"The text has {script.name} letters (“{word}”), but this voice speaks {', '.join(languages)} only. "
        "It may leave them out or read them wrongly: choose a voice of the text's language."
    )


def _language(tag: str) -> str:
    return tag.lower().replace("_", "-").partition("-")[0]


def _writes(tag: str, script: _Script) -> bool:
    """A tag may name its script, as sr-Latn does."""
    named = [part for part in tag.lower().replace("_", "-").split("-")[1:] if len(part) == 4 and part.isalpha()]
    return named[0] in script.codes if named else _language(tag) in script.languages


@functools.cache
def _script_of(letter: str) -> _Script | None:
    """None for Latin, and for what is rarely spoken."""
    name = unicodedata.name(letter, "")
    return next((script for script in _SCRIPTS if name.startswith(script.characters)), None)
