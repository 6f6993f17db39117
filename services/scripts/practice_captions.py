"""The practice writer's captions: a clip's own names and length in a fixed order. Nothing is seen of its frames."""

import re

from services.scripts import practice_rules as rules
from services.scripts.captions import Caption, Captions, Material, Wanted
from services.scripts.phases import LONGEST_TITLE, Assistant

SHORTEST_TAG = 4  # letters of a word that says something about a clip
MOST_TAGS = 5


def written(material: Material, plainly: str) -> Captions:
    """The same names make the same captions; `plainly` says who wrote them."""
    subject, wanted = material.subject, material.wanted
    lines = rules.lines_of(f"{subject.title}\n{subject.project}")
    about = lines[0].rstrip(".!?…") if lines else "Clip"
    clock = f" · {_clock(subject.seconds)}" if subject.seconds else ""
    ending = rules.call(_speaker(about, wanted))
    caption = " ".join([f"{about}{clock}.", *ending])
    tags = _tags(" ".join(lines))
    made = [Caption(network=network, caption=caption, hashtags=tags) for network in wanted.limits]
    return Captions(shows=plainly, captions=made)


def _speaker(name: str, wanted: Wanted) -> Assistant:
    return Assistant(
        name=name[:LONGEST_TITLE], tone=wanted.tone, language=wanted.language, banned_words=wanted.banned_words
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def _tags(text: str) -> list[str]:
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text) if len(word) >= SHORTEST_TAG]
    return list(dict.fromkeys(words))[:MOST_TAGS]
