"""Loudness, encoding and duration, on sounds made here."""

import io

import av
import numpy as np
import pytest

from services import audio
from services.errors import ProviderFailed

SECOND = 24_000


def tone(seconds, amplitude=0.1):
    """A voice-like 200 Hz tone that swells and fades three times a second; 24 kHz."""
    time = np.arange(int(seconds * SECOND)) / SECOND
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return (amplitude * swell * np.sin(2 * np.pi * 200 * time)).astype(np.float32)


def peak(data):
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="flt")
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return max(float(np.abs(part.to_ndarray()).max()) for part in parts)


@pytest.fixture(params=["mp3", "wav"])
def fmt(request):
    return request.param


@pytest.mark.parametrize("seconds", [0.731, 3.5, 3.537])
@pytest.mark.parametrize("amplitude", [0.003, 0.05, 1.0])
def test_every_level_becomes_the_same_loudness(fmt, amplitude, seconds):
    finished = audio.finish(tone(seconds, amplitude), SECOND, fmt)
    assert audio.loudness(finished.data) == pytest.approx(audio.TARGET, abs=1.0)


def test_peaks_stay_below_full_scale(fmt):
    spiky = tone(3.0, 0.02)
    spiky[:: SECOND // 4] = 1.0
    assert peak(audio.finish(spiky, SECOND, fmt).data) < 0.95


@pytest.mark.parametrize(
    ("fmt", "codec", "content_type"), [("mp3", "mp3float", "audio/mpeg"), ("wav", "pcm_s16le", "audio/wav")]
)
def test_the_file_is_what_it_says(fmt, codec, content_type):
    finished = audio.finish(tone(2.0), SECOND, fmt)
    assert finished.content_type == content_type
    with av.open(io.BytesIO(finished.data)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == (codec, 44_100, 1)
        if fmt == "mp3":
            assert stream.bit_rate == 128_000


@pytest.mark.parametrize("seconds", [0.5, 2.0, 61.3])
def test_duration_is_that_of_the_samples_and_of_the_file(fmt, seconds):
    finished = audio.finish(tone(seconds), SECOND, fmt)
    assert finished.duration_seconds == pytest.approx(seconds, abs=0.001)
    assert audio.probe_duration(finished.data) == pytest.approx(seconds, abs=0.06)


def test_the_same_samples_give_the_same_file(fmt):
    assert audio.finish(tone(1.0), SECOND, fmt) == audio.finish(tone(1.0), SECOND, fmt)


@pytest.mark.parametrize("samples", [240, 2_400, 7_200])
def test_sound_too_short_to_measure_keeps_its_level(fmt, samples):
    finished = audio.finish(np.full(samples, 0.1, np.float32), SECOND, fmt)
    assert audio.probe_duration(finished.data) > 0
    if samples > 240:
        assert 0.05 < peak(finished.data) < 0.2


def test_silence_stays_silent(fmt):
    finished = audio.finish(np.zeros(2 * SECOND, np.float32), SECOND, fmt)
    assert audio.loudness(finished.data) == audio.SILENT
    assert peak(finished.data) < 0.001


@pytest.mark.parametrize("samples", [0, 1])
def test_no_sound_at_all_is_a_failure(fmt, samples):
    with pytest.raises(ProviderFailed, match="no audio"):
        audio.finish(np.zeros(samples, np.float32), SECOND, fmt)


@pytest.mark.parametrize("measure", [audio.probe_duration, audio.loudness])
@pytest.mark.parametrize("data", [b"", b"not a sound", b"\0" * 5_000], ids=["empty", "text", "zeros"])
def test_a_damaged_file_is_a_failure(measure, data):
    with pytest.raises(ProviderFailed, match="cannot be read"):
        measure(data)
