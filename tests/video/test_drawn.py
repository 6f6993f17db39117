"""Pictures that a model drew: taken by what they are, bounded, and made anew."""

from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidInput
from services.scripts import practice_pictures
from services.video import drawn as drawing
from services.video.drawn import drawn, thumbnail
from tests.video import files

PNG = practice_pictures.png("A loaf", "16:9")


def still(place: Path, width: int, height: int, **kind: str) -> bytes:
    return files.picture(place / "still", files.pattern(0, width, height), **kind).read_bytes()


def photo(place: Path, orientation: int | None = None) -> bytes:
    return files.jpeg(place / "photo.jpg", files.pattern(0, 64, 48), orientation).read_bytes()


def test_a_picture_becomes_a_jpeg_and_a_small_one(tmp_path: Path) -> None:
    made = drawn(PNG, tmp_path)
    assert files.size_of(made.picture) == (made.width, made.height) == (640, 360)
    assert made.picture.startswith(b"\xff\xd8\xff")
    assert drawn(PNG, tmp_path) == made
    small = thumbnail(made.picture, tmp_path)
    assert files.size_of(small) == (640, 360)
    assert thumbnail(made.picture, tmp_path) == small


def test_a_large_one_is_made_smaller(tmp_path: Path) -> None:
    made = drawn(still(tmp_path, 2400, 1200), tmp_path)
    assert files.size_of(made.picture) == (made.width, made.height) == (2048, 1024)
    assert files.size_of(thumbnail(made.picture, tmp_path)) == (640, 320)


def test_a_webp_is_taken_too(tmp_path: Path) -> None:
    made = drawn(still(tmp_path, 64, 48, codec="libwebp", pixels="yuv420p"), tmp_path)
    assert files.size_of(made.picture) == (64, 48)


def test_nothing_but_its_pixels_is_kept(tmp_path: Path) -> None:
    """Notes of a camera, and what is hung on behind the picture: markup, for instance."""
    data = photo(tmp_path, orientation=6) + b"<script>alert(1)</script>"
    made = drawn(data, tmp_path)
    assert files.size_of(made.picture) == (48, 64)  # upright
    assert b"Exif" not in made.picture
    assert b"script" not in made.picture


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no picture at all", b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'/>", b"GIF89a" + b"\0" * 90,
        b"%PDF-1.7", PNG[:300], PNG[:8] + b"\0" * 300, b"\xff\xd8\xff" + b"\0" * 300,
        b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 20, b"\0\0\0\x18ftypmp42" + b"\0" * 100,
    ],
)  # fmt: skip
def test_what_is_no_whole_picture_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        drawn(data, tmp_path)


def test_one_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the size that its header tells, before anything is unpacked."""
    huge = PNG[:16] + (60_000).to_bytes(4, "big") * 2 + PNG[24:]
    with pytest.raises(InvalidInput, match="60,000"):
        drawn(huge, tmp_path)
    monkeypatch.setattr(drawing, "LARGEST_SIDE", 600)
    with pytest.raises(InvalidInput, match="600 a side"):
        drawn(PNG, tmp_path)
    monkeypatch.setattr(drawing, "LARGEST_BYTES", 100)
    with pytest.raises(InvalidInput, match="100 are taken"):
        drawn(PNG, tmp_path)


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    clear = np.zeros((32, 32, 4), np.uint8)
    file = files.picture(tmp_path / "clear.png", clear, pixels="rgba")
    made = drawn(file.read_bytes(), tmp_path)
    (tmp_path / "made.jpg").write_bytes(made.picture)
    ((_, pixels),) = files.shown(tmp_path / "made.jpg")
    assert pixels.min() > 250
