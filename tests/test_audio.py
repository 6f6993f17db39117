"""Loudness, encoding and duration, on sounds made here."""

import io
import wave

import av
import numpy as np
import pytest

from services import audio
from services.errors import ProviderFailed
from services.speech import hibari

SECOND = 24_000


def tone(seconds, amplitude=0.1):
    """A voice-like 200 Hz tone that swells and fades three times a second; 24 kHz."""
    time = np.arange(int(seconds * SECOND)) / SECOND
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * time)
    return (amplitude * swell * np.sin(2 * np.pi * 200 * time)).astype(np.float32)


def peak(data):
    return float(np.abs(audio.decode(data).samples).max())


def wav(samples, rate=SECOND):
    """Samples, one row a channel, as a 16-bit file."""
    rows = np.atleast_2d(samples)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(len(rows))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.rint(rows.T * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def joined(parts, fmt="wav"):
    """The file that the parts become, and the seconds that were told."""
    out = io.BytesIO()
    return audio.join(iter(parts), fmt, out), out.getvalue()


def silences(data):
    """Lengths in seconds of the stretches without sound, those at the ends left out."""
    sound = audio.decode(data)
    loud = np.flatnonzero(np.abs(sound.samples) > audio.SILENCE)
    gaps = np.diff(loud) / sound.sample_rate
    return gaps[gaps > 0.1]


@pytest.fixture(params=["mp3", "wav"])
def fmt(request):
    return request.param


@pytest.mark.parametrize("seconds", [0.731, 3.5, 3.537])
@pytest.mark.parametrize("amplitude", [0.003, 0.05, 1.0])
def test_every_level_becomes_the_same_loudness(fmt, amplitude, seconds):
    _, data = joined([wav(tone(seconds, amplitude))], fmt)
    assert audio.loudness(data) == pytest.approx(audio.TARGET, abs=1.0)


def test_peaks_stay_below_full_scale(fmt):
    spiky = tone(3.0, 0.02)
    spiky[:: SECOND // 4] = 1.0
    assert peak(joined([wav(spiky)], fmt)[1]) < 0.95


@pytest.mark.parametrize(("fmt", "codec"), [("mp3", "mp3float"), ("wav", "pcm_s16le")])
def test_the_file_is_what_it_says(fmt, codec):
    _, data = joined([wav(tone(2.0))], fmt)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.channels) == (codec, 44_100, 1)
        if fmt == "mp3":
            assert stream.bit_rate == 128_000


@pytest.mark.parametrize("seconds", [0.5, 2.0, 61.3])
def test_duration_is_that_of_the_samples_and_of_the_file(fmt, seconds):
    seconds_told, data = joined([wav(tone(seconds))], fmt)
    assert seconds_told == pytest.approx(seconds, abs=0.001)
    assert audio.probe_duration(data) == pytest.approx(seconds, abs=0.002)


def test_the_same_samples_give_the_same_file(fmt):
    assert joined([wav(tone(1.0))], fmt) == joined([wav(tone(1.0))], fmt)


@pytest.mark.parametrize("samples", [240, 2_400, 7_200])
def test_sound_too_short_to_measure_keeps_its_level(fmt, samples):
    _, data = joined([wav(np.full(samples, 0.1, np.float32))], fmt)
    assert audio.probe_duration(data) > 0
    if samples > 240:
        assert 0.05 < peak(data) < 0.2


def test_it_is_told_where_each_part_is_heard():
    spans = []
    parts = [wav(tone(1.0)), wav(np.zeros(SECOND, np.float32)), wav(tone(2.0)), wav(tone(0.5))]
    seconds = audio.join(iter(parts), "wav", io.BytesIO(), spans)
    lengths = [end - start for start, end in spans]
    assert lengths == pytest.approx([1.0, 0.0, 2.0, 0.5], abs=0.05)
    assert spans[2][0] - spans[0][1] == pytest.approx(audio.PAUSE - 2 * audio.MARGIN, abs=0.002)
    assert spans[-1][1] == pytest.approx(seconds, abs=0.001)


def test_silence_stays_silent(fmt):
    _, data = joined([wav(np.zeros(2 * SECOND, np.float32))], fmt)
    assert audio.loudness(data) == audio.SILENT
    assert peak(data) < 0.001


@pytest.mark.parametrize("measure", [audio.probe_duration, audio.loudness])
@pytest.mark.parametrize("data", [b"", b"not a sound", b"\0" * 5_000], ids=["empty", "text", "zeros"])
def test_a_damaged_file_is_a_failure(measure, data):
    with pytest.raises(ProviderFailed, match="cannot be read"):
        measure(data)


@pytest.fixture(scope="module")
def spoken():
    """Three sentences of the embedded voice, as it gives them."""
    texts = ["Two for one, this weekend only.", "Sale!", "Bring a friend; the second coffee is on us."]
    return [hibari.speak(text, 1.0) for text in texts]


def at_loudness(samples, wanted):
    return wav(np.clip(samples * 10 ** ((wanted - audio.loudness(wav(samples))) / 20), -1, 1))


def test_joined_speech_has_the_loudness_that_is_promised(spoken, fmt):
    _, data = joined([at_loudness(samples, -26) for samples in spoken], fmt)
    assert audio.loudness(data) == pytest.approx(audio.TARGET, abs=0.5)


@pytest.mark.parametrize("levels", [(-35, -12), (-12, -35)])
def test_parts_of_any_level_become_equally_loud(spoken, levels):
    parts = [at_loudness(spoken[0], levels[0]), at_loudness(spoken[2], levels[1])]
    _, data = joined(parts)
    sound = audio.decode(data)
    cut = int((len(spoken[0]) / SECOND) * sound.sample_rate)
    for half in (sound.samples[:cut], sound.samples[cut:]):
        assert audio.loudness(wav(half, sound.sample_rate)) == pytest.approx(audio.TARGET, abs=1.0)


def test_told_and_measured_seconds_are_the_same(spoken, fmt):
    seconds, data = joined(map(wav, spoken), fmt)
    assert audio.probe_duration(data) == pytest.approx(seconds, abs=0.002)


def test_silence_at_a_seam_becomes_the_pause_and_that_at_the_ends_stays():
    hush = np.zeros(SECOND)
    padded = np.concatenate([hush, tone(1.0), hush])
    seconds, data = joined([wav(padded), wav(padded), wav(tone(1.0))])
    assert silences(data) == pytest.approx([audio.PAUSE, audio.PAUSE], abs=0.05)
    assert seconds == pytest.approx(1 + 3 + 2 * audio.PAUSE, abs=0.05)


def test_no_seam_clicks():
    """Each part begins and ends at the height of its wave; a seam may not jump further than the wave itself."""
    part = np.full(SECOND, 0.3) * np.cos(2 * np.pi * 200 * np.arange(SECOND) / SECOND)
    _, data = joined([wav(part)] * 4)
    sound = audio.decode(data)
    jumps = np.abs(np.diff(sound.samples))
    inside = jumps[sound.sample_rate // 4 : sound.sample_rate // 2].max()
    assert jumps.max() <= 1.05 * inside


def test_parts_of_other_rates_channels_and_kinds_fit_together():
    parts = [
        wav(tone(1.0)),
        wav(np.stack([tone(1.0)[::3], np.zeros(SECOND // 3)]), SECOND // 3),
        joined([wav(tone(1.0))], "mp3")[1],
    ]
    seconds, data = joined(parts)
    assert seconds == pytest.approx(3 + 2 * audio.PAUSE, abs=0.1)
    assert len(silences(data)) == 2
    sound = audio.decode(data)
    assert sound.sample_rate == audio.RATE
    for start in (0.2, 1.55, 2.9):
        piece = sound.samples[int(start * audio.RATE) : int((start + 0.7) * audio.RATE)]
        assert audio.loudness(wav(piece, audio.RATE)) == pytest.approx(audio.TARGET, abs=1.0)


def test_a_part_too_short_to_measure_is_as_loud_as_the_others():
    _, data = joined([wav(tone(2.0)), wav(tone(0.3, 0.005)), wav(tone(2.0))])
    assert len(silences(data)) == 2
    sound = audio.decode(data)
    short = sound.samples[int(2.36 * audio.RATE) : int(2.64 * audio.RATE)]
    assert 0.1 < np.abs(short).max() <= 1.0


def test_a_silent_part_adds_nothing_between_others():
    hush = wav(np.zeros(SECOND))
    seconds, data = joined([hush, wav(tone(1.0)), hush, hush, wav(tone(1.0)), hush])
    assert silences(data) == pytest.approx([audio.PAUSE], abs=0.05)
    assert seconds == pytest.approx(2 + audio.PAUSE, abs=0.05)


def test_noise_of_a_silent_line_is_not_raised():
    noise = np.random.default_rng(1).uniform(-0.0005, 0.0005, SECOND)
    assert audio.is_silent(audio.decode(wav(noise)))
    assert peak(joined([wav(noise)])[1]) < 0.001


def test_speech_is_not_silent_however_quiet(spoken):
    assert not audio.is_silent(audio.decode(at_loudness(spoken[0], -50)))


def test_only_silence_stays_silent(fmt):
    seconds, data = joined([wav(np.zeros(SECOND))] * 3, fmt)
    assert seconds == 1.0
    assert peak(data) < 0.001


@pytest.mark.parametrize("parts", [[], [wav(np.zeros(1))]], ids=["no part", "one sample"])
def test_nothing_to_hear_is_a_failure(parts, fmt):
    with pytest.raises(ProviderFailed, match="no audio"):
        joined(parts, fmt)


@pytest.mark.parametrize("bad", [b"", b"not a sound", wav(np.zeros(0))], ids=["empty", "text", "no samples"])
def test_one_damaged_part_fails_the_whole(bad, fmt):
    with pytest.raises(ProviderFailed, match="cannot be read"):
        joined([wav(tone(1.0)), bad], fmt)


def test_a_part_is_asked_for_only_when_those_before_are_written():
    asked = []

    def parts():
        for number in range(6):
            asked.append(number)
            yield wav(tone(5.0))

    class Out(io.BytesIO):
        def write(self, data):
            sizes.append((len(asked), len(data)))
            return super().write(data)

    sizes: list[tuple[int, int]] = []
    audio.join(parts(), "wav", Out())
    assert {count for count, _ in sizes} >= {2, 3, 4, 5, 6}


def test_decoding_gives_the_samples_as_they_were():
    stereo = np.stack([tone(0.5), -0.5 * tone(0.5)])
    sound = audio.decode(wav(stereo, 8_000))
    assert (sound.sample_rate, sound.samples.dtype) == (8_000, np.float32)
    assert sound.samples == pytest.approx(stereo.mean(axis=0), abs=1e-4)


def test_samples_that_are_no_numbers_are_silent():
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("pcm_f32le", rate=SECOND, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, SECOND), np.nan, np.float32), format="flt", layout="mono")
        frame.sample_rate = SECOND
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert audio.is_silent(audio.decode(file.getvalue()))
