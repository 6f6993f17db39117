"""How a store says the names of its brands."""

import re
import unicodedata
from collections.abc import Mapping

_APOSTROPHES = "['’]"
_JOINERS = "\u200c\u200d"  # they join letters of one word, as Persian and Hindi write it


def apply(text: str, entries: Mapping[str, str]) -> str:
    """`text` with every term of `entries` replaced by how it is said.

    Terms are found as whole words, in any case, with any spaces and apostrophes; of two that fit, the longer one.
    What was put in is not searched again.
    """
    terms = sorted((term for term in entries if term.strip()), key=lambda term: (-len(term.strip()), term))
    if not terms:
        return text
    said = [entries[term] for term in terms]
    return _pattern(terms, text).sub(lambda match: said[(match.lastindex or 1) - 1], text)


def _pattern(terms: list[str], text: str) -> re.Pattern[str]:
    """Group n is term n. Letters with marks of their own (é as e and ´) are no word ends, so these marks count too."""
    marks = {character for character in set(text) if unicodedata.category(character).startswith("M")}
    inside = rf"[\w{_JOINERS}{''.join(sorted(marks))}]"
    choices = "|".join(f"({_spellings(term.strip())})" for term in terms)
    return re.compile(f"(?<!{inside})(?:{choices})(?!{inside})", re.IGNORECASE)


def _spellings(term: str) -> str:
    """The term as it was typed, and with composed or separate accents."""
    forms = dict.fromkeys([term, *(unicodedata.normalize(form, term) for form in ("NFC", "NFD"))])
    return "|".join(map(_spelling, forms))


def _spelling(term: str) -> str:
    words = (re.escape(word) for word in term.split())
    return re.sub(_APOSTROPHES, _APOSTROPHES, r"\s+".join(words))
