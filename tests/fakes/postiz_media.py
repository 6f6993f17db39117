"""Uploads to Postiz: the multipart form, and the kind of a file by its first bytes alone."""

import re
from typing import NamedTuple

from tests.fakes.postiz_wire import said, string_refusal
from tests.fakes.web import Reply, Request

LARGEST_IMAGE = 10 * 1024 * 1024
LARGEST_VIDEO = 1024 * 1024 * 1024
_NAME = re.compile(rb'name="([^"]*)"')


class Part(NamedTuple):
    name: str
    data: bytes


class Media(NamedTuple):
    extension: str
    data: bytes


def read(request: Request, largest_image: int = LARGEST_IMAGE, largest_video: int = LARGEST_VIDEO) -> Media | Reply:
    """The file of an upload, or its refusal."""
    parts = _parts(request)
    if not parts:
        return said("No file provided", 400)
    odd = next((part.name for part in parts if part.name != "file"), None)
    if odd is not None:
        return string_refusal(f"Unexpected field - {odd}")
    data = parts[0].data
    extension = kind(data)
    if extension is None:
        return string_refusal("Unsupported file type.")
    largest = largest_video if extension == "mp4" else largest_image
    if len(data) > largest:
        return string_refusal(f"File size exceeds the maximum allowed size of {largest} bytes.")
    return Media(extension, data)


def kind(data: bytes) -> str | None:
    starts = {
        b"\xff\xd8\xff": "jpg",
        b"\x89PNG": "png",
        b"GIF8": "gif",
        b"BM": "bmp",
        b"II*\0": "tiff",
        b"MM\0*": "tiff",
    }
    found = next((name for start, name in starts.items() if data.startswith(start)), None)
    if found is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if found is None and data[4:8] == b"ftyp":
        return _iso(data[8:12])
    return found


def _iso(brand: bytes) -> str | None:
    if brand == b"avif":
        return "avif"
    return None if brand == b"qt  " else "mp4"


def _parts(request: Request) -> list[Part]:
    content_type = request.headers.get("content-type", "")
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if not content_type.startswith("multipart/form-data") or boundary is None:
        return []
    pieces = request.body.split(b"--" + boundary.group(1).encode())[1:-1]
    return [part for piece in pieces if (part := _part(piece)) is not None]


def _part(piece: bytes) -> Part | None:
    head, found, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    name = _NAME.search(head)
    return Part(name.group(1).decode(), data.removesuffix(b"\r\n")) if found and name else None
