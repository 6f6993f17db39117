"""Samples as a WAV file."""

import io
import wave

import numpy as np
import numpy.typing as npt


def encode(samples: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """Mono float samples in [-1, 1] at `sample_rate` hertz → a 16-bit mono WAV file of that rate."""
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(sample_rate)
        target.writeframes((np.clip(samples, -1.0, 1.0) * 32_767).astype("<i2").tobytes())
    return file.getvalue()
