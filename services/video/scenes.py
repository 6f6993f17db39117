"""A few frames that show what is in a film: the first of its scenes, spread over the whole of it.

A film of any length takes the same time and memory: at most `LOOKS` instants are looked at, where it can be by its key
frames alone. What an instant looks like beside the one before it tells whether a new scene began.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from services.errors import InvalidInput
from services.video.files import BROKEN, Progress, opened, picture_of, pictures
from services.video.reading import Facts
from services.video.stills import jpeg, shows_something

LONGEST_SIDE = 768  # pixels: what a model sees of a frame; more is paid for and not read
QUANTIZER = 6  # of the JPEGs, 2 (best) to 31: noise of that size has 0.4 MB
LOOKS = 96  # instants of a film that are looked at
PATIENCE = 20.0  # seconds for decoding a film with hardly any key frames, and again for looking at key frames
CUT = 14.0  # mean difference of brightness and colour (0 to 255) from which on another scene has begun
GRID = 32  # pixels a side of what is compared

Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """A frame at `seconds` of a film as an upright JPEG. `change`: by how much it differs from the scene before it.

    `tells`: whether it is more than blackness or one colour.
    """

    seconds: float
    change: float
    tells: bool
    jpeg: bytes


def scenes(file: Path, facts: Facts, most: int, progress: Progress = lambda _: None) -> list[Scene]:
    """One frame of each scene, in their order, at most `most`; at least one. A picture is one scene.

    Raises `InvalidInput` for sound, and for what cannot be read.
    """
    if facts.media_type == "audio":
        raise InvalidInput("This clip is sound only: there is nothing to see in it. Choose one with a picture.")
    with opened(file, facts.kind) as container:
        stream = picture_of(container)
        if stream is None:
            raise InvalidInput(BROKEN)
        found = list(_changes(_Film(container, stream, facts), most, progress))
    if not found:
        raise InvalidInput("There are no frames in this film that can be shown. Export it again and upload that.")
    return _spread([scene for scene in found if scene.tells] or found[:1], most)


def _changes(film: "_Film", most: int, progress: Progress) -> Iterator[Scene]:
    """The looks at which something new is seen."""
    before: Pixels | None = None
    for at, frame in film.looks(most):
        seconds = max(at - film.facts.start, 0.0)
        progress(min(seconds / film.facts.seconds, 1.0) if film.facts.seconds else 0.0)
        seen = frame.reformat(GRID, GRID, "rgb24").to_ndarray().astype(np.float32)
        change = 255.0 if before is None else float(np.abs(seen - before).mean())
        if change >= CUT:
            before = seen
            picture = jpeg(frame, film.facts, LONGEST_SIDE, QUANTIZER)
            yield Scene(round(seconds, 3), change, shows_something(frame), picture)


def _spread(found: Sequence[Scene], most: int) -> list[Scene]:
    """At most `most`: of as many runs of neighbours, each one's strongest."""
    runs = np.array_split(np.arange(len(found)), min(most, len(found)))
    return [max((found[n] for n in run), key=lambda scene: scene.change) for run in runs]


Look = tuple[float, VideoFrame]  # when it is shown, in seconds of the file's clock


@dataclass
class _Film:
    container: InputContainer
    stream: VideoStream
    facts: Facts
    step: float = field(init=False)  # seconds between two looks

    def __post_init__(self) -> None:
        self.step = (self.facts.seconds or 0.0) / LOOKS

    def looks(self, most: int) -> Iterator[Look]:
        """Frames in the order of their time: the key frames alone where they are enough, else all, as patience lasts.

        What patience does not reach is looked at by its key frames.
        """
        keys, last = self._keys(), -1.0
        if len(keys) < most:
            for look in self._through():
                last = look[0]
                yield look
        patient = _patience()
        for key in takewhile(patient, keys):
            if key > last and (found := self._at(key)):
                yield key, found

    def _keys(self) -> list[float]:
        """When the key frames before each of `LOOKS` instants are shown. Nothing is decoded."""
        if self.facts.media_type == "image":
            return []
        patient = _patience()
        instants = takewhile(patient, (self.facts.start + number * self.step for number in range(LOOKS)))
        return sorted({at for at in map(self._key, instants) if at is not None})

    def _key(self, at: float) -> float | None:
        self._seek(at)
        for packet in self.container.demux(self.stream):
            if packet.is_keyframe and packet.pts is not None:
                return float(packet.pts * (packet.time_base or 0))
        return None

    def _at(self, at: float) -> VideoFrame | None:
        """The key frame at that time, decoded alone; None where it is damaged."""
        self._seek(at)
        for packet in self.container.demux(self.stream):
            if packet.is_keyframe:
                return self._alone(packet)
        return None

    def _alone(self, packet: "Packet[VideoStream]") -> VideoFrame | None:
        decoder = self.stream.codec_context
        try:
            return next(iter([*decoder.decode(packet), *decoder.decode(None)]), None)
        except av.error.InvalidDataError:
            return None

    def _through(self) -> Iterator[Look]:
        """All frames are decoded, as long as patience lasts; one is looked at each `step`."""
        if self.facts.media_type == "video":
            self._seek(self.facts.start)
        patient, due = _patience(), -1.0
        for frame in takewhile(patient, pictures(self.container, self.stream)):
            at = frame.time or 0.0
            if at >= due:
                yield at, frame
                due = at + self.step

    def _seek(self, at: float) -> None:
        """To the key frame at or before that time, given in microseconds for a file as a whole; rounded up."""
        self.container.seek(int(at * 1_000_000) + 1)


def _patience() -> Callable[[object], bool]:
    """True until `PATIENCE` has passed since now."""
    until = time.monotonic() + PATIENCE
    return lambda _: time.monotonic() < until
