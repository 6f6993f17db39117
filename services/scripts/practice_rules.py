"""The rules that the practice writer goes by: what it takes from a briefing, what it finds wrong, how it mends that."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.scripts import phases
from services.scripts.language import base
from services.scripts.phases import LONGEST_TITLE, Assistant, Finding, banned_in, pattern_of

LONGEST_SENTENCE = 20  # words that a listener takes in at once
FEWEST_WORDS = 12  # of a script that says something
SHARE = 0.6  # of the allowed characters that a draft fills: there must be room for what is missing

# What a fault takes from 100 points; several of a kind together at most three times that.
TOO_LONG, TOO_SHORT, BANNED, LONG_SENTENCE, NO_CALL = 25, 10, 15, 8, 20
MOST = 3


class Phrases(NamedTuple):
    """What a tone says before and after the briefing's own sentences."""

    opening: str
    call: str


class Fault(NamedTuple):
    points: int
    finding: Finding


# By language and tone; a tone is found by any of the words that people describe it with.
TONES: Mapping[str, str] = {
    "warm": "warm friendly freundlich herzlich amable cálido chaleureux amical",
    "lively": "lively playful funny bold lebendig frech lustig alegre divertido joyeux drôle",
    "plain": "",
}
PHRASES: Mapping[str, Mapping[str, Phrases]] = {
    "en": {
        "warm": Phrases("Hello, lovely that you are here.", "Come by, we look forward to you."),
        "lively": Phrases("Stop scrolling, this is for you!", "What are you waiting for? Try it today!"),
        "plain": Phrases("Here is what is new.", "Visit us today."),
    },
    "de": {
        "warm": Phrases("Hallo, schön, dass du da bist.", "Komm vorbei, wir freuen uns auf dich."),
        "lively": Phrases("Moment, das hier ist für dich!", "Worauf wartest du? Probier es heute aus!"),
        "plain": Phrases("Das gibt es Neues.", "Besuchen Sie uns heute."),
    },
    "es": {
        "warm": Phrases("Hola, qué alegría tenerte aquí.", "Ven a vernos, te esperamos."),
        "lively": Phrases("¡Espera, esto es para ti!", "¿A qué esperas? ¡Pruébalo hoy!"),
        "plain": Phrases("Estas son las novedades.", "Visítenos hoy."),
    },
    "fr": {
        "warm": Phrases("Bonjour, quel plaisir de vous voir.", "Passez nous voir, nous vous attendons."),
        "lively": Phrases("Attendez, c'est pour vous !", "Qu'attendez-vous ? Essayez aujourd'hui !"),
        "plain": Phrases("Voici les nouveautés.", "Venez nous voir aujourd'hui."),
    },
}
# Verbs that ask for something where a clause begins with them.
POLITE = r"(?:(?:please|so|and|then|now|just|bitte|und|dann|jetzt|y|et|por favor)\s+)*"
CALLS: Mapping[str, str] = {
    "en": "come|visit|try|order|call|book|click|buy|get|taste|join|discover|grab|stop",
    "de": r"komm\w*|besuch\w*|probier\w*|bestell\w*|ruf\w*|buch\w*|klick\w*|kauf\w*|hol\w*|entdeck\w*",
    "es": r"ven|visít\w*|visita|pruéb\w*|prueba|pid\w*|llam\w*|reserva|compra|descubr\w*",
    "fr": "venez|passez|visitez|essayez|commandez|appelez|réservez|achetez|découvrez|goûtez",
}

MARKUP = re.compile(r"<[^<>]*>|[*_`#>|~]+|^[ \t]*(?:[-•–]|\d+[.)])[ \t]+", re.MULTILINE)
LINK = re.compile(r"\b(?:https?://|www\.)\S+", re.IGNORECASE)
# A word of 16 or more letters and digits mixed is a key or a number that nobody wants spoken.
SECRET = re.compile(r"(?<![\w+/=])(?=[A-Za-z_+/=]*\d)(?=[0-9_+/=]*[A-Za-z])[A-Za-z0-9_+/=]{16,}")
# At most so far apart: a briefing made of one of these words alone must not be compared with itself.
ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|vergiss|ignorier\w*|ignora|ignorez)\b.{0,80}"
    r"\b(?:instruc\w*|prompts?|anweisung\w*|rules?|regeln?|consignes?)",
    re.IGNORECASE,
)
ENDS, CLOSERS = (".", "!", "?", "…", "。", "！", "？"), "\"'”’»)"
END = re.compile(r"(?<=[.!?…])\s+|\n+|(?<=[。！？])")
CLAUSE = re.compile(r"(?<=[,;:])\s+")
BREATH = re.compile(
    r"(?<=[,;:])\s+|\s+(?=(?:and|but|because|und|aber|weil|y|pero|porque|et|mais|car)\s)", re.IGNORECASE
)


# Reading a briefing -----------------------------------------------------------------------------------------------


def lines_of(briefing: str) -> list[str]:
    """Its sentences as they can be spoken: no markup, no links; none that orders a writer about or holds a key."""
    plain = MARKUP.sub(" ", LINK.sub("", briefing))
    found = (_tidy(sentence) for sentence in END.split(plain))
    return [_ended(line) for line in found if _is_spoken(line)]


def fitting(lines: Sequence[str], longest: int) -> list[str]:
    """The first of them that fill `SHARE` of the allowed characters; at least one, cut where it is too long itself."""
    room = int(longest * SHARE)
    chosen: list[str] = []
    for line in lines:
        if chosen and sum(map(len, chosen)) + len(line) > room:
            break
        chosen.append(line if len(line) <= room else _ended(line[:room].rsplit(" ", 1)[0]))
    return chosen


def title(lines: Sequence[str], assistant: Assistant) -> str:
    first = " ".join(lines[0].rstrip(".!?…").split()[:8]) if lines else assistant.name
    return first[:LONGEST_TITLE]


def opening(assistant: Assistant) -> list[str]:
    """As a list: there is none in a language that the practice writer has no words of."""
    return [phrase.opening for phrase in _phrases(assistant) if not banned_in(phrase.opening, assistant)][:1]


def call(assistant: Assistant) -> list[str]:
    """As `opening`."""
    return [phrase.call for phrase in _phrases(assistant) if not banned_in(phrase.call, assistant)][:1]


def _is_spoken(line: str) -> bool:
    return _says_something(line) and not ORDER.search(line) and not SECRET.search(line)


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.…])", r"\1", " ".join(text.split())).strip(" ,;:")


def _ended(line: str) -> str:
    return line if line.rstrip(CLOSERS).endswith(ENDS) else f"{line}."


def _phrases(assistant: Assistant) -> list[Phrases]:
    """Those of the assistant's tone first, the plain ones next."""
    known = PHRASES.get(base(assistant.language), {})
    described = set(re.findall(r"\w+", assistant.tone.lower()))
    tones = [tone for tone, words in TONES.items() if described.intersection(words.split())]
    return [known[tone] for tone in dict.fromkeys([*tones, "plain", *known]) if tone in known]


# Judging a script -------------------------------------------------------------------------------------------------


def faults(script: str, assistant: Assistant) -> list[Fault]:
    """Everything that takes points, the heaviest first."""
    found = [*_length(script, assistant), *_banned(script, assistant), *_sentences(script), *_call(script, assistant)]
    return sorted(found, key=lambda fault: -fault.points)


def sentences(script: str) -> list[str]:
    return [sentence.strip() for sentence in END.split(script) if sentence.strip()]


def _length(script: str, assistant: Assistant) -> Iterator[Fault]:
    yield from (Fault(TOO_LONG, finding) for finding in phases.too_long(script, assistant))
    if len(script.split()) < FEWEST_WORDS:
        what = f"The script has fewer than {FEWEST_WORDS} words."
        yield Fault(TOO_SHORT, Finding(what=what, how="Say who speaks and what to do next."))


def _banned(script: str, assistant: Assistant) -> Iterator[Fault]:
    yield from (Fault(BANNED, finding) for finding in phases.banned(script, assistant)[:MOST])


def _sentences(script: str) -> Iterator[Fault]:
    long = [sentence for sentence in sentences(script) if _is_long(sentence)]
    for sentence in long[:MOST]:
        what = f"A sentence has {len(sentence.split())} words: “{sentence[:60]}…”"
        yield Fault(LONG_SENTENCE, Finding(what=what, how=f"Split it: {LONGEST_SENTENCE} words are enough for one."))


def _call(script: str, assistant: Assistant) -> Iterator[Fault]:
    if call(assistant) and not _calls(script, assistant):
        how = "End with what the listener should do now."
        yield Fault(NO_CALL, Finding(what="The script does not ask for anything.", how=how))


def _is_long(sentence: str) -> bool:
    return len(sentence.split()) > LONGEST_SENTENCE


def _calls(script: str, assistant: Assistant) -> bool:
    """Whether one of the last two sentences asks for something."""
    verbs = CALLS.get(base(assistant.language))
    pattern = re.compile(rf"\W*{POLITE}(?:{verbs})\b", re.IGNORECASE)
    clauses = (clause for sentence in sentences(script)[-2:] for clause in BREATH.split(_tidy(sentence)))
    return verbs is not None and any(map(pattern.match, clauses))


# Mending a script -------------------------------------------------------------------------------------------------


def mended(script: str, assistant: Assistant) -> tuple[str, list[str]]:
    """The script without its faults, and what was changed. One that is too short may stay so: no facts are invented."""
    lines = _allowed(sentences(script), [pattern_of(word) for word in assistant.banned_words if word.strip()])
    if not lines:
        own = [*opening(assistant), *call(assistant)]
        return (" ".join(own), ["Left out all of it."]) if own else (script, [])
    short = [piece for line in lines for piece in _split(line)]
    kept, ending = _closed(short, assistant)
    start = _start([*kept, *ending], assistant)
    changes = [f"Left out “{word}”." for word in banned_in(script, assistant)]
    changes += [f"Split long sentences: {len(lines)} became {len(short)}."] if len(short) > len(lines) else []
    changes += [f"Left out {len(short) - len(kept)} sentences at the end."] if len(kept) < len(short) else []
    changes += ["Added what to do next."] if ending else []
    changes += ["Added who speaks."] if start else []
    return " ".join([*start, *kept, *ending]), changes


def _allowed(lines: Sequence[str], banned: Sequence[re.Pattern[str]]) -> list[str]:
    """Without the clauses that use a banned word; without the words alone where no clause would be left."""
    left = [_tidy(" ".join(_clean_clauses(line, banned))) for line in lines]
    if not any(map(_says_something, left)):
        left = [_without(line, banned) for line in lines]
    return [_ended(_capital(line)) for line in left if _says_something(line)]


def _clean_clauses(line: str, banned: Sequence[re.Pattern[str]]) -> list[str]:
    return [clause for clause in CLAUSE.split(line) if not any(word.search(clause) for word in banned)]


def _without(line: str, banned: Sequence[re.Pattern[str]]) -> str:
    """What stood around a word may make up another one."""
    while any(word.search(line) for word in banned):
        for word in banned:
            line = _tidy(word.sub("", line))
    return line


def _says_something(line: str) -> bool:
    return any(map(str.isalnum, line))


def _split(sentence: str) -> list[str]:
    """The sentence in pieces that are short enough: at a breath, else after the longest a listener takes in."""
    if not _is_long(sentence):
        return [sentence]
    pieces: list[str] = []
    for part in BREATH.split(sentence):
        if pieces and len(f"{pieces[-1]} {part}".split()) <= LONGEST_SENTENCE:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces.extend(_by_words(part))
    return [_capital(_ended(piece.rstrip(",;: "))) for piece in pieces]


def _by_words(part: str) -> list[str]:
    words = part.split()
    return [" ".join(words[at : at + LONGEST_SENTENCE]) for at in range(0, len(words), LONGEST_SENTENCE)]


def _closed(lines: list[str], assistant: Assistant) -> tuple[list[str], list[str]]:
    """As many of the first lines as are allowed, and what must follow them so that the script asks for something."""
    if _calls(" ".join(lines), assistant) and len(" ".join(lines)) <= assistant.max_characters:
        return lines, []
    ending = call(assistant)
    kept = _within(lines, ending, assistant.max_characters)
    return kept, [] if _calls(" ".join(kept), assistant) else ending


def _start(lines: Sequence[str], assistant: Assistant) -> list[str]:
    """An opening for a script that is very short, where there is room."""
    whole = [*opening(assistant), *lines]
    fits = len(" ".join(whole)) <= assistant.max_characters
    return opening(assistant) if fits and len(" ".join(lines).split()) < FEWEST_WORDS else []


def _within(lines: Sequence[str], ending: Sequence[str], longest: int) -> list[str]:
    """The first lines that leave room for the ending; the very first is cut where it is too long itself."""
    kept = list(lines)
    while len(kept) > 1 and len(" ".join([*kept, *ending])) > longest:
        kept.pop()
    room = longest - sum(len(line) + 1 for line in ending)
    return kept if len(kept[0]) <= room else [_ended(kept[0][: room - 1])]


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]
