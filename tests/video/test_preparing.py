"""What networks take of each file."""

import av
import numpy as np
import pytest

from services.video import preparing, reading, stills
from tests.video import files
from tests.video.test_kinds import FILMS


def prepared(file):
    """What is published of the file, its facts, and whether it is the file itself."""
    out = file.with_name("published")
    kind = preparing.publishable(file, reading.facts(file), out)
    shown = file if kind is None else out
    return shown, reading.facts(shown), kind is None


def assert_publishable(file, facts):
    assert (facts.kind.ending, facts.video_codec, facts.pixel_format) == ("mp4", "h264", "yuv420p")
    assert facts.audio_codec in (None, "aac")
    data = file.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(files.shown(file)) == facts.frames


def likeness(one, other):
    """Mean difference of two pictures, 0 to 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_what_is_publishable_is_kept(tmp_path):
    made = files.film(tmp_path / "x", options={"movflags": "faststart"})
    assert prepared(made)[2]


@pytest.mark.parametrize("fmt", ["mp4", "mov", "matroska"])
def test_h264_is_copied(tmp_path, fmt):
    made = files.film(tmp_path / "x", fmt=fmt)
    shown, facts, same = prepared(made)
    assert not same
    assert_publishable(shown, facts)
    assert facts.seconds == pytest.approx(2.0, abs=0.1)
    before, after = files.shown(made), files.shown(shown)
    assert [at for at, _ in after] == pytest.approx([at - before[0][0] for at, _ in before], abs=0.002)
    assert all(np.array_equal(one, other) for (_, one), (_, other) in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("fmt", "codec", "sound", "pixels"),
    [("webm", "libvpx-vp9", "libopus", "yuv420p"), ("mp4", "libx265", "aac", "yuv420p10le"),
     ("matroska", "ffv1", "flac", "yuv444p"), ("mov", "mpeg4", "pcm_s16le", "yuv420p"),
     ("mp4", "libx264", "aac", "yuv444p"), ("matroska", "libx264", "libmp3lame", "yuv420p")],
)  # fmt: skip
def test_everything_else_is_encoded(tmp_path, fmt, codec, sound, pixels):
    made = files.film(tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound, pixels=pixels)
    shown, facts, _ = prepared(made)
    assert_publishable(shown, facts)
    assert (facts.width, facts.height, facts.has_sound) == (64, 48, True)
    assert facts.seconds == pytest.approx(2.0, abs=0.1)
    before, after = files.shown(made), files.shown(shown)
    assert len(after) == len(before)
    assert likeness(before[20][1], after[20][1]) < 40


def test_odd_sizes_become_even_and_large_ones_small(tmp_path):
    shown, facts, _ = prepared(
        files.film(tmp_path / "x", fmt="matroska", codec="ffv1", sound="none", width=65, height=49, pixels="yuv444p")
    )
    assert_publishable(shown, facts)
    assert (facts.width, facts.height) in {(64, 48), (66, 50), (64, 50), (66, 48)}
    shown, facts, _ = prepared(
        files.film(tmp_path / "y", fmt="webm", codec="libvpx", sound="none", width=1000, height=2400, seconds=0.12)
    )
    assert (facts.width, facts.height) == (800, 1920)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_film_that_is_encoded_stands_upright(tmp_path, degrees):
    def quarter(_):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:24, :32] = 255  # white where the stored picture begins
        return image

    made = files.turned(files.film(tmp_path / "x", codec="libx265", frames=quarter), degrees)
    shown, facts, _ = prepared(made)
    assert facts.rotation == 0
    assert (facts.width, facts.height) == ((48, 64) if degrees != 180 else (64, 48))
    image = files.shown(shown)[10][1]
    wanted = np.rot90(quarter(0), -degrees // 90)
    assert likeness(image, wanted) < 8


def test_a_turned_film_that_is_copied_stays_turned(tmp_path):
    _, facts, same = prepared(files.turned(files.film(tmp_path / "x"), 90))
    assert not same
    assert (facts.rotation, facts.width, facts.height) == (90, 48, 64)


@pytest.mark.parametrize(("fmt", "codec"), [("matroska", "libx264"), ("webm", "libvpx-vp9")])
def test_varying_rates_are_kept(tmp_path, fmt, codec):
    times = [0, 0.04, 0.08, 1.0, 1.04, 1.5, 3.0, 3.04]
    made = files.film(tmp_path / "x", fmt=fmt, codec=codec, times=times, sound="none", seconds=3.04)
    shown, facts, _ = prepared(made)
    assert [at for at, _ in files.shown(shown)] == pytest.approx(times, abs=0.002)
    assert facts.frames == len(times)


@pytest.mark.parametrize(
    ("fmt", "codec", "sound"),
    [("mp4", "libx264", "aac"), ("matroska", "libx264", "aac"), ("webm", "libvpx-vp9", "libopus"),
     ("mov", "libx264", "pcm_s16le")],
)  # fmt: skip
@pytest.mark.parametrize("start", [0.0, 0.4])
def test_sound_stays_in_time_with_the_picture(tmp_path, fmt, codec, sound, start):
    """White from 1 s on, a beep at 1 s; the sound's track may begin later than the picture's."""

    def white(number):
        return np.full((48, 64, 3), 255 if number >= 25 else 0, np.uint8)

    made = files.film(
        tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound, seconds=2.0, frames=white,
        sound=files.beep(1.0 - start, 2.0 - start), sound_start=start,
    )  # fmt: skip
    shown, _, _ = prepared(made)
    lit = next(at for at, image in files.shown(shown) if image.mean() > 128)
    assert lit == pytest.approx(1.0, abs=0.05)
    assert files.loud_at(shown)[0] == pytest.approx(1.0, abs=0.05)


def test_sound_is_kept_or_made_mp3(tmp_path):
    for fmt, codec in (("mp3", "libmp3lame"), ("ipod", "aac"), ("wav", "pcm_s16le")):
        assert prepared(files.recording(tmp_path / "x", fmt=fmt, codec=codec))[2]
    _, facts, same = prepared(files.recording(tmp_path / "y", fmt="ipod", codec="alac"))
    assert (same, facts.kind.ending) == (False, "mp3")
    assert facts.seconds == pytest.approx(2.0, abs=0.1)


def test_photos_are_kept_unless_turned(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20, :30] = 255
    assert prepared(files.jpeg(tmp_path / "a", image))[2]
    assert prepared(files.picture(tmp_path / "b", image))[2]
    shown, facts, _ = prepared(files.jpeg(tmp_path / "c", image, orientation=6))
    assert (facts.rotation, facts.width, facts.height, facts.kind.ending) == (0, 40, 60, "jpg")
    assert b"Exif" not in shown.read_bytes()
    assert likeness(files.shown(shown)[0][1], np.rot90(image, -1)) < 6


def test_pictures_too_large_for_networks_become_smaller(tmp_path):
    noise = np.random.default_rng(3).integers(0, 255, (1900, 2400, 4), dtype=np.uint8)
    noise[:, :, 3] = 255
    noise[:200] = 0
    made = files.picture(tmp_path / "x", noise, pixels="rgba")
    assert made.stat().st_size > stills.LARGEST_FILE
    shown, facts, _ = prepared(made)
    assert facts.kind.ending == "jpg"
    assert facts.bytes <= stills.LARGEST_FILE
    assert files.shown(shown)[0][1][:100].mean() > 250, "what was transparent is white"


def test_progress_ends_encoding(tmp_path):
    made = files.film(tmp_path / "x", codec="libx265")
    facts = reading.facts(made)
    told = []

    def progress(share):
        told.append(share)
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        preparing.publishable(made, facts, tmp_path / "out", progress)
    assert told == pytest.approx(sorted(told), abs=0.2)
    assert max(told) < 0.9


# Thumbnails -------------------------------------------------------------------------------------------------------


def test_a_thumbnail_shows_something(tmp_path):
    def late(number):
        return files.pattern(0, 64, 48) if number >= 30 else np.zeros((48, 64, 3), np.uint8)

    made = files.film(tmp_path / "x", seconds=4.0, frames=late)
    data = stills.thumbnail(made, reading.facts(made))
    with av.open(str(_saved(tmp_path, data))) as container:
        assert next(container.decode(video=0)).to_ndarray(format="gray").std() > stills.FLAT


def test_a_black_film_has_a_thumbnail_all_the_same(tmp_path):
    made = files.film(tmp_path / "x", frames=lambda _: np.zeros((48, 64, 3), np.uint8))
    assert files.size_of(stills.thumbnail(made, reading.facts(made))) == (64, 48)


def test_thumbnails_are_upright_small_and_never_enlarged(tmp_path):
    film = files.turned(files.film(tmp_path / "x"), 90)
    assert files.size_of(stills.thumbnail(film, reading.facts(film))) == (48, 64)
    photo = files.jpeg(tmp_path / "y", files.pattern(0, 1500, 500), orientation=8)
    assert files.size_of(stills.thumbnail(photo, reading.facts(photo))) == (214, 640)
    point = files.picture(tmp_path / "z", files.pattern(0, 1, 1))
    assert files.size_of(stills.thumbnail(point, reading.facts(point))) == (2, 2)


def test_sound_has_no_thumbnail(tmp_path):
    made = files.recording(tmp_path / "x")
    assert stills.thumbnail(made, reading.facts(made)) is None


def _saved(folder, data):
    (folder / "thumbnail.jpg").write_bytes(data)
    return folder / "thumbnail.jpg"


def test_every_kind_of_film_has_a_thumbnail(tmp_path):
    for fmt, codec, sound in FILMS.values():
        made = files.film(tmp_path / "x", fmt=fmt, codec=codec, sound_codec=sound)
        assert files.size_of(stills.thumbnail(made, reading.facts(made))) == (64, 48)
