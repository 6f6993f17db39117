"""What is known of files, and which cannot be published."""

import pytest

from services.errors import InvalidInput
from services.video import reading
from tests.video import files
from tests.video.test_kinds import FILMS, PICTURES


@pytest.mark.parametrize("ending", FILMS)
def test_films(tmp_path, ending):
    fmt, codec, sound = FILMS[ending]
    facts = reading.facts(files.film(tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound))
    assert (facts.media_type, facts.kind.ending) == ("video", ending)
    assert (facts.width, facts.height, facts.rotation, facts.has_sound) == (64, 48, 0, True)
    assert facts.seconds == pytest.approx(2.0, abs=0.1)
    assert facts.frames == 50
    assert facts.bytes == (tmp_path / "x").stat().st_size


def test_a_film_without_sound(tmp_path):
    facts = reading.facts(files.film(tmp_path / "x", sound="none"))
    assert (facts.has_sound, facts.audio_codec, facts.seconds) == (False, None, 2.0)


@pytest.mark.parametrize(("degrees", "size"), [(90, (48, 64)), (180, (64, 48)), (270, (48, 64))])
def test_a_turned_film_has_the_size_that_is_shown(tmp_path, degrees, size):
    facts = reading.facts(files.turned(files.film(tmp_path / "x"), degrees))
    assert (facts.rotation, facts.width, facts.height) == (degrees, *size)


def test_one_frame_and_varying_rates(tmp_path):
    assert reading.facts(files.film(tmp_path / "x", times=[0.0], seconds=0.04, sound="none")).frames == 1
    facts = reading.facts(files.film(tmp_path / "y", times=[0, 0.04, 0.08, 1.0, 1.5, 3.0], sound="none"))
    assert facts.frames == 6
    assert facts.seconds == pytest.approx(3.0, abs=0.6)


@pytest.mark.parametrize(("ending", "fmt", "codec"), [("mp3", "mp3", "libmp3lame"), ("m4a", "ipod", "aac")])
def test_sound(tmp_path, ending, fmt, codec):
    facts = reading.facts(files.recording(tmp_path / "x", fmt=fmt, codec=codec))
    assert (facts.media_type, facts.kind.ending, facts.width, facts.has_sound) == ("audio", ending, None, True)
    assert facts.seconds == pytest.approx(2.0, abs=0.1)


def test_a_film_without_a_picture_is_sound(tmp_path):
    made = files.recording(tmp_path / "x", fmt="mp4", codec="aac")
    assert reading.facts(made).kind.ending == "m4a"
    with pytest.raises(InvalidInput, match="no picture"):
        reading.facts(files.recording(tmp_path / "y", fmt="webm", codec="libopus"))


def test_pictures(tmp_path):
    still = reading.facts(files.jpeg(tmp_path / "a", files.pattern(0, 60, 40), orientation=6))
    assert (still.media_type, still.seconds, still.width, still.height, still.rotation) == ("image", None, 40, 60, 90)
    moving = files.picture(tmp_path / "b", files.pattern(0, 60, 40), fmt="gif", codec="gif", pixels="rgb8", frames=5)
    facts = reading.facts(moving)
    assert (facts.media_type, facts.seconds, facts.frames) == ("image", pytest.approx(0.5), 5)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("first", [True, False], ids=["index first", "index last"])
def test_a_film_that_was_cut_off(tmp_path, share, first):
    made = files.film(tmp_path / "x", seconds=6.0, options={"movflags": "faststart"} if first else None)
    data = made.read_bytes()
    made.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidInput, match=r"cut off|damaged|no picture"):
        reading.facts(made)


@pytest.mark.parametrize("ending", FILMS)
def test_a_film_of_noise(tmp_path, ending):
    fmt, codec, sound = FILMS[ending]
    made = files.film(tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound)
    data = bytearray(made.read_bytes())
    data[64:] = bytes((7 * n * n + 13) % 256 for n in range(len(data) - 64))
    made.write_bytes(data)
    with pytest.raises(InvalidInput):
        reading.facts(made)


def test_a_film_whose_pictures_are_noise(tmp_path):
    made = files.film(tmp_path / "x", sound="none", options={"movflags": "faststart"})
    data = bytearray(made.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes((7 * n * n + 13) % 256 for n in range(len(data) - start))
    made.write_bytes(data)
    with pytest.raises(InvalidInput, match="no picture"):
        reading.facts(made)


def test_pictures_that_are_too_large_or_broken(tmp_path):
    whole = files.picture(tmp_path / "x", files.pattern(0, 60, 40)).read_bytes()
    bomb = tmp_path / "bomb"
    bomb.write_bytes(whole[:16] + (60_000).to_bytes(4, "big") * 2 + whole[24:])
    with pytest.raises(InvalidInput, match=r"60,000 × 60,000 pixels"):
        reading.facts(bomb)
    nothing = tmp_path / "nothing"
    nothing.write_bytes(whole[:16] + bytes(8) + whole[24:])
    with pytest.raises(InvalidInput, match=r"0 × 0 pixels"):
        reading.facts(nothing)
    cut = tmp_path / "cut"
    for length in (20, 40):
        cut.write_bytes(whole[:length])
        with pytest.raises(InvalidInput):
            reading.facts(cut)


@pytest.mark.parametrize(("ending", "codec", "fmt", "pixels"), PICTURES)
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_picture_that_was_cut_off(tmp_path, ending, codec, fmt, pixels, share):
    made = files.picture(tmp_path / "x", files.pattern(0, 300, 200), fmt=fmt, codec=codec, pixels=pixels)
    data = made.read_bytes()
    made.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidInput, match="cut off"):
        reading.facts(made)


def test_a_recording_that_was_cut_off(tmp_path):
    made = files.wav(tmp_path / "x", files.tone(2.0))
    data = made.read_bytes()
    made.write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInput, match="cut off"):
        reading.facts(made)
    made.write_bytes(data[:4] + b"\xff" * 4 + data[8:])
    assert reading.facts(made).seconds == pytest.approx(2.0)


def test_a_photo_with_a_trailer_is_whole(tmp_path):
    made = files.jpeg(tmp_path / "x", files.pattern(0, 60, 40))
    made.write_bytes(made.read_bytes() + b"SEFT" + bytes(100))
    assert reading.facts(made).width == 60


def test_names_in_another_encoding_are_no_hindrance(tmp_path):
    made = files.recording(tmp_path / "x")
    title = "Café".encode("latin-1")
    tag = b"TIT2" + (1 + len(title)).to_bytes(4, "big") + b"\0\0\3" + title
    made.write_bytes(b"ID3\3\0\0" + bytes([0, 0, 0, len(tag)]) + tag + made.read_bytes())
    assert reading.facts(made).seconds == pytest.approx(2.0, abs=0.1)


def test_an_empty_file(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(InvalidInput, match="empty"):
        reading.facts(tmp_path / "x")


def test_sound_of_zeros_and_text(tmp_path):
    (tmp_path / "x").write_bytes(b"ID3" + bytes(4000))
    with pytest.raises(InvalidInput):
        reading.facts(tmp_path / "x")
    (tmp_path / "y").write_bytes(
        b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\xbb\0\0\0\x77\1\0\2\0\x10\0data\0\0\0\0"
    )
    with pytest.raises(InvalidInput):
        reading.facts(tmp_path / "y")


def test_progress_is_told_and_may_end_the_work(tmp_path):
    made = files.film(tmp_path / "x", seconds=20.0)
    told = []
    reading.facts(made, told.append)
    assert told == sorted(told)
    assert 0.0 <= told[0] < told[-1] <= 1.0
    with pytest.raises(KeyboardInterrupt):
        reading.facts(made, _stop)


def _stop(share):
    raise KeyboardInterrupt
