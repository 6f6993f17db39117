"""What a file is, by its first bytes: never by its name, which anybody may choose."""

from dataclasses import dataclass
from typing import Literal

from services.errors import InvalidInput

MediaType = Literal["video", "image", "audio"]

HEAD = 65_536  # bytes that are enough to tell
ACCEPTED = "Videos may be MP4, MOV, WebM or MKV, pictures JPEG, PNG, GIF or WebP, sound MP3, M4A or WAV."


@dataclass(frozen=True)
class Kind:
    """What a file is, and the ending that its name should have, without the dot."""

    media_type: MediaType
    mime: str
    ending: str


MP4 = Kind("video", "video/mp4", "mp4")
MOV = Kind("video", "video/quicktime", "mov")
WEBM = Kind("video", "video/webm", "webm")
MKV = Kind("video", "video/x-matroska", "mkv")
JPEG = Kind("image", "image/jpeg", "jpg")
PNG = Kind("image", "image/png", "png")
GIF = Kind("image", "image/gif", "gif")
WEBP = Kind("image", "image/webp", "webp")
MP3 = Kind("audio", "audio/mpeg", "mp3")
M4A = Kind("audio", "audio/mp4", "m4a")
WAV = Kind("audio", "audio/wav", "wav")

_OF_ISO = {b"qt  ": MOV, b"M4A ": M4A, b"M4B ": M4A}
_OF_START = {
    b"\xff\xd8\xff": JPEG, b"\x89PNG\r\n\x1a\n": PNG, b"GIF87a": GIF, b"GIF89a": GIF, b"ID3": MP3,
}  # fmt: skip
_OF_RIFF = {b"WEBP": WEBP, b"WAVE": WAV}
_ATOMS = (b"moov", b"mdat", b"wide", b"skip", b"free")  # a film of QuickTime's first years begins without `ftyp`
_REFUSED_ISO = {
    b"heic": "a HEIC photo", b"heix": "a HEIC photo", b"hevc": "a HEIC photo", b"mif1": "a HEIC photo",
    b"msf1": "a HEIC photo", b"avif": "an AVIF picture", b"avis": "an AVIF picture", b"crx ": "a raw photo",
    b"3gp4": "a 3GP video", b"3gp5": "a 3GP video", b"3gp6": "a 3GP video",
}  # fmt: skip
_REFUSED_RIFF = {b"AVI ": "an AVI video", b"RMID": "a MIDI file"}
_REFUSED = {
    b"%PDF": "a PDF document", b"PK\x03\x04": "a ZIP archive or an Office document", b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture or a raw photo", b"MM\0*": "a TIFF picture", b"8BPS": "a Photoshop picture",
    b"\x1a\x45\xdf\xa3": "a Matroska file of an unknown kind", b"FLV": "a Flash video", b"OggS": "an Ogg file",
    b"fLaC": "a FLAC recording", b"MThd": "a MIDI file", b"FORM": "an AIFF recording", b"#!AMR": "an AMR recording",
    b"\x30\x26\xb2\x75": "a Windows Media file", b"\0\0\x01\xba": "an MPEG video", b"\0\0\x01\xb3": "an MPEG video",
    b"Rar!": "a RAR archive", b"7z\xbc\xaf": "a 7z archive", b"\x1f\x8b": "a GZIP archive",
    b"{\\rtf": "a text document",
    b"\xd0\xcf\x11\xe0": "an old Office document", b"MZ": "a Windows program", b"\x7fELF": "a program",
    b"\xff\xf1": "a bare AAC recording", b"\xff\xf9": "a bare AAC recording",
    b"\xff\x0a": "a JPEG XL picture", b"\0\0\0\x0cJXL ": "a JPEG XL picture", b"WEBVTT": "a subtitle file",
}  # fmt: skip
_TEXTS = {
    b"<svg": "an SVG drawing", b"<html": "a web page", b"<!doctype html": "a web page", b"<?xml": "an XML file",
}  # fmt: skip


def sniff(head: bytes) -> Kind:
    """The kind of a file from its first `HEAD` bytes. Raises `InvalidInput` with a sentence for what is not taken.

    Whether an MP4 or WebM has a picture, and whether the file can be read at all, tell `reading.facts`.
    """
    if not head:
        raise InvalidInput("The file is empty.")
    known = _known(head)
    if known is None:
        raise InvalidInput(f"This is {_foreign(head)}, which cannot be published. {ACCEPTED}")
    return known


def _known(head: bytes) -> Kind | None:
    for start, kind in _OF_START.items():
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return _OF_RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return None if head[8:12] in _REFUSED_ISO else _OF_ISO.get(head[8:12], MP4)
    if head[4:8] in _ATOMS:
        return MOV
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _of_matroska(head[:4096])
    return MP3 if _is_mpeg_sound(head) else None


def _of_matroska(head: bytes) -> Kind | None:
    """By the document type that its header names."""
    if b"webm" in head:
        return WEBM
    return MKV if b"matroska" in head else None


def _is_mpeg_sound(head: bytes) -> bool:
    """Whether it begins with the header of an MP3's frame: layer III, a valid bit rate and sampling rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    is_layer_3 = head[1] & 0x06 == 0x02 and head[1] & 0x18 != 0x08
    return is_layer_3 and head[2] & 0xF0 not in (0x00, 0xF0) and head[2] & 0x0C != 0x0C


def _foreign(head: bytes) -> str:
    """A word for what is not taken."""
    named = _REFUSED_ISO.get(head[8:12]) if head[4:8] == b"ftyp" else None
    named = named or (_REFUSED_RIFF.get(head[8:12]) if head[:4] == b"RIFF" else None)
    started = (word for start, word in _REFUSED.items() if head.startswith(start))
    return named or _marked_up(head) or next(started, None) or _plain(head)


def _marked_up(head: bytes) -> str | None:
    start = head[:2048].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start.startswith(b"<"):
        return None
    return next((word for mark, word in _TEXTS.items() if mark in start), None)


def _plain(head: bytes) -> str:
    """Text is UTF-8 without control characters; its last character may be cut."""
    start = head[:1024]
    is_text = len(start.decode("utf-8", "ignore").encode()) > len(start) - 4
    has_controls = any(byte < 9 or 13 < byte < 32 for byte in start)
    return "a text file" if is_text and not has_controls and len(start) > 4 else "a file of an unknown kind"


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels as a picture's header says, before anything is decoded; None where it does not."""
    if head.startswith(b"\x89PNG"):
        return _pair(head, 16, "big", 4)
    if head.startswith(b"GIF8"):
        return _pair(head, 6, "little", 2)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return _webp_size(head)


def _pair(head: bytes, at: int, order: Literal["big", "little"], size: int) -> tuple[int, int] | None:
    if len(head) < at + 2 * size:
        return None
    return int.from_bytes(head[at : at + size], order), int.from_bytes(head[at + size : at + 2 * size], order)


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Of the first frame header; before it stand segments that tell their own length."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = _pair(head, at + 5, "big", 2)
            return (size[1], size[0]) if size else None
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    if head[12:16] == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    size = _pair(head, 26, "little", 2) if head[12:16] == b"VP8 " else None
    return (size[0] & 0x3FFF, size[1] & 0x3FFF) if size else None
