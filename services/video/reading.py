"""What is known of a clip's file: size, length, codecs; and whether it can be read at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from services.errors import InvalidInput
from services.video import kinds
from services.video.files import BROKEN, Progress, opened, packets, picture_of, pictures, shown_at, sound_of, sounds
from services.video.kinds import HEAD, Kind, MediaType

LARGEST = 8192  # pixels a side; a decoded picture of that size takes 256 MB
LONGEST = 36_000.0  # seconds, ten hours
MISSING = 0.05  # of the length that a file announces: if more is missing at its end, it was cut off
LEAST_MISSING = 0.5  # seconds
TOLD_EVERY = 200  # packets between two words of progress

Rotation = Literal[0, 90, 180, 270]


@dataclass(frozen=True)
class Facts:
    """Of one file. Pixels are as shown, turned; `seconds` is None for a still picture."""

    kind: Kind
    bytes: int
    seconds: float | None = None
    start: float = 0.0  # seconds on the file's own clock at which its first picture or sound comes
    width: int | None = None
    height: int | None = None
    rotation: Rotation = 0  # degrees clockwise by which the stored picture is turned when shown
    has_sound: bool = False
    video_codec: str | None = None
    audio_codec: str | None = None
    pixel_format: str | None = None
    frames: int | None = None

    @property
    def media_type(self) -> MediaType:
        return self.kind.media_type

    @property
    def mime(self) -> str:
        return self.kind.mime


def facts(file: Path, progress: Progress = lambda _: None) -> Facts:
    """Reads the file once to its end, a packet at a time. Raises `InvalidInput` for what cannot be published."""
    size = file.stat().st_size
    with file.open("rb") as start:
        head = start.read(HEAD)
    kind = kinds.sniff(head)
    if kind.media_type == "image":
        return _of_picture(file, kind, size, head)
    if kind == kinds.WAV and _missing_of_riff(head, size) > MISSING * size:
        raise InvalidInput("This recording was cut off: its end is missing. Upload it again.")
    return _of_stream(file, kind, size, progress)


def _of_picture(file: Path, kind: Kind, size: int, head: bytes) -> Facts:
    """The header is asked first: a small file may unpack to more than memory holds."""
    _check_size(*(kinds.image_size(head) or _size_after_notes(file)))
    if not _has_end(file, kind, size, head):
        raise InvalidInput("This picture was cut off: its end is missing. Upload it again.")
    with opened(file, kind) as container:
        stream = _picture(container)
        frame = _first_picture(container, stream)
        seconds = (container.duration or 0) / 1_000_000  # of a picture that moves
        rest = sum(1 for _ in packets(container, stream)) if kind == kinds.GIF else 0
        return _with_picture(Facts(kind, size, seconds if rest else None, frames=1 + rest), stream, frame)


def _has_end(file: Path, kind: Kind, size: int, head: bytes) -> bool:
    """Decoders show what there is of a picture. A GIF without its last byte is whole."""
    if kind == kinds.WEBP:
        return _missing_of_riff(head, size) <= 1
    with file.open("rb") as whole:
        whole.seek(max(size - 16 * HEAD, 0))
        tail = whole.read()
    if kind == kinds.JPEG:
        return tail.rfind(b"\xff\xd9") > tail.rfind(b"\xff\xda")  # the end of the last picture behind its start
    return kind != kinds.PNG or b"IEND" in tail


def _missing_of_riff(head: bytes, size: int) -> int:
    """Bytes that a WAV or WebP announces and does not have; recorders that cannot go back announce none, or all."""
    announced = int.from_bytes(head[4:8], "little")
    return 0 if announced in (0, 0xFFFFFFFF) else announced + 8 - size


def _size_after_notes(file: Path) -> tuple[int, int]:
    """A JPEG may carry a megabyte of a camera's notes before it tells its size."""
    with file.open("rb") as start:
        size = kinds.image_size(start.read(16 * HEAD))
    if size is None:
        raise InvalidInput(BROKEN)
    return size


def _of_stream(file: Path, kind: Kind, size: int, progress: Progress) -> Facts:
    with opened(file, kind) as container:
        picture, sound = picture_of(container), sound_of(container)
        kind = _settled(kind, picture, sound)
        known = Facts(kind, size, has_sound=sound is not None, audio_codec=sound.name if sound else None)
        if picture is not None and kind.media_type == "video":
            _check_size(picture.codec_context.width, picture.codec_context.height)
            known = _with_picture(known, picture, _first_picture(container, picture))
            container.seek(0)
        if sound is not None:
            _first_sound(container, sound)
            container.seek(0)
    return _with_time(file, known, progress)


def _settled(kind: Kind, picture: VideoStream | None, sound: AudioStream | None) -> Kind:
    """A film without a picture is sound; without either it is nothing."""
    if kind.media_type == "video" and picture is not None:
        return kind
    if sound is None:
        raise InvalidInput("There is neither a picture nor sound in this file. Export it again and upload that.")
    return kinds.M4A if kind in (kinds.MP4, kinds.MOV) else _sound_only(kind)


def _sound_only(kind: Kind) -> Kind:
    if kind.media_type == "video":
        raise InvalidInput(f"This {kind.ending.upper()} file has sound but no picture. Upload it as MP3, M4A or WAV.")
    return kind


def _with_picture(known: Facts, stream: VideoStream, frame: VideoFrame) -> Facts:
    _check_size(frame.width, frame.height)
    rotation = cast(Rotation, -round(frame.rotation / 90) * 90 % 360)
    turned = rotation in (90, 270)
    return replace(
        known,
        width=frame.height if turned else frame.width,
        height=frame.width if turned else frame.height,
        rotation=rotation,
        video_codec=stream.name,
        pixel_format=frame.format.name,
    )


def _with_time(file: Path, known: Facts, progress: Progress) -> Facts:
    """Length and number of frames by the packets themselves: headers may say neither, or lie."""
    with opened(file, known.kind) as container:
        sound = sound_of(container)
        picture = picture_of(container) if known.media_type == "video" else None
        spans = _spans(container, [stream for stream in (picture, sound) if stream is not None], progress)
        _check_whole(container, known.kind, spans)
        start = max(min(span.start for span in spans.values()), 0.0)
        seconds = max(span.end for span in spans.values()) - start
        if seconds <= 0:
            raise InvalidInput("This file has no length: there is nothing to play. Export it again and upload that.")
        frames = spans[picture.index].count if picture is not None else None
        return replace(known, seconds=round(seconds, 3), start=start, frames=frames)


@dataclass
class _Span:
    """What a stream's packets cover, in seconds."""

    start: float = float("inf")
    end: float = 0.0
    count: int = 0

    def add(self, packet: "Packet[Stream]") -> None:
        at = shown_at(packet)
        self.start = min(self.start, at)
        self.end = max(self.end, at + float((packet.duration or 0) * (packet.time_base or 0)))
        self.count += 1


def _spans(
    container: InputContainer, streams: Sequence[AudioStream | VideoStream], progress: Progress
) -> dict[int, _Span]:
    """By the stream's number. Raises `InvalidInput` where one holds nothing, or far too much."""
    spans = {stream.index: _Span() for stream in streams}
    for number, packet in enumerate(packets(container, *streams)):
        span = spans[packet.stream.index]
        span.add(packet)
        if span.end > LONGEST + max(span.start, 0):
            raise InvalidInput(f"This file is longer than {LONGEST / 3600:.0f} hours. Cut it into shorter ones.")
        if number % TOLD_EVERY == 0:
            progress(_share(container, span.end))
    if any(span.count == 0 for span in spans.values()):
        raise InvalidInput(BROKEN)
    return spans


def _share(container: InputContainer, at: float) -> float:
    announced = (container.duration or 0) / 1_000_000
    return min(at / announced, 1.0) if announced > 0 else 0.0


def _check_whole(container: InputContainer, kind: Kind, spans: dict[int, _Span]) -> None:
    """An MP3's announced length is often a guess, and a cut one plays as well."""
    if kind == kinds.MP3:
        return
    for index, span in spans.items():
        stream = container.streams[index]
        announced = _announced(container, stream)
        missing = announced - (span.end - max(span.start, 0.0))
        if missing > max(MISSING * announced, LEAST_MISSING):
            raise InvalidInput(
                f"This file was cut off: {span.end:.0f} of its {announced:.0f} seconds are there. Upload it again."
            )


def _announced(container: InputContainer, stream: Stream) -> float:
    """Seconds; a Matroska file says them for the whole only."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    whole = (container.duration or 0) / 1_000_000
    return whole if len(container.streams) == 1 else 0.0


def _picture(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise InvalidInput(BROKEN)
    return container.streams.video[0]


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame:
    frame = next(pictures(container, stream), None)
    if frame is None:
        raise InvalidInput("There is no picture in this file that can be shown. Export it again and upload that.")
    return frame


def _first_sound(container: InputContainer, stream: AudioStream) -> None:
    if next(sounds(container, stream), None) is None:
        raise InvalidInput("The sound of this file cannot be played. Export it again and upload that.")


def _check_size(width: int, height: int) -> None:
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise InvalidInput(
            f"Its picture has {width:,} × {height:,} pixels; at most {LARGEST:,} a side can be published."
        )
