"""Real sound files made in no time: the length costs a copy, not an encoding."""

import io
import itertools
import math
import wave
from functools import cache

import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame


def _tone(rate: int, hertz: float, samples: int) -> npt.NDArray[np.float32]:
    wave_form: npt.NDArray[np.float64] = 0.3 * np.sin(2 * np.pi * hertz / rate * np.arange(samples))
    return wave_form.astype(np.float32)


def mp3(rate: int, kilobits: int, pitch: int, seconds: float) -> bytes:
    """A tone of `pitch` cycles per frame. Frames carry nothing over, so a long sound is a short one repeated."""
    size, frames = _frames(rate, kilobits, pitch)
    return b"".join(itertools.islice(itertools.cycle(frames), math.ceil(seconds * rate / size)))


@cache
def _frames(rate: int, kilobits: int, pitch: int) -> tuple[int, list[bytes]]:
    """Samples in a frame, and the encoded frames of about a second."""
    encoder = AudioCodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format = rate, "mono", "fltp"
    encoder.bit_rate = kilobits * 1000
    encoder.options = {"reservoir": "0"}
    encoder.open()
    size = encoder.frame_size
    packets = [
        bytes(packet)
        for number in range(44)
        for packet in encoder.encode(_block(_tone(rate, pitch * rate / size, size), rate, number * size))
    ]
    return size, packets[3:]  # the first frames are the encoder's run-up


def _block(samples: npt.NDArray[np.float32], rate: int, start: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = rate, start
    return frame


def tag(words: str) -> bytes:
    """An ID3 tag of at most 16 kB that makes a file of its own out of equal sound."""
    payload = b"\x00request\x00" + words.encode()
    frame = b"TXXX" + len(payload).to_bytes(4, "big") + b"\x00\x00" + payload
    return b"ID3\x03\x00\x00" + bytes((0, 0, len(frame) >> 7, len(frame) & 0x7F)) + frame


def wav(seconds: float, rate: int = 8_000) -> bytes:
    """A tone of 440 Hz, 16 bits."""
    whole = io.BytesIO()
    with wave.open(whole, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((_tone(rate, 440, int(seconds * rate)) * 32_767).astype("<i2").tobytes())
    return whole.getvalue()
