"""A cheap check of a text's language: its letters, else its commonest words. It rather says nothing than errs."""

import re
from collections.abc import Mapping

from services.speech import languages

FEWEST_WORDS = 8  # of a text that says something about its language
FEWEST_HITS = 4  # different common words of another language

# Words that are common in one of these languages and rare or absent in the others.
COMMON: Mapping[str, tuple[str, frozenset[str]]] = {
    tag: (name, frozenset(words.split()))
    for tag, name, words in (
        ("en", "English", "the and is are you your with for this that of our we from have today every"),
        (
            "de",
            "German",
            "der die und ist sie wir mit für das nicht ein eine auf dem den von heute jeden unser unsere ihr",
        ),
        ("es", "Spanish", "el los las y es con para una por del nuestro nuestra hoy cada su usted que muy"),
        ("fr", "French", "le les et est avec pour une des du notre nos vous nous aujourd'hui chaque dans au très"),
        ("it", "Italian", "il gli è con per una della nostro nostra oggi ogni che di sono dal alla molto"),
        ("pt", "Portuguese", "o os e é com para uma do da nosso nossa hoje cada não em você muito"),
        ("nl", "Dutch", "het een en is met voor van onze vandaag elke niet wij je op zijn ook"),
    )
}
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def written_in(text: str, wanted: str) -> str | None:
    """What `text` seems to be written in (an English name), if it is not `wanted` (a BCP 47 tag); None if it may be."""
    if languages.warning(text, [wanted]):
        return "another script"
    words = [word.lower().replace("’", "'") for word in WORD.findall(text)]
    if len(words) < FEWEST_WORDS:
        return None
    hits = {tag: len(common.intersection(words)) for tag, (_, common) in COMMON.items()}
    own = hits.pop(base(wanted), None)
    # Of a language without words here nothing tells it from its relatives: only English is, which models fall back to.
    other = "en" if own is None else max(hits, key=lambda tag: hits[tag])
    return COMMON[other][0] if hits[other] >= max(FEWEST_HITS, 2 * (own or 0) + 1) else None


def base(tag: str) -> str:
    """The language of a tag, without country and script."""
    return tag.lower().replace("_", "-").partition("-")[0]
