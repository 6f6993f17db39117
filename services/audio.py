"""Sound files: one loudness for everything that is published, MP3 and WAV, duration. All through PyAV."""

import io
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext

from services.errors import ProviderFailed

Format = Literal["mp3", "wav"]
Samples = npt.NDArray[np.float32]
Span = tuple[float, float]  # seconds from a file's start

TARGET = -16.0  # LUFS, integrated: what players and social channels expect of mono speech
SILENT = -70.0  # LUFS: the measure's own floor; at or below it there is nothing to raise
TOLERANCE = 0.3  # LU: no listener hears it
CEILING = 0.84  # amplitude, -1.5 dBFS: keeps MP3 peaks from clipping
NOISE = 0.001  # amplitude, -60 dBFS: a recording that never rises above it has no speech
SILENCE = 0.01  # amplitude, -40 dBFS: below it levelled speech counts as its silence
MARGIN = 0.02  # seconds of that silence kept beside a seam, for the soft ends of words
FADE = 0.008  # seconds at a seam
PAUSE = 0.35  # seconds between two parts, margins included
RATE = 44_100  # hertz
BIT_RATE = 128_000  # bits per second of an MP3
UNREADABLE = "The audio cannot be read: it is empty or damaged."


@dataclass(frozen=True)
class _Encoding:
    codec: str
    sample_format: str
    scale: float  # by which the encoder turns the sound down, so that it is turned up as much before


_ENCODINGS: dict[Format, _Encoding] = {
    "mp3": _Encoding("libmp3lame", "s16p", 0.95),
    "wav": _Encoding("pcm_s16le", "s16", 1.0),
}


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono samples in about [-1, 1] at `sample_rate` hertz."""

    samples: Samples
    sample_rate: int


def join(parts: Iterable[bytes], fmt: Format, out: BinaryIO, spans: list[Span] | None = None) -> float:
    """Sound files of any kind → one file of `TARGET` loudness, mono, `RATE` hertz, in `out`; returns its seconds.

    `spans`, if given, gets where in the file each part is heard; one that is all silence between others has no length.

    Every part is brought to that loudness by itself; one too quiet to be speech keeps its level. At each seam the
    silence becomes a pause of `PAUSE`. Two parts at a time are in memory. `out` must be seekable. Raises
    `ProviderFailed` for a damaged part or where there is no sound at all; what `out` holds then is of no use.
    """
    levelled = (_levelled(decode(part)) for part in parts)
    seconds = round(_encode(_joined(levelled, [] if spans is None else spans), fmt, out) / RATE, 3)
    if seconds == 0:
        raise ProviderFailed("The voice gave no audio.")
    return seconds


def decode(data: bytes) -> Sound:
    """The first sound of a file, its channels averaged. Raises `ProviderFailed`."""
    blocks, rate = [], 0
    with _readable():
        for frame in through(_decode(data), [("aformat", "sample_fmts=fltp")]):
            blocks.append(frame.to_ndarray().mean(axis=0))
            rate = frame.sample_rate
    if not blocks:
        raise ProviderFailed(UNREADABLE)
    return Sound(np.nan_to_num(np.concatenate(blocks), posinf=1.0, neginf=-1.0), rate)


def is_silent(sound: Sound) -> bool:
    """Whether nothing in it is louder than the noise of a silent line."""
    return not bool(np.any(np.abs(sound.samples) > NOISE))


def probe_duration(data: bytes) -> float:
    """Seconds of sound in a file. Raises `ProviderFailed` if it has none."""
    seconds = sum(frame.samples / frame.sample_rate for frame in _decode(data))
    if seconds == 0:
        raise ProviderFailed(UNREADABLE)
    return seconds


def loudness(data: bytes) -> float:
    """Integrated loudness of a file in LUFS, `SILENT` if it cannot be measured. Raises `ProviderFailed`."""
    return measure(_decode(data))


def _joined(parts: Iterable[Samples], spans: list[Span]) -> Iterator[Samples]:
    """The parts with pauses between those that have sound; the ends of the whole stay as they are."""
    begun, at = False, 0
    pause = np.zeros(int((PAUSE - 2 * MARGIN) * RATE), np.float32)
    for part, last in _marked_last(parts):
        trimmed = _trim(part, start=begun, end=not last)
        if begun and trimmed.size:
            yield pause
            at += pause.size
        yield trimmed
        spans.append((round(at / RATE, 3), round((at + trimmed.size) / RATE, 3)))
        at += trimmed.size
        begun = begun or trimmed.size > 0


def _marked_last(parts: Iterable[Samples]) -> Iterator[tuple[Samples, bool]]:
    """Each part with whether it is the last one."""
    rest = iter(parts)
    held = next(rest, None)
    for part in rest:
        if held is not None:
            yield held, False
        held = part
    if held is not None:
        yield held, True


def _trim(samples: Samples, *, start: bool, end: bool) -> Samples:
    """Levelled samples without the silence at an end that is a seam, faded there; none if all is silence."""
    if not start and not end:
        return samples
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if loud.size == 0:
        return samples[:0]
    margin = int(MARGIN * RATE)
    first = max(int(loud[0]) - margin, 0) if start else 0
    trimmed = samples[first : int(loud[-1]) + margin if end else None].copy()
    ramp = np.linspace(0.0, 1.0, min(int(FADE * RATE), trimmed.size), dtype=np.float32)
    if start:
        trimmed[: ramp.size] *= ramp
    if end:
        trimmed[trimmed.size - ramp.size :] *= ramp[::-1]
    return trimmed


def _levelled(sound: Sound) -> Samples:
    """At `TARGET` loudness and `RATE`. What the limiter takes from a peaky voice is given back once."""
    if is_silent(sound):
        return _limited(sound, 0.0)
    gain = TARGET - _level(sound)
    levelled = _limited(sound, gain)
    missing = TARGET - _level(Sound(levelled, RATE))
    return _limited(sound, gain + missing) if missing > TOLERANCE else levelled


def _limited(sound: Sound, gain: float) -> Samples:
    """`sound` raised by `gain` decibels, peaks held below `CEILING`, at `RATE`."""
    filters = [
        ("volume", f"{gain:.2f}dB"),
        ("alimiter", f"limit={CEILING}:level=false:latency=true"),
        ("aresample", str(RATE)),
        ("aformat", "sample_fmts=flt:channel_layouts=mono"),
    ]
    blocks = [frame.to_ndarray()[0] for frame in through(_frames(sound), filters)]
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _level(sound: Sound) -> float:
    """Loudness in LUFS; for what is too short to have one (under 0.4 s), its power on the same scale."""
    measured = measure(_frames(sound))
    if measured > SILENT:
        return measured
    power = float(np.mean(np.square(sound.samples, dtype=np.float64)))
    return 10 * math.log10(power) - 0.691


def measure(frames: Iterable[AudioFrame]) -> float:
    """Integrated loudness in LUFS, `SILENT` if it cannot be measured.

    The last figure is that of the whole; a rest of less than 0.1 s at the end comes without one.
    """
    measured = SILENT
    for frame in through(frames, [("ebur128", "metadata=1")]):
        measured = float(frame.metadata.get("lavfi.r128.I", measured))
    return measured if math.isfinite(measured) else SILENT


def _frames(sound: Sound) -> Iterator[AudioFrame]:
    """One-second frames."""
    for start in range(0, sound.samples.size, sound.sample_rate):
        part = np.ascontiguousarray(sound.samples[start : start + sound.sample_rate], np.float32)
        frame = AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = sound.sample_rate
        frame.pts = start
        yield frame


def through(frames: Iterable[AudioFrame], filters: list[tuple[str, str]]) -> Iterator[AudioFrame]:
    """`frames` as they come out of a chain of FFmpeg filters."""
    graph = None
    for frame in frames:
        graph = graph or _graph(frame, filters)
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _graph(frame: AudioFrame, filters: list[tuple[str, str]]) -> Graph:
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate,
        format=frame.format.name,
        layout=frame.layout.name,
        time_base=frame.time_base,
    )
    chain: list[FilterContext] = [source, *(graph.add(name, options) for name, options in filters)]
    graph.link_nodes(*chain, graph.add("abuffersink")).configure()
    return graph


def _ready(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            yield cast(AudioFrame, graph.pull())  # a graph of sound yields sound
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _encode(blocks: Iterable[Samples], fmt: Format, out: BinaryIO) -> int:
    """Write samples at `RATE` as a file; returns how many they were."""
    written = 0
    encoding = _ENCODINGS[fmt]
    with av.open(out, "w", format=fmt) as container:
        stream = _stream(container, encoding)
        for frame in _whole_numbers(blocks, encoding):
            written += frame.samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written


def _stream(container: OutputContainer, encoding: _Encoding) -> AudioStream:
    """Compression 7 of 9 takes 50 s for 45 minutes of MP3, the encoder's own choice 80 s; nobody hears which."""
    is_mp3 = encoding.codec == "libmp3lame"
    options = {"compression_level": "7"} if is_mp3 else {}
    added = container.add_stream(
        encoding.codec, rate=RATE, options=options, layout="mono", format=encoding.sample_format
    )
    stream = cast(AudioStream, added)
    if is_mp3:
        stream.bit_rate = BIT_RATE
    return stream


def _whole_numbers(blocks: Iterable[Samples], encoding: _Encoding) -> Iterator[AudioFrame]:
    """16-bit frames of at most a second."""
    for block in blocks:
        for start in range(0, block.size, RATE):
            part = np.clip(block[start : start + RATE] / encoding.scale, -1.0, 1.0)
            whole = np.rint(part * 32_767).astype(np.int16).reshape(1, -1)
            frame = AudioFrame.from_ndarray(whole, format=encoding.sample_format, layout="mono")
            frame.sample_rate = RATE
            yield frame


def _decode(data: bytes) -> Iterator[AudioFrame]:
    with _readable(), av.open(io.BytesIO(data), "r") as container:
        if not container.streams.audio:
            raise ProviderFailed(UNREADABLE)
        yield from container.decode(container.streams.audio[0])


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as error:
        raise ProviderFailed(UNREADABLE) from error
