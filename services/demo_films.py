"""Short films for the demo company's newest clips, drawn here: something to play, and to post for practice."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import av
import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from services.video import stills
from services.video.reading import facts

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT = 360, 640  # pixels: upright, as telephones show them
SECONDS, RATE = 4, 10  # frames a second
SUN = 48  # pixels across its middle
CRF = "28"  # x264's constant quality: flat colours need no more
DISC = np.hypot(*np.mgrid[-SUN:SUN, -SUN:SUN]) < SUN
LOOKS = (((250, 214, 165), (180, 83, 60)), ((190, 227, 219), (20, 110, 105)), ((222, 203, 238), (66, 45, 120)))


class Film:
    """A film's file and its picture, a JPEG; the same seed makes the same film."""

    def __init__(self, seed: str) -> None:
        with TemporaryDirectory(prefix="clipdesk-") as folder:
            file = Path(folder) / "film.mp4"
            _encode(Random(seed), file)  # noqa: S311 - the same film each time is what is wanted
            known = facts(file)
            self.data = file.read_bytes()
            self.thumbnail = stills.thumbnail(file, known) or b""
        self.width, self.height, self.seconds = WIDTH, HEIGHT, SECONDS


def _encode(rng: Random, file: Path) -> None:
    sky = _sky(rng.choice(LOOKS))
    height = int(HEIGHT * rng.uniform(0.25, 0.45))
    with av.open(str(file), "w", options={"movflags": "faststart"}) as container:
        options = {"crf": CRF, "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(SECONDS * RATE):
            drawn = _with_sun(sky, number * (WIDTH - 2 * SUN) // (SECONDS * RATE), height)
            container.mux(stream.encode(VideoFrame.from_ndarray(drawn, format="rgb24")))
        container.mux(stream.encode(None))


def _sky(look: tuple[tuple[int, ...], tuple[int, ...]]) -> Pixels:
    """From one colour above to another below."""
    top, bottom = (np.array(colour, np.float32) for colour in look)
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - down) + bottom * down, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def _with_sun(sky: Pixels, left: int, top: int) -> Pixels:
    drawn = sky.copy()
    drawn[top : top + 2 * SUN, left : left + 2 * SUN][DISC] = (255, 244, 214)
    return drawn
