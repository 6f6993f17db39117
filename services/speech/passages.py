"""A text cut into the passages that are spoken, bought and reused one by one.

A passage is a paragraph; a long one is cut at sentence ends, filled from its own start. So an edit changes the
passages of its own paragraph only, and all others are found again as they were bought.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

PASSAGE = 500  # characters of a long paragraph that are spoken in one go: about half a minute

Span = tuple[int, int]  # start and end within the text

_CLOSERS = "[\"'”’“»›)\\]」』）】》〉]*"
_SENTENCE = re.compile(
    f"[.!?…]+{_CLOSERS}(?=\\s)"  # Latin and its like: a space follows
    f"|[。！？｡．؟۔।॥]+{_CLOSERS}"  # none needed
    f"|…+{_CLOSERS}(?=[\u3040-\u9fff])"
)
_CLAUSE = re.compile("[,;:—–،؛](?=\\s)|[，、；：،؛]")
_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_SPACES = re.compile(r"\s*")
_LAST_WORD = re.compile(r"[^\s(\[\"'“‘«]*\Z")
# Full stops that end no sentence. Some may (etc., a.m.): the cut is then made at another sentence.
_ABBREVIATED = (
    "dr mr mrs ms mx prof rev hon st ave blvd rd mt ft jr sr vs approx dept tel ext co corp inc ltd llc bros "
    "gen col capt lt sgt gov sen rep jan feb apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri "
    "hr hrs oz lb lbs etc e.g i.e eg ie cf a.m p.m u.s u.k e.u ph.d sra ud uds dña núm mme mlle bzw usw z.b d.h u.a"
)
_ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_BEFORE_NUMBERS = frozenset({"no", "nos", "nr", "vol", "fig", "p", "pp"})
_EXTENDERS = re.compile("[\u200c\u200d\u1160-\u11ff\udc00-\udfff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")


def split(text: str, longest: int) -> list[str]:
    """`text` as passages of at most `longest` (1 or more) code points, in order, each with something visible.

    Only spaces between passages and passages of invisible characters are left out. One without a letter or digit
    goes along with its neighbour if both fit. A character of several code points is cut only if it is longer.
    """
    limit = min(PASSAGE, longest)
    spans = [span for paragraph in _paragraphs(text) for span in _cut(text, paragraph, limit)]
    visible = [span for span in spans if _is_visible(text[slice(*span)])]
    return [text[start:end] for start, end in _with_neighbours(text, visible, longest)]


def _paragraphs(text: str) -> Iterator[Span]:
    for line in _LINE.finditer(text):
        start = _after_spaces(text, line.start())
        end = line.start() + len(line[0].rstrip())
        if start < end:
            yield start, end


def _cut(text: str, paragraph: Span, limit: int) -> Iterator[Span]:
    start, end = paragraph
    while end - start > limit:
        cut = _break(text, start, start + limit)
        yield start, start + len(text[start:cut].rstrip())
        start = _after_spaces(text, cut)
    if start < end:
        yield start, end


def _break(text: str, start: int, stop: int) -> int:
    """The best place in (start, stop] for a cut: after a sentence, a clause, a word, else a character."""
    sentences = (end for end in _ends(_SENTENCE, text, start, stop) if _ends_sentence(text, start, end))
    clauses = _ends(_CLAUSE, text, start, stop)
    backwards = range(stop, start, -1)
    spaces = (at for at in backwards if text[at].isspace() and _is_between(text, start, at))
    characters = (at for at in backwards if _is_between(text, start, at))
    return next(chain(sentences, clauses, spaces, characters), stop)


def _ends(pattern: re.Pattern[str], text: str, start: int, stop: int) -> Iterator[int]:
    """Where matches end, the last first; one character more is looked at, as it decides what ends at `stop`."""
    for match in reversed(list(pattern.finditer(text, start, stop + 1))):
        if match.end() <= stop and _is_between(text, start, match.end()):
            yield match.end()


def _ends_sentence(text: str, start: int, end: int) -> bool:
    """Whether the mark before `end` is more than an abbreviation's or one inside a sentence (“Really?” he asked)."""
    following = _after_spaces(text, end)
    if following == end:
        return True
    if following < len(text) and text[following].islower():
        return False
    return text[end - 1] != "." or not _is_abbreviated(
        _word_before(text, start, end - 1), text[following : following + 1]
    )


def _is_abbreviated(word: str, following: str) -> bool:
    """Whether a full stop after `word` belongs to it; `following` is the character that comes next."""
    is_initial = len(word) == 1 and word.isalpha()
    folded = word.casefold()
    return is_initial or folded in _ABBREVIATIONS or (folded in _BEFORE_NUMBERS and following.isdigit())


def _word_before(text: str, start: int, end: int) -> str:
    found = _LAST_WORD.search(text[max(start, end - 12) : end])
    return found[0] if found else ""


def _after_spaces(text: str, at: int) -> int:
    found = _SPACES.match(text, at)
    return found.end() if found else at


def _is_between(text: str, start: int, at: int) -> bool:
    """Whether a cut at `at`, which drops the spaces that follow, comes between two characters as a reader sees them."""
    at = _after_spaces(text, at)
    if at == len(text):
        return True
    before, after = text[at - 1], text[at]
    if before == "\u200d" or _EXTENDERS.match(after) or unicodedata.category(after).startswith("M"):
        return False
    return not (_is_flag_letter(after) and _flag_letters_before(text, start, at) % 2)


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, start: int, at: int) -> int:
    count = 0
    while at - count > start and _is_flag_letter(text[at - count - 1]):
        count += 1
    return count


def _with_neighbours(text: str, spans: list[Span], longest: int) -> list[Span]:
    """`spans`, where those that say nothing have joined the one before, or at the start the one after."""
    joined: list[Span] = []
    for span in spans:
        if joined and span[1] - joined[-1][0] <= longest and not (_says(text, span) and _says(text, joined[-1])):
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


def _says(text: str, span: Span) -> bool:
    return any(map(str.isalnum, text[slice(*span)]))


def _is_visible(passage: str) -> bool:
    return any(character.isprintable() and not character.isspace() for character in passage)
