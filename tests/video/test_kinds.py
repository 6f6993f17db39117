"""What a file is, by its content."""

import pytest

from services.errors import InvalidInput
from services.video import kinds, sniff
from tests.video import files

FILMS = {
    "mp4": ("mp4", "libx264", "aac"), "mov": ("mov", "libx264", "aac"), "webm": ("webm", "libvpx-vp9", "libopus"),
    "mkv": ("matroska", "libx264", "aac"),
}  # fmt: skip


PICTURES = [
    ("png", "png", "image2pipe", "rgb24"),
    ("webp", "libwebp", "webp", "yuv420p"),
    ("jpg", "mjpeg", "mjpeg", "yuvj420p"),
]


@pytest.mark.parametrize("ending", FILMS)
def test_films_are_known_whatever_their_name(tmp_path, ending):
    fmt, codec, sound = FILMS[ending]
    made = files.film(tmp_path / "holiday.pdf", fmt=fmt, codec=codec, sound_codec=sound, seconds=0.2)
    assert sniff(made.read_bytes()[: kinds.HEAD]).ending == ending


@pytest.mark.parametrize(("ending", "codec", "fmt", "pixels"), [*PICTURES, ("gif", "gif", "gif", "rgb8")])
def test_pictures_and_their_size_by_the_header(tmp_path, ending, codec, fmt, pixels):
    made = files.picture(tmp_path / "x.mp4", files.pattern(0, 70, 40), fmt=fmt, codec=codec, pixels=pixels)
    head = made.read_bytes()[: kinds.HEAD]
    assert sniff(head).ending == ending
    assert kinds.image_size(head) == (70, 40)


@pytest.mark.parametrize(("ending", "fmt", "codec"), [("mp3", "mp3", "libmp3lame"), ("m4a", "ipod", "aac")])
def test_sound(tmp_path, ending, fmt, codec):
    assert sniff(files.recording(tmp_path / "x", fmt=fmt, codec=codec).read_bytes()).ending == ending
    assert sniff(files.wav(tmp_path / "y", files.tone(0.1)).read_bytes()) == kinds.WAV


def test_an_mp3_without_a_tag(tmp_path):
    data = files.recording(tmp_path / "x").read_bytes()
    assert sniff(data[data.index(b"\xff\xfb") :]) == kinds.MP3


WRONG = {
    b"": "The file is empty",
    b"RIFF\0\0\0\0AVI LIST": "an AVI video",
    b"\0\0\0\x18ftypheic\0\0\0\0": "a HEIC photo",
    b"\0\0\0\x18ftypavif\0\0\0\0": "an AVIF picture",
    b"%PDF-1.7": "a PDF document",
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">': "an SVG drawing",
    b"\xef\xbb\xbf \n<!DOCTYPE html><html>": "a web page",
    b"PK\x03\x04....": "a ZIP archive",
    b"II*\0....": "a TIFF picture",
    b"MZ\x90\0": "a Windows program",
    b"OggS\0\x02": "an Ogg file",
    b"#EXTM3U\nhttp://127.0.0.1/secret": "a text file",
    b"ffconcat version 1.0\nfile /etc/passwd": "a text file",
    bytes(range(256)): "unknown kind",
    b"\0" * 5000: "unknown kind",
    b"\xff\xff\xff\xff": "unknown kind",
}


@pytest.mark.parametrize(("data", "word"), WRONG.items())
def test_what_cannot_be_published_is_called_by_its_name(data, word):
    with pytest.raises(InvalidInput, match=word):
        sniff(data)


@pytest.mark.parametrize("length", range(1, 40))
def test_the_shortest_beginnings_are_no_surprise(length):
    for start in (b"RIFF", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"\0\0\0\x18ftyp", b"GIF89a", b"\x1aE\xdf\xa3"):
        head = (start + b"\xff" * 40)[:length]
        try:
            kind = sniff(head)
        except InvalidInput:
            continue
        if kind.media_type == "image":
            kinds.image_size(head)
