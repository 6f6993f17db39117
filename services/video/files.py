"""Opening files with PyAV: the demuxer that the content calls for, few threads, and errors an operator can read."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from services.errors import InvalidInput, StorageFull
from services.video.kinds import Kind

Progress = Callable[[float], None]  # told the share done, 0 to 1; what it raises ends the work

CLOCK = Fraction(1, 90_000)  # seconds a tick: exact for every usual frame rate
THREADS = 2  # of a decoder or encoder; each works on a frame of its own, which costs memory
FAULTS = 100  # damaged packets in a row that are left out: four seconds of video
BROKEN = "This file cannot be read: it is damaged or incomplete. Export it again and upload that."
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_DEMUXERS = {
    "mp4": "mov", "mov": "mov", "m4a": "mov", "webm": "matroska", "mkv": "matroska", "mp3": "mp3", "wav": "wav",
    "jpg": "jpeg_pipe", "png": "png_pipe", "gif": "gif", "webp": "webp_pipe",
}  # fmt: skip


@contextmanager
def opened(file: Path, kind: Kind) -> Iterator[InputContainer]:
    """The file for reading. No other demuxer is tried: some of them open further files and addresses.

    Raises `InvalidInput` for what cannot be read, also from within the block.
    """
    demuxer = _DEMUXERS[kind.ending]
    with _explained(), av.open(str(file), "r", format=demuxer, metadata_errors="replace") as container:
        yield container


@contextmanager
def created(file: Path, fmt: str) -> Iterator[OutputContainer]:
    """A new file of this format ("mp4" with its index at the front, "mp3"). Raises `StorageFull`, `InvalidInput`."""
    options = {"movflags": "faststart"} if fmt == "mp4" else {}
    with _explained(), av.open(str(file), "w", format=fmt, container_options=options) as container:
        yield container


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as exc:
        if exc.errno in _NO_ROOM:
            raise StorageFull from exc
        raise InvalidInput(BROKEN) from exc


def picture_of(container: InputContainer) -> VideoStream | None:
    """The stream of the moving picture; a cover inside a sound file is none."""
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    return max(streams, key=lambda s: s.codec_context.width * s.codec_context.height, default=None)


def sound_of(container: InputContainer) -> AudioStream | None:
    """The first sound that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def _is_cover(stream: VideoStream) -> bool:
    return stream.codec_context is None or bool(stream.disposition & av.stream.Disposition.attached_pic)


def packets(container: InputContainer, *streams: AudioStream | VideoStream) -> "Iterator[Packet[Stream]]":
    """Those that hold something and say when."""
    for packet in container.demux(*streams):
        if packet.size > 0 and (packet.pts is not None or packet.dts is not None):
            yield packet


def shown_at(packet: "Packet[Stream]") -> float:
    """Seconds on the file's clock."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return float((ticks or 0) * (packet.time_base or 0))


def pictures(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    if not stream.codec_context.is_open:
        stream.codec_context.thread_count = THREADS
        stream.thread_type = "AUTO"
    return _decoded(container, stream)


def sounds(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    return cast(Iterator[AudioFrame], _decoded(container, stream))


def _decoded(container: InputContainer, stream: AudioStream | VideoStream) -> Iterator[VideoFrame]:
    """A packet that is damaged is left out, as players do; `InvalidInput` once `FAULTS` in a row are."""
    faults = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            faults += 1
            if faults > FAULTS:
                raise
            continue
        faults = 0 if frames else faults
        yield from cast(list[VideoFrame], frames)
