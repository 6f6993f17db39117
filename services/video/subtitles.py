"""WebVTT subtitles of speech, from where its passages are heard."""

import re
from collections.abc import Iterator, Sequence

LINE = 42  # characters a line, two lines a cue: what a viewer reads at a glance
_BREAK = re.compile(r"(?<=[.!?…,;:])\s+|(?<=[。！？、，；])")


def webvtt(passages: Sequence[str], spans: Sequence[Sequence[float]]) -> str:
    """Cues of at most two lines. A passage's start and end are those of its sound; within it, time goes by length."""
    cues = [cue for text, (start, end) in zip(passages, spans, strict=True) for cue in _cues(text, start, end)]
    return "\n\n".join(["WEBVTT", *cues]) + "\n"


def _cues(text: str, start: float, end: float) -> Iterator[str]:
    """None for a passage that is not heard."""
    parts = list(_parts(" ".join(text.split())))
    total = sum(map(len, parts))
    at = start
    for part in parts if end > start else []:
        until = at + (end - start) * len(part) / total
        yield f"{_clock(at)} --> {_clock(until)}\n{_escaped(part)}"
        at = until


def _parts(text: str) -> Iterator[str]:
    """Pieces of at most two lines, cut after sentences and clauses where they are, else between words."""
    held = ""
    for piece in _pieces(text):
        if held and len(held) + 1 + len(piece) > 2 * LINE:
            yield held
            held = piece
        else:
            held = f"{held} {piece}".strip()
    if held:
        yield held


def _pieces(text: str) -> Iterator[str]:
    for clause in filter(None, _BREAK.split(text)):
        if len(clause) <= 2 * LINE:
            yield clause
        else:
            yield from _words(clause)


def _words(clause: str) -> Iterator[str]:
    """Words, and pieces of text that is written without spaces."""
    for word in clause.split():
        yield from (word[at : at + LINE] for at in range(0, len(word), LINE))


def _escaped(text: str) -> str:
    """In two lines where it is long. "-->" and markup mean something in the format."""
    lines = text if len(text) <= LINE else _in_two_lines(text)
    return lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _in_two_lines(text: str) -> str:
    """Broken at the space nearest to the middle."""
    spaces = [at for at, character in enumerate(text) if character == " "]
    if not spaces:
        return text
    middle = min(spaces, key=lambda at: abs(at - len(text) // 2))
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
