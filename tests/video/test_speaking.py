"""Speech on films, pictures and recordings: loudness, time, and the picture that goes with it."""

from itertools import pairwise

import numpy as np
import pytest

from services import audio
from services.errors import InvalidInput
from services.video import reading, speaking, subtitles
from services.video.sound import UNDER
from tests.video import files


def spoken(clip, speech, mode):
    """The clip with the speech, and its facts."""
    out = clip.with_name("spoken")
    speaking.put_speech(clip, reading.facts(clip), speech, reading.facts(speech), mode, out)
    return out, reading.facts(out)


def level(samples, start, stop):
    """Decibels of a stretch, in seconds."""
    part = samples[round(start * files.RATE) : round(stop * files.RATE)]
    return 20 * np.log10(np.sqrt(np.mean(part**2)) + 1e-9)


def voice(path, seconds=2.0, amplitude=0.05):
    return files.wav(path, files.tone(seconds, amplitude, 300))


@pytest.fixture
def film(tmp_path):
    return files.film(tmp_path / "film", seconds=4.0, sound=files.tone(4.0, 0.4, 2000))


@pytest.mark.parametrize("mode", ["replace", "mix"])
@pytest.mark.parametrize("amplitude", [0.01, 0.7])
def test_the_result_has_one_loudness(tmp_path, film, mode, amplitude):
    out, facts = spoken(film, voice(tmp_path / "voice", amplitude=amplitude), mode)
    assert audio.loudness(out.read_bytes()) == pytest.approx(audio.TARGET, abs=1.0)
    assert (facts.kind.ending, facts.audio_codec, facts.has_sound) == ("mp4", "aac", True)
    assert facts.seconds == pytest.approx(4.0, abs=0.1)


def test_peaks_are_held(tmp_path, film):
    samples = files.tone(3.0, 0.01)
    samples[:, :: files.RATE // 3] = 1.0
    out, _ = spoken(film, files.wav(tmp_path / "voice", samples), "replace")
    assert np.abs(files.loud_at(out)[1]).max() < 1.0


def test_the_clips_own_sound_is_low_under_the_speech_and_comes_back(tmp_path, film):
    out, _ = spoken(film, files.wav(tmp_path / "voice", np.zeros((2, 2 * files.RATE), np.float32)), "mix")
    _, samples = files.loud_at(out)
    assert level(samples, 3.0, 3.8) - level(samples, 0.2, 1.8) == pytest.approx(UNDER, abs=1.0)


def test_speech_stands_out_of_the_mix(tmp_path, film):
    out, _ = spoken(film, voice(tmp_path / "voice"), "mix")
    _, samples = files.loud_at(out)
    spectrum = np.abs(np.fft.rfft(samples[: files.RATE]))
    assert 20 * np.log10(spectrum[300] / spectrum[2000]) > UNDER - 4  # loudness weighs 2 kHz more than 300 Hz


def test_replaced_sound_is_gone(tmp_path, film):
    out, _ = spoken(film, voice(tmp_path / "voice"), "replace")
    _, samples = files.loud_at(out)
    assert level(samples, 2.3, 3.8) < -60


@pytest.mark.parametrize("mode", ["replace", "mix"])
def test_the_picture_is_copied(tmp_path, mode):
    film = files.turned(files.film(tmp_path / "film", times=[0, 0.04, 1.0, 1.7, 2.9], seconds=3.0), 90)
    out, facts = spoken(film, voice(tmp_path / "voice"), mode)
    before, after = files.shown(film), files.shown(out)
    assert [at for at, _ in after] == pytest.approx([at for at, _ in before], abs=0.002)
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(before, after, strict=True))
    assert facts.rotation == 90


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_both_sounds_stay_in_time(tmp_path, start):
    film = files.film(tmp_path / "film", seconds=3.0, sound=files.beep(2.0 - start, 3.0 - start), sound_start=start)
    speech = files.wav(tmp_path / "voice", files.beep(1.0, 1.5))
    out, _ = spoken(film, speech, "mix")
    at, samples = files.loud_at(out)
    assert at == pytest.approx(1.0, abs=0.05)
    later = np.abs(samples[round(1.5 * files.RATE) :]) > 0.05
    assert 1.5 + np.argmax(later) / files.RATE == pytest.approx(2.0, abs=0.05)


def test_the_last_frame_is_held_for_longer_speech(tmp_path):
    film = files.film(tmp_path / "film", seconds=1.0)
    out, facts = spoken(film, voice(tmp_path / "voice", 3.0), "mix")
    assert facts.seconds == pytest.approx(3.0, abs=0.1)
    frames = files.shown(out)
    assert frames[-1][0] == pytest.approx(2.95, abs=0.1)
    last = files.pattern(24, 64, 48)
    assert np.abs(frames[-1][1].astype(int) - last).mean() < np.abs(frames[0][1].astype(int) - last).mean()
    assert max(np.diff([at for at, _ in frames])) < 0.1


def test_speech_a_little_longer_leaves_the_picture_as_it_is(tmp_path):
    film = files.film(tmp_path / "film", seconds=2.0)
    out, _ = spoken(film, voice(tmp_path / "voice", 2.2), "replace")
    assert len(files.shown(out)) == 50


def test_a_film_without_sound(tmp_path):
    film = files.film(tmp_path / "film", sound="none")
    out, _ = spoken(film, voice(tmp_path / "voice", 1.0), "mix")
    assert audio.loudness(out.read_bytes()) == pytest.approx(audio.TARGET, abs=1.0)


def test_silence_stays_silence(tmp_path):
    film = files.film(tmp_path / "film", sound="none")
    out, _ = spoken(film, files.wav(tmp_path / "voice", np.zeros((2, files.RATE), np.float32)), "mix")
    assert audio.loudness(out.read_bytes()) == audio.SILENT


def test_a_picture_becomes_a_video_of_the_speechs_length(tmp_path):
    image = np.full((41, 61, 4), (200, 30, 30, 255), np.uint8)
    image[:20] = 0
    photo = files.picture(tmp_path / "photo", image, pixels="rgba")
    out, facts = spoken(photo, voice(tmp_path / "voice", 1.5), "replace")
    assert (facts.kind.ending, facts.video_codec, facts.has_sound) == ("mp4", "h264", True)
    assert (facts.width % 2, facts.height % 2) == (0, 0)
    assert facts.seconds == pytest.approx(1.5, abs=0.1)
    frames = files.shown(out)
    assert len(frames) == pytest.approx(36, abs=1)
    assert frames[-1][1][5, 30].min() > 240, "what was transparent is white"
    assert abs(int(frames[-1][1][35, 30, 0]) - 200) < 15


@pytest.mark.parametrize(("mode", "seconds"), [("replace", 1.0), ("mix", 2.0)])
def test_a_recording_becomes_an_mp3(tmp_path, mode, seconds):
    episode = files.recording(tmp_path / "episode", fmt="ipod", codec="aac")
    out, facts = spoken(episode, voice(tmp_path / "voice", 1.0), mode)
    assert (facts.kind.ending, facts.media_type) == ("mp3", "audio")
    assert facts.seconds == pytest.approx(seconds, abs=0.1)
    assert audio.loudness(out.read_bytes()) == pytest.approx(audio.TARGET, abs=1.0)


def test_only_sound_is_put_on_a_clip(tmp_path, film):
    with pytest.raises(InvalidInput, match="not sound"):
        spoken(film, files.picture(tmp_path / "photo", files.pattern(0, 60, 40)), "mix")


def test_progress_rises_and_may_end_the_work(tmp_path, film):
    told = []
    clip, speech = reading.facts(film), voice(tmp_path / "voice")
    speaking.put_speech(film, clip, speech, reading.facts(speech), "mix", tmp_path / "out", told.append)
    assert told == pytest.approx(sorted(told), abs=0.05)
    assert max(told) > 0.95


# Subtitles --------------------------------------------------------------------------------------------------------


def test_cues_keep_to_their_passages():
    text = subtitles.webvtt(["Fresh bread at six.", "Tom & Jerry <b> --> buy."], [(0.0, 1.5), (1.85, 3661.5)])
    assert text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nFresh bread at six.\n\n"
        "00:00:01.850 --> 01:01:01.500\nTom &amp; Jerry &lt;b&gt; --&gt; buy.\n"
    )


def test_long_passages_are_cut_into_cues_of_two_lines():
    passage = "One two three four five, six seven eight nine ten eleven twelve. " * 7 + "x" * 100
    blocks = subtitles.webvtt([passage], [(10.0, 40.0)]).strip().split("\n\n")[1:]
    assert all(len(block.split("\n")) <= 3 for block in blocks)
    assert all(len(line) <= 60 for block in blocks for line in block.split("\n")[1:])
    said = "".join("".join(block.split("\n")[1:]) for block in blocks)
    assert said.replace(" ", "") == passage.replace(" ", "")
    times = [block.split("\n")[0].split(" --> ") for block in blocks]
    assert times[0][0] == "00:00:10.000"
    assert times[-1][1] == "00:00:40.000"
    assert all(one[1] == other[0] for one, other in pairwise(times))


def test_passages_that_are_not_heard_have_no_cue():
    assert subtitles.webvtt(["…", "Hello."], [(0.0, 0.0), (0.0, 1.0)]).count("-->") == 1


def test_chinese_is_cut_at_its_stops():
    blocks = subtitles.webvtt(["今天新鲜面包六点出炉。" * 12], [(0.0, 12.0)]).split("\n\n")[1:]
    assert all(block.strip().endswith("。") for block in blocks)
    assert len(blocks) > 1
