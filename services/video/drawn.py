"""Pictures that a model drew: known by their content, and made anew, so that nothing else of their files is kept."""

from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidInput
from services.video import kinds, reading, stills
from services.video.kinds import HEAD
from services.video.reading import Facts
from services.video.writing import size_for

TAKEN = (kinds.JPEG, kinds.PNG, kinds.WEBP)
LARGEST_BYTES = 24 * 2**20  # a PNG of the vendor's finest pictures (16 megapixels) has some 20 MB
LARGEST_SIDE = 4096  # pixels
KEPT_SIDE = 2048  # pixels of what is kept; no network shows more of a cover


@dataclass(frozen=True)
class Drawn:
    """A JPEG; `width` and `height` in pixels."""

    picture: bytes
    width: int
    height: int


def drawn(data: bytes, place: Path) -> Drawn:
    """The picture in `data`; `place` is a folder for drafts. Raises `InvalidInput` for what is none, or too large."""
    if len(data) > LARGEST_BYTES:
        raise InvalidInput(f"It has {len(data):,} bytes; {LARGEST_BYTES:,} are taken.")
    file = place / "drawn"
    file.write_bytes(data)
    facts = _facts(file, data[:HEAD])
    size = size_for(facts.width or 0, facts.height or 0, KEPT_SIDE)
    return Drawn(stills.picture(file, facts, KEPT_SIDE), size.width, size.height)


def thumbnail(picture: bytes, place: Path) -> bytes:
    """The same picture as a small JPEG; `picture` is one that `drawn` made."""
    file = place / "picture"
    file.write_bytes(picture)
    return stills.picture(file, reading.facts(file), stills.THUMBNAIL)


def _facts(file: Path, head: bytes) -> Facts:
    kind = kinds.sniff(head)
    if kind not in TAKEN:
        raise InvalidInput(f"It is a {kind.ending.upper()} file.")
    facts = reading.facts(file)
    if max(facts.width or 0, facts.height or 0) > LARGEST_SIDE:
        raise InvalidInput(f"It has {facts.width:,} × {facts.height:,} pixels; {LARGEST_SIDE:,} a side are taken.")
    return facts
