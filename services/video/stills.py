"""Pictures that stand still: upright JPEGs of photos, and a video's frame that shows something."""

import io
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from services.errors import InvalidInput
from services.video import kinds
from services.video.files import BROKEN, opened, picture_of, pictures
from services.video.kinds import Kind
from services.video.reading import LARGEST, Facts
from services.video.writing import has_alpha, on_white, size_for, stored, turned

LARGEST_FILE = 10 * 2**20  # bytes of a picture that networks take
FINE = 3  # quantizer of a JPEG, 2 (best) to 31
SMALLER = ((LARGEST, FINE), (4096, FINE), (4096, 6), (2048, 6))  # longest side and quantizer, tried in turn
THUMBNAIL = 640  # pixels of its longer side
PLACES = (0.1, 0.25, 0.5, 0.75, 0.0)  # shares of a video at which a frame is looked for
FRAMES = 120  # decoded at each place at most
EACH = 12  # of them, so many are passed between two that are looked at
PATIENCE = 20.0  # seconds after which the best frame so far is taken
DARK, FLAT = 20.0, 8.0  # mean and deviation of brightness (0 to 255) below which a frame shows nothing


def publishable(file: Path, facts: Facts, out: Path) -> Kind | None:
    """A turned photo is stored upright, one too large for networks as a smaller JPEG. What moves stays as it is."""
    if facts.seconds is not None or (facts.bytes <= LARGEST_FILE and not facts.rotation):
        return None
    with opened(file, facts.kind) as container:
        frame = next(_frames(container))
        out.write_bytes(_jpeg_that_fits(frame, facts))
    return kinds.JPEG


def _jpeg_that_fits(frame: VideoFrame, facts: Facts) -> bytes:
    data = b""
    for longest, quantizer in SMALLER:
        data = jpeg(frame, facts, longest, quantizer)
        if len(data) <= LARGEST_FILE:
            break
    return data


def thumbnail(file: Path, facts: Facts) -> bytes | None:
    """A JPEG of at most `THUMBNAIL` pixels a side that shows something; None for sound. Raises `InvalidInput`."""
    if facts.media_type == "audio":
        return None
    with opened(file, facts.kind) as container:
        frame = _telling(container, facts) if facts.media_type == "video" else next(_frames(container))
        return jpeg(frame, facts, THUMBNAIL, FINE)


def picture(file: Path, facts: Facts, longest: int) -> bytes:
    """A picture as a JPEG of at most `longest` pixels a side, of its pixels alone. Raises `InvalidInput`."""
    with opened(file, facts.kind) as container:
        return jpeg(next(_frames(container)), facts, longest, FINE)


def _frames(container: InputContainer) -> Iterator[VideoFrame]:
    """At least one."""
    stream = picture_of(container)
    if stream is not None:
        yield from pictures(container, stream)
    raise InvalidInput(BROKEN)


def _telling(container: InputContainer, facts: Facts) -> VideoFrame:
    """The first frame near one of `PLACES` that is neither black nor flat, else the one with the most in it."""
    best, most, began = None, -1.0, time.monotonic()
    for frame in chain.from_iterable(_near(container, facts, place) for place in PLACES):
        if shows_something(frame):
            return frame
        deviation = _brightness(frame)[1]
        if deviation > most:
            best, most = frame, deviation
        if time.monotonic() - began > PATIENCE:
            break
    if best is None:
        raise InvalidInput(BROKEN)
    return best


def _near(container: InputContainer, facts: Facts, place: float) -> Iterator[VideoFrame]:
    """Some frames from the key frame before that share of the time on."""
    stream = picture_of(container)
    if stream is None:
        return
    container.seek(int((facts.start + place * (facts.seconds or 0.0)) * 1_000_000))
    yield from islice(pictures(container, stream), 0, FRAMES, EACH)


def shows_something(frame: VideoFrame) -> bool:
    """Whether it is neither black nor of one colour."""
    mean, deviation = _brightness(frame)
    return mean > DARK and deviation > FLAT


def _brightness(frame: VideoFrame) -> tuple[float, float]:
    """Mean and deviation of a small grey copy."""
    grey = frame.reformat(64, 64, "gray").to_ndarray()
    return float(grey.mean()), float(grey.std())


def jpeg(frame: VideoFrame, facts: Facts, longest: int, quantizer: int) -> bytes:
    """The frame upright, at most `longest` pixels a side, white where it is transparent, without a camera's notes."""
    size = stored(size_for(facts.width or 0, facts.height or 0, longest), facts.rotation)
    plain = on_white(frame, size) if has_alpha(frame) else frame
    pixels = turned(
        plain.reformat(size.width, size.height, "rgb24").to_ndarray().astype(np.uint8, copy=False), facts.rotation
    )
    return _encoded(VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"), quantizer)


def _encoded(frame: VideoFrame, quantizer: int) -> bytes:
    out = io.BytesIO()
    options = {"qmin": str(quantizer), "qmax": str(quantizer)}
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        fit = frame.reformat(format="yuvj420p")
        fit.pts = 0
        container.mux(stream.encode(fit))
        container.mux(stream.encode(None))
    return out.getvalue()
