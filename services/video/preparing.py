"""From what was uploaded to what networks take: MP4 with H.264 and AAC, upright pictures of at most 10 MiB."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer, OutputContainer

from services.errors import InvalidInput
from services.video import kinds, stills, writing
from services.video.files import Progress, created, opened, sound_of
from services.video.kinds import Kind
from services.video.reading import Facts
from services.video.sound import even

_PLAYED = ("yuv420p", "yuvj420p")  # formats of H.264 that every network and browser decodes


def publishable(file: Path, facts: Facts, out: Path, progress: Progress = lambda _: None) -> Kind | None:
    """Make `out`, what networks take of this file; returns its kind, or None where the file itself is that.

    Raises `InvalidInput` for what cannot be decoded, `StorageFull`, and whatever `progress` raises.
    """
    if facts.media_type == "video":
        return _video(file, facts, out, progress)
    return stills.publishable(file, facts, out) if facts.media_type == "image" else _sound(file, facts, out, progress)


def _video(file: Path, facts: Facts, out: Path, progress: Progress) -> Kind | None:
    copies = _can_copy_picture(facts)
    if copies and facts.audio_codec in (None, "aac") and facts.kind == kinds.MP4 and _index_first(file):
        return None
    try:
        return _rewritten(file, facts, out, progress, copies_picture=copies)
    except InvalidInput:
        if not copies:
            raise
        return _rewritten(file, facts, out, progress, copies_picture=False)  # its frames' times do not fit MP4


def _can_copy_picture(facts: Facts) -> bool:
    is_even = (facts.width or 0) % 2 == 0 and (facts.height or 0) % 2 == 0
    return facts.video_codec == "h264" and facts.pixel_format in _PLAYED and is_even


def _rewritten(file: Path, facts: Facts, out: Path, progress: Progress, *, copies_picture: bool) -> Kind:
    """As MP4. Picture and sound are read side by side, each by its own demuxer."""
    with opened(file, facts.kind) as one, opened(file, facts.kind) as two, created(out, "mp4") as made:
        size = writing.size_for(facts.width or 0, facts.height or 0)
        picture = (
            writing.copied_picture(one, made, facts)
            if copies_picture
            else writing.encoded_picture(one, made, facts, size)
        )
        sound = [_sound_stream(two, made, facts)] if facts.has_sound else []
        writing.weave(made, facts.seconds or 0.0, progress, picture, *sound)
    return kinds.MP4


def _sound_stream(container: InputContainer, out: OutputContainer, facts: Facts) -> writing.Packets:
    stream = sound_of(container)
    if facts.audio_codec == "aac" and stream is not None:
        return writing.copied(container, stream, out, facts.start)
    return writing.sounding(even(container, facts), out, "aac")


def _index_first(file: Path) -> bool:
    """Whether an MP4's index stands before its data, so that it plays while it loads."""
    with file.open("rb") as boxes:
        for name in _boxes(boxes):
            if name in (b"moov", b"mdat"):
                return name == b"moov"
    return False


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    """The names of a file's outermost boxes. A size of 1 stands for one of eight bytes that follows, 0 for the rest."""
    while len(start := file.read(8)) == 8:
        size, read = int.from_bytes(start[:4], "big"), 8
        if size == 1:
            size, read = int.from_bytes(file.read(8), "big"), 16
        yield start[4:]
        if size < read:
            return
        file.seek(size - read, io.SEEK_CUR)


def _sound(file: Path, facts: Facts, out: Path, progress: Progress) -> Kind | None:
    """MP3, WAV and M4A with AAC stay; other codecs in an M4A are played by few."""
    if facts.kind != kinds.M4A or facts.audio_codec == "aac":
        return None
    with opened(file, facts.kind) as container, created(out, "mp3") as made:
        sound = writing.sounding(even(container, facts), made, "libmp3lame")
        writing.weave(made, facts.seconds or 0.0, progress, sound)
    return kinds.MP3
