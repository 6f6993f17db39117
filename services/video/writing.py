"""Pictures and sound on their way into a new file: copied as they are, or decoded, fitted and encoded anew.

Each way is an iterator of packets in the order of their time, so that a file of any length takes the same memory.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import PictureType, VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from services.errors import InvalidInput
from services.video.files import BROKEN, CLOCK, THREADS, Progress, packets, picture_of, pictures, shown_at
from services.video.reading import Facts, Rotation

Pixels = npt.NDArray[np.uint8]
Packets = Iterator["Packet[Stream]"]

LONGEST_SIDE = 1920  # pixels of what is encoded here: no network shows more
STILL_RATE = 24  # frames a second of a picture that stands still: some networks refuse fewer
RATES = (5, 60)  # frames a second: what is told to the encoder; the frames keep their own times
CRF = "21"  # x264's constant quality: the eye sees no loss
BIT_RATE = 8_000_000  # bits per second, at most
BYTES = 900 * 2**20  # of an encoded picture, at most: networks take 1 GiB
UNDATED = 32  # packets without a time of decoding: more than H.264 ever holds back
SOUND_RATE = 48_000  # hertz
SOUND_BIT_RATE = 160_000  # bits per second of stereo


@dataclass(frozen=True)
class Size:
    """Pixels of an encoded picture as shown; both even, as its colours are stored for four pixels at once."""

    width: int
    height: int


def size_for(width: int, height: int, longest: int = LONGEST_SIDE) -> Size:
    """The same shape, not enlarged, at most `longest` a side."""
    scale = min(1.0, longest / max(width, height))
    return Size(_even(width * scale), _even(height * scale))


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def weave(out: OutputContainer, seconds: float, progress: Progress, *streams: Packets) -> None:
    """Write streams side by side as players read them."""
    for packet in heapq.merge(*streams, key=_written_at):
        progress(min(shown_at(packet) / seconds, 1.0) if seconds > 0 else 0.0)
        out.mux(packet)


def _written_at(packet: "Packet[Stream]") -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))


def copied_picture(container: InputContainer, out: OutputContainer, facts: Facts) -> Packets:
    return copied(container, _picture(container), out, facts.start)


def encoded_picture(
    container: InputContainer, out: OutputContainer, facts: Facts, size: Size, until: float = 0.0
) -> Packets:
    """The picture anew; the last frame stays until that many seconds, if they are more than it has."""
    stream = _picture(container)
    seconds = max(facts.seconds or 0.0, until)
    rate = stream.average_rate if facts.media_type == "video" else None
    frames = held(fitted(container, stream, facts, size), until)
    return encoded(frames, out, size, float(rate or STILL_RATE), seconds)


def _picture(container: InputContainer) -> VideoStream:
    stream = picture_of(container)
    if stream is None:
        raise InvalidInput(BROKEN)
    return stream


def copied(
    container: InputContainer, stream: AudioStream | VideoStream, out: OutputContainer, start: float = 0.0
) -> Packets:
    """A stream as it is, `start` seconds earlier; how it is turned goes along."""
    target = out.add_stream_from_template(stream)
    return _moved(_dated(packets(container, stream)), target, start)


def _dated(found: Packets) -> Packets:
    """With the times of decoding that a Matroska file does not say of its first pictures, one step apart each."""
    waiting: list[Packet[Stream]] = []
    for packet in found:
        if packet.dts is None:
            waiting.append(packet)
            if len(waiting) > UNDATED:
                raise InvalidInput(BROKEN)
            continue
        for back, earlier in enumerate(reversed(waiting), 1):
            earlier.dts = packet.dts - back * max(packet.duration or 0, 1)
        yield from waiting
        yield packet
        waiting = []


def _moved(found: Packets, target: Stream, start: float) -> Packets:
    for packet in found:
        ticks = round(start / packet.time_base) if packet.time_base else 0
        packet.dts = cast(int, packet.dts) - ticks
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.stream = target
        yield packet


def encoded(frames: Iterable[VideoFrame], out: OutputContainer, size: Size, rate: float, seconds: float) -> Packets:
    """Frames of `size` in yuv420p, timed by `CLOCK`, as H.264 of at most `BYTES`."""
    most = min(BIT_RATE, int(BYTES * 8 / max(seconds, 1.0)))
    options = {
        "preset": "veryfast", "crf": CRF, "maxrate": str(most), "bufsize": str(2 * most), "threads": str(THREADS),
    }  # fmt: skip
    stream = out.add_stream("libx264", rate=_rate(rate), options=options)
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
    stream.codec_context.time_base = CLOCK
    return _encoded(frames, stream)


def _rate(rate: float) -> Fraction:
    return Fraction(min(max(rate, RATES[0]), RATES[1])).limit_denominator(1001)


def _encoded(frames: Iterable[VideoFrame], stream: VideoStream) -> Packets:
    for frame in frames:
        yield from stream.encode(frame)
    yield from stream.encode(None)


def fitted(container: InputContainer, stream: VideoStream, facts: Facts, size: Size) -> Iterator[VideoFrame]:
    """The pictures as shown: turned, on white where they are transparent, at `size`, the first at 0 seconds."""
    reformatter, last = VideoReformatter(), -1
    flat = stored(size, facts.rotation)
    for frame in pictures(container, stream):
        at = round(((frame.time or 0.0) - facts.start) / CLOCK)
        if at <= last:  # a film whose clock stands still or runs backwards
            continue
        last = at
        plain = on_white(frame, flat) if has_alpha(frame) else frame
        yield _timed(_upright(reformatter.reformat(plain, flat.width, flat.height, "yuv420p"), facts.rotation), at)


def held(frames: Iterable[VideoFrame], seconds: float) -> Iterator[VideoFrame]:
    """`frames`, the last one shown until `seconds`."""
    frame = None
    for frame in frames:
        yield frame
    if frame is None:
        return
    step = round(1 / STILL_RATE / CLOCK)
    for at in range(cast(int, frame.pts) + step, round(seconds / CLOCK), step):
        yield _timed(frame, at)


def _timed(frame: VideoFrame, at: int) -> VideoFrame:
    """Shown at so many ticks of `CLOCK`; the encoder chooses its type anew."""
    frame.pts, frame.time_base = at, CLOCK
    frame.pict_type = PictureType.NONE
    return frame


def stored(size: Size, rotation: Rotation) -> Size:
    """How a picture of this size lies in its file before it is turned."""
    return Size(size.height, size.width) if rotation in (90, 270) else size


def turned(pixels: Pixels, rotation: Rotation) -> Pixels:
    """Rows and columns turned clockwise."""
    return np.rot90(pixels, -(rotation // 90))


def _upright(frame: VideoFrame, rotation: Rotation) -> VideoFrame:
    """A picture in yuv420p turned, each of its three planes by itself."""
    if rotation == 0:
        return frame
    planes = [turned(_pixels(plane), rotation) for plane in frame.planes]
    height, width = planes[0].shape
    made = VideoFrame(width, height, "yuv420p")
    for plane, pixels in zip(made.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = pixels
        plane.update(padded.tobytes())
    return made


def _pixels(plane: VideoPlane) -> Pixels:
    lines: Pixels = np.frombuffer(bytes(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]


def has_alpha(frame: VideoFrame) -> bool:
    return frame.format.has_palette or any(part.is_alpha for part in frame.format.components)


def on_white(frame: VideoFrame, size: Size) -> VideoFrame:
    """At `size`, with what is transparent in white."""
    pixels = frame.reformat(size.width, size.height, "rgba").to_ndarray()
    alpha = pixels[:, :, 3:].astype(np.uint16)
    mixed = (pixels[:, :, :3] * alpha + 255 * (255 - alpha)) // 255
    return VideoFrame.from_ndarray(mixed.astype(np.uint8), format="rgb24")


def sounding(frames: Iterable[AudioFrame], out: OutputContainer, codec: Literal["aac", "libmp3lame"]) -> Packets:
    """Stereo frames at `SOUND_RATE`, encoded."""
    stream = out.add_stream(codec, rate=SOUND_RATE, layout="stereo", format="fltp")
    stream.bit_rate = SOUND_BIT_RATE
    return _sounding(frames, stream)


def _sounding(frames: Iterable[AudioFrame], stream: AudioStream) -> Packets:
    for frame in frames:
        yield from stream.encode(frame)
    yield from stream.encode(None)
