"""A clip's sound and speech, mixed to one loudness: stereo at one rate, a second at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.container import InputContainer

from services import audio
from services.video.files import Progress, opened, sound_of, sounds
from services.video.reading import Facts
from services.video.writing import SOUND_RATE

Mode = Literal["replace", "mix"]
Samples = npt.NDArray[np.float32]  # two rows, left and right

UNDER = 14.0  # LU by which the clip's own sound stays below speech
RISE = 0.5  # seconds in which it comes back after the speech
MOST_RAISED = 12.0  # dB: more would raise the hiss of a quiet room


def even(container: InputContainer, facts: Facts) -> Iterator[AudioFrame]:
    """A file's sound, stereo at `SOUND_RATE`; silence where it begins late or has gaps, so that it stays in time."""
    stream = sound_of(container)
    if stream is None:
        return iter(())
    filters = [
        ("aresample", f"{SOUND_RATE}:async=1:first_pts=0"),
        ("aformat", f"sample_fmts=fltp:sample_rates={SOUND_RATE}:channel_layouts=stereo"),
    ]
    return audio.through(_earlier(sounds(container, stream), facts.start), filters)


def _earlier(frames: Iterable[AudioFrame], start: float) -> Iterator[AudioFrame]:
    for frame in frames:
        if frame.pts is not None and frame.time_base:
            frame.pts -= round(start / frame.time_base)
        yield frame


@dataclass(frozen=True)
class Mix:
    """Speech over a clip's sound, or instead of it, `seconds` long. The speech begins with the clip."""

    clip: Path
    facts: Facts
    speech: Path
    spoken: Facts
    mode: Mode
    seconds: float

    @property
    def keeps_own(self) -> bool:
        return self.mode == "mix" and self.facts.has_sound

    def levelled(self, progress: Progress) -> Iterator[AudioFrame]:
        """The whole at `audio.TARGET`, peaks held below `audio.CEILING`.

        It is decoded three times: to measure the parts, the whole, and what its limiter took. `progress` is told of
        these; then the frames come.
        """
        own, speech = self._gains(lambda share: progress(0.4 * share))
        whole = _heard(self._frames(own, speech), self.seconds, lambda share: progress(0.4 + 0.3 * share))
        gain = _missing(audio.measure(whole))
        whole = _heard(self._frames(own, speech), self.seconds, lambda share: progress(0.7 + 0.3 * share))
        gain += _missing(audio.measure(_limited(whole, gain)))
        return _limited(self._frames(own, speech), gain)

    def _gains(self, progress: Progress) -> tuple[float, float]:
        """Factors that bring the clip's own sound and the speech to `audio.TARGET`."""
        speech = _factor(_missing(_loudness(self.speech, self.spoken, lambda share: progress(share / 2))))
        if not self.keeps_own:
            return 0.0, speech
        own = _loudness(self.clip, self.facts, lambda share: progress((1 + share) / 2))
        return _factor(min(_missing(own), MOST_RAISED)), speech

    def _frames(self, own_gain: float, speech_gain: float) -> Iterator[AudioFrame]:
        with opened(self.speech, self.spoken.kind) as spoken:
            speech = _Track(even(spoken, self.spoken), speech_gain)
            if not self.keeps_own:
                yield from _framed(_summed(speech, None, self._samples, 0))
                return
            with opened(self.clip, self.facts.kind) as clip:
                own = _Track(even(clip, self.facts), own_gain)
                yield from _framed(_summed(speech, own, self._samples, self._spoken_samples))

    @property
    def _samples(self) -> int:
        return round(self.seconds * SOUND_RATE)

    @property
    def _spoken_samples(self) -> int:
        return round((self.spoken.seconds or 0) * SOUND_RATE)


class _Track:
    """Sound of unknown length, taken in blocks of any size; silence after its end."""

    def __init__(self, frames: Iterator[AudioFrame], gain: float) -> None:
        self._frames = frames
        self._gain = np.float32(gain)
        self._rest: Samples = np.zeros((2, 0), np.float32)

    def take(self, count: int) -> Samples:
        parts, there = [self._rest], self._rest.shape[1]
        while there < count and (frame := next(self._frames, None)) is not None:
            parts.append(frame.to_ndarray().astype(np.float32) * self._gain)
            there += frame.samples
        parts.append(np.zeros((2, max(count - there, 0)), np.float32))
        together = np.concatenate(parts, axis=1)
        self._rest = together[:, count:]
        return together[:, :count]


def _summed(speech: _Track, own: _Track | None, samples: int, spoken: int) -> Iterator[Samples]:
    """Seconds of both; the own sound is low for the first `spoken` samples."""
    for start in range(0, samples, SOUND_RATE):
        count = min(SOUND_RATE, samples - start)
        block = speech.take(count)
        yield block if own is None else block + own.take(count) * _lowered(start, count, spoken)


def _lowered(start: int, count: int, spoken: int) -> Samples:
    """Factors for the own sound: `UNDER` below while the speech lasts, then rising in `RISE`."""
    since = (np.arange(start, start + count) - spoken) / (RISE * SOUND_RATE)
    return (10 ** (-UNDER * (1 - np.clip(since, 0.0, 1.0)) / 20)).astype(np.float32)


def _framed(blocks: Iterable[Samples]) -> Iterator[AudioFrame]:
    at = 0
    for block in blocks:
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
        at += frame.samples
        yield frame


def _limited(frames: Iterable[AudioFrame], gain: float) -> Iterator[AudioFrame]:
    """Raised by `gain` decibels, peaks held."""
    filters = [
        ("volume", f"{gain:.2f}dB"),
        ("alimiter", f"limit={audio.CEILING}:level=false:latency=true"),
        ("aformat", f"sample_fmts=fltp:sample_rates={SOUND_RATE}:channel_layouts=stereo"),
    ]
    return audio.through(frames, filters)


def _loudness(file: Path, facts: Facts, progress: Progress) -> float:
    with opened(file, facts.kind) as container:
        return audio.measure(_heard(even(container, facts), facts.seconds or 0.0, progress))


def _heard(frames: Iterable[AudioFrame], seconds: float, progress: Progress) -> Iterator[AudioFrame]:
    """`frames`; `progress` is told the share of `seconds` that has passed, and may end the work."""
    for frame in frames:
        progress(min((frame.time or 0.0) / seconds, 1.0) if seconds > 0 else 1.0)
        yield frame


def _missing(loudness: float) -> float:
    """Decibels up to `audio.TARGET`; none for silence."""
    return audio.TARGET - loudness if loudness > audio.SILENT else 0.0


def _factor(decibels: float) -> float:
    return float(10 ** (decibels / 20))
