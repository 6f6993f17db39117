"""Sound files: one loudness for everything that is published, MP3 and WAV, duration. All through PyAV."""

import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.filter import Graph
from av.filter.context import FilterContext

from services.errors import ProviderFailed

Format = Literal["mp3", "wav"]

TARGET = -16.0  # LUFS, integrated: what players and social channels expect of mono speech
SILENT = -70.0  # LUFS: the measure's own floor; at or below it there is nothing to raise
CEILING = 0.84  # amplitude, -1.5 dBFS: keeps MP3 peaks from clipping
RATE = 44_100  # hertz
BIT_RATE = 128_000  # bits per second of an MP3
UNREADABLE = "The audio cannot be read: it is empty or damaged."


@dataclass(frozen=True)
class _Encoding:
    codec: str
    sample_format: str
    content_type: str


_ENCODINGS: dict[Format, _Encoding] = {
    "mp3": _Encoding("libmp3lame", "s16p", "audio/mpeg"),
    "wav": _Encoding("pcm_s16le", "s16", "audio/wav"),
}


@dataclass(frozen=True, kw_only=True)
class Audio:
    """A finished file."""

    data: bytes
    content_type: str
    duration_seconds: float


def finish(samples: npt.NDArray[np.float32], sample_rate: int, fmt: Format) -> Audio:
    """Mono float samples in [-1, 1] → a file of `TARGET` loudness, mono, `RATE` hertz.

    Sound too short (under 0.4 s) or too quiet to measure keeps its level. Raises `ProviderFailed` for none.
    """
    encoding = _ENCODINGS[fmt]
    gain = _gain(_measure(_frames(samples, sample_rate)))
    levelled = _through(_frames(samples, sample_rate), _levelling(gain, encoding.sample_format))
    data = _encode(levelled, fmt)
    if not data:
        raise ProviderFailed("The voice gave no audio.")
    return Audio(
        data=data,
        content_type=encoding.content_type,
        duration_seconds=round(samples.size / sample_rate, 3),
    )


def probe_duration(data: bytes) -> float:
    """Seconds of sound in a file. Raises `ProviderFailed` if it has none."""
    seconds = sum(frame.samples / frame.sample_rate for frame in _decode(data))
    if seconds == 0:
        raise ProviderFailed(UNREADABLE)
    return seconds


def loudness(data: bytes) -> float:
    """Integrated loudness of a file in LUFS, `SILENT` if it cannot be measured. Raises `ProviderFailed`."""
    return _measure(_decode(data))


def _gain(measured: float) -> float:
    return TARGET - measured if measured > SILENT else 0.0


def _levelling(gain: float, sample_format: str) -> list[tuple[str, str]]:
    return [
        ("volume", f"{gain:.2f}dB"),
        ("alimiter", f"limit={CEILING}:level=false:latency=true"),
        ("aresample", str(RATE)),
        ("aformat", f"sample_fmts={sample_format}:channel_layouts=mono"),
    ]


def _measure(frames: Iterable[AudioFrame]) -> float:
    """The last figure is that of the whole; a rest of less than 0.1 s at the end comes without one."""
    measured = SILENT
    for frame in _through(frames, [("ebur128", "metadata=1")]):
        measured = float(frame.metadata.get("lavfi.r128.I", measured))
    return measured if math.isfinite(measured) else SILENT


def _frames(samples: npt.NDArray[np.float32], sample_rate: int) -> Iterator[AudioFrame]:
    """One-second frames."""
    for start in range(0, samples.size, sample_rate):
        part = np.ascontiguousarray(samples[start : start + sample_rate], np.float32)
        frame = AudioFrame.from_ndarray(part.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = sample_rate
        frame.pts = start
        yield frame


def _through(frames: Iterable[AudioFrame], filters: list[tuple[str, str]]) -> Iterator[AudioFrame]:
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


def _encode(frames: Iterable[AudioFrame], fmt: Format) -> bytes:
    file = io.BytesIO()
    encoding = _ENCODINGS[fmt]
    with av.open(file, "w", format=fmt) as container:
        added = container.add_stream(encoding.codec, rate=RATE, layout="mono", format=encoding.sample_format)
        stream = cast(AudioStream, added)
        if fmt == "mp3":
            stream.bit_rate = BIT_RATE
        for frame in frames:
            frame.pts = None
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _decode(data: bytes) -> Iterator[AudioFrame]:
    try:
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.audio:
                raise ProviderFailed(UNREADABLE)
            yield from container.decode(container.streams.audio[0])
    except av.error.FFmpegError as error:
        raise ProviderFailed(UNREADABLE) from error
