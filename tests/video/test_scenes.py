"""Frames at the changes of a film, from ordinary films and those that would take for ever."""

from fractions import Fraction

import av
import numpy as np
import pytest

from services.errors import InvalidInput
from services.video import reading, scenes
from tests.video import files


def found(path, most=8):
    return scenes.scenes(path, reading.facts(path), most)


def card(number, width=64, height=48):
    """A picture with edges whose colours nothing else has nearby."""
    image = np.full((height, width, 3), (number * 97 % 200, number * 53 % 200, number * 151 % 200), np.uint8)
    image[height // 4 : height // 2, : width // 2] = 255
    return image


def cards(each):
    """Another picture every `each` frames."""
    return lambda number: card(number // each)


def changing(path, count, rate):
    """A film of `count` frames, each unlike the one before; 41 pictures are encoded, as that takes long."""
    with av.open(str(path), "w", format="mov") as out:
        stream = out.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        frames = [av.VideoFrame.from_ndarray(card(n), format="rgb24").reformat(format="yuvj420p") for n in range(41)]
        encoded = [bytes(packet) for frame in frames for packet in stream.encode(frame)]
        for number in range(count):
            packet = av.Packet(encoded[number % len(encoded)])
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, rate), True
            packet.pts = packet.dts = number
            packet.duration = 1
            out.mux(packet)
    return path


# With key frames where an encoder puts them, with one alone at the start, and at each frame.
KEYS = {"usual": {}, "one": {"g": "9999", "sc_threshold": "0"}, "each": {"g": "1"}}


@pytest.mark.parametrize("keys", KEYS)
def test_a_frame_of_each_scene(tmp_path, keys):
    made = files.film(tmp_path / "x", frames=cards(25), seconds=4.0, encoder=KEYS[keys])
    scenes_ = found(made)
    assert [round(scene.seconds) for scene in scenes_] == [0, 1, 2, 3]
    assert all(files.size_of(scene.jpeg) == (64, 48) for scene in scenes_)


def test_a_film_where_nothing_happens_is_one_scene(tmp_path):
    assert len(found(files.film(tmp_path / "x", frames=lambda _: card(1)))) == 1


def test_ten_thousand_scenes_are_as_many_frames_as_asked_all_over_the_film(tmp_path):
    made = changing(tmp_path / "x", 10_000, rate=500)
    assert reading.facts(made).frames == 10_000
    scenes_ = found(made, 8)
    assert len(scenes_) == 8
    assert scenes_[0].seconds < 2.5
    assert scenes_[-1].seconds > 17.5


@pytest.mark.parametrize("keys", KEYS)
def test_ten_hours(tmp_path, keys):
    times = [float(at) for at in range(0, 35_990, 30)]
    made = files.film(tmp_path / "x", frames=cards(200), times=times, sound="none", encoder=KEYS[keys])
    facts = reading.facts(made)
    assert facts.seconds > 35_000
    looks = []
    scenes_ = scenes.scenes(made, facts, 8, looks.append)
    assert len(looks) <= scenes.LOOKS + 1
    assert len(scenes_) == 6
    assert scenes_[-1].seconds >= 30_000 - 400


def test_what_patience_does_not_reach_is_seen_by_its_key_frames(tmp_path, monkeypatch):
    made = files.film(tmp_path / "x", frames=cards(25), seconds=6.0, encoder={"g": "25", "sc_threshold": "0"})
    monkeypatch.setattr(scenes._Film, "_through", lambda _: iter(()))
    assert len(found(made)) == 6


@pytest.mark.parametrize(("degrees", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_a_turned_film_is_seen_upright(tmp_path, degrees, size):
    (scene,) = found(files.turned(files.film(tmp_path / "x", frames=lambda _: card(1)), degrees))
    assert files.size_of(scene.jpeg) == size


def test_a_large_portrait_is_seen_smaller(tmp_path):
    made = files.film(tmp_path / "x", frames=lambda _: card(1, 1080, 1920), width=1080, height=1920, seconds=0.2)
    (scene,) = found(made)
    assert files.size_of(scene.jpeg) == (432, 768)


def test_noise_is_bounded_in_size(tmp_path):
    noise = np.random.default_rng(1)
    made = files.film(tmp_path / "x", frames=lambda _: noise.integers(0, 255, (720, 1280, 3), np.uint8),
                      width=1280, height=720, seconds=0.08, sound="none")  # fmt: skip
    assert max(len(scene.jpeg) for scene in found(made)) < 500_000


def test_black_beginnings_are_passed_over(tmp_path):
    made = files.film(tmp_path / "x", frames=lambda n: card(1) if n >= 25 else np.zeros((48, 64, 3), np.uint8))
    assert [round(scene.seconds) for scene in found(made)] == [1]


def test_a_black_film_is_one_frame(tmp_path):
    made = files.film(tmp_path / "x", frames=lambda _: np.zeros((48, 64, 3), np.uint8))
    assert len(found(made)) == 1


def test_pictures(tmp_path):
    assert len(found(files.jpeg(tmp_path / "a", card(1), orientation=6))) == 1
    moving = files.picture(tmp_path / "b", card(1), fmt="gif", codec="gif", pixels="rgb8", frames=30)
    assert 1 <= len(found(moving)) <= 8


@pytest.mark.parametrize(("fmt", "codec"), [("webm", "libvpx-vp9"), ("matroska", "libx264"), ("mov", "libx264")])
def test_other_films(tmp_path, fmt, codec):
    sound = "libopus" if fmt == "webm" else "aac"
    made = files.film(tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound, frames=cards(25), seconds=3.0)
    assert len(found(made)) == 3


def test_sound_has_nothing_to_see(tmp_path):
    with pytest.raises(InvalidInput, match="sound only"):
        found(files.recording(tmp_path / "x"))


def test_a_film_that_is_damaged_in_the_middle_or_all_over(tmp_path):
    made = files.film(tmp_path / "x", frames=cards(25), seconds=8.0, options={"movflags": "faststart"},
                      encoder={"g": "25"})  # fmt: skip
    facts, data = reading.facts(made), bytearray(made.read_bytes())
    begin = data.find(b"mdat") + 8
    data[begin + len(data) // 3 : begin + len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    made.write_bytes(data)
    assert 1 <= len(scenes.scenes(made, facts, 8)) <= 8
    data[begin:] = bytes(len(data) - begin)
    made.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"no frames|damaged"):
        scenes.scenes(made, facts, 8)
    made.write_bytes(data[:begin])
    with pytest.raises(InvalidInput, match=r"no frames|damaged"):
        scenes.scenes(made, facts, 8)


def test_progress_is_told_and_may_stop_it(tmp_path):
    made = files.film(tmp_path / "x", frames=cards(5))

    class Stopped(Exception):
        pass

    def stop(share):
        assert 0 <= share <= 1
        raise Stopped

    with pytest.raises(Stopped):
        scenes.scenes(made, reading.facts(made), 8, stop)
