"""What the practice writer draws: coloured circles on a ground, and the word “practice”, so that nobody takes it for a
model's work. The same words always give the same picture."""

import hashlib
import random
import struct
import zlib

import numpy as np
import numpy.typing as npt

from services.scripts.writer import Ratio

PIXELS = 640  # of the longer side
CIRCLES = 5
WORD = "PRACTICE"
DARK = 24  # of the band behind the word, 0 to 255
# Five dots wide, seven high: a number a row, its bits from left to right.
LETTERS = {
    "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17), "A": (14, 17, 17, 31, 17, 17, 17),
    "C": (14, 17, 16, 16, 16, 17, 14), "T": (31, 4, 4, 4, 4, 4, 4), "I": (14, 4, 4, 4, 4, 4, 14),
    "E": (31, 16, 16, 30, 16, 16, 31),
}  # fmt: skip
DOTS = 5 * len(WORD) + len(WORD) - 1  # across the word

Pixels = npt.NDArray[np.uint8]


def png(prompt: str, ratio: Ratio) -> bytes:
    """A picture of that shape, `PIXELS` on its longer side."""
    width, height = _size(ratio)
    chance = random.Random(hashlib.sha256(prompt.encode("utf-8", "replace")).digest())  # noqa: S311 - a pattern
    pixels = _ground(chance, width, height)
    for _ in range(CIRCLES):
        _circle(chance, pixels)
    _mark(pixels)
    return _encoded(pixels)


def _size(ratio: Ratio) -> tuple[int, int]:
    wide, high = map(int, ratio.split(":"))
    longer = max(wide, high)
    return PIXELS * wide // longer, PIXELS * high // longer


def _colour(chance: random.Random) -> npt.NDArray[np.float64]:
    return np.array([chance.randrange(40, 216) for _ in range(3)], float)


def _ground(chance: random.Random, width: int, height: int) -> Pixels:
    """One colour that blends into another."""
    shares = np.linspace(0.0, 1.0, height)[:, None]
    rows = _colour(chance) * (1 - shares) + _colour(chance) * shares
    return np.repeat(rows[:, None], width, axis=1).astype(np.uint8)


def _circle(chance: random.Random, pixels: Pixels) -> None:
    """Half transparent, so that they show through each other."""
    height, width = pixels.shape[:2]
    x, y, radius = chance.randrange(width), chance.randrange(height), chance.randrange(PIXELS // 16, PIXELS // 4)
    down, across = np.ogrid[:height, :width]
    inside = (down - y) ** 2 + (across - x) ** 2 <= radius**2
    pixels[inside] = (pixels[inside] + _colour(chance)) / 2


def _mark(pixels: Pixels) -> None:
    """The word in a dark band at the bottom."""
    height, width = pixels.shape[:2]
    dot = max(width // (3 * DOTS), 2)
    word = np.kron(_word(), np.ones((dot, dot), np.uint8))
    band = pixels[height - word.shape[0] - 4 * dot :]
    band[:] = DARK
    band[2 * dot : 2 * dot + word.shape[0], 2 * dot : 2 * dot + word.shape[1]][word == 1] = 255


def _word() -> Pixels:
    """Its dots, 1 where they are lit."""
    rows = ["0".join(f"{LETTERS[letter][row]:05b}" for letter in WORD) for row in range(7)]
    return np.array([[int(dot) for dot in row] for row in rows], np.uint8)


def _encoded(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # eight bits a colour, no transparency
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
