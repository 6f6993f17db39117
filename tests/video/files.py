"""Small media files, made here: a test pattern, tones, and what people upload by mistake."""

import io
import struct
import wave
from fractions import Fraction

import av
import numpy as np

RATE = 48_000


def pattern(at, width, height):
    """A frame with edges in it that differs from its neighbours."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    grey = ((x * 7 + at * 5) ^ (y * 5)) % 256
    return np.stack([grey, 255 - grey, (grey + at * 9) % 256], axis=2).astype(np.uint8)


def tone(seconds, amplitude=0.1, hertz=220):
    """A steady tone, two channels."""
    wave_ = amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave_, wave_]).astype(np.float32)


def beep(at, seconds, amplitude=0.3):
    """Silence but for 0.1 s that begin at `at`."""
    samples = np.zeros((2, round(seconds * RATE)), np.float32)
    start = round(at * RATE)
    samples[:, start : start + RATE // 10] = tone(0.1, amplitude, 1000)
    return samples


def film(
    path, *, fmt="mp4", codec="libx264", sound_codec="aac", width=64, height=48, seconds=2.0, rate=25, sound=None,
    frames=None, times=None, pixels="yuv420p", options=None, sound_start=0.0,
    encoder=None,
):  # fmt: skip
    """A film of the test pattern with a tone; `sound` "none": without. `times`: of its frames in seconds.

    `encoder`: options of the picture's.
    """
    samples = tone(seconds) if sound is None else sound
    with av.open(str(path), "w", format=fmt, container_options=options or {}) as out:
        picture = out.add_stream(codec, rate=rate, options={"threads": "1", **(encoder or {})})
        picture.width, picture.height, picture.pix_fmt = width, height, pixels
        picture.codec_context.time_base = Fraction(1, 1000)
        added = None
        if not isinstance(samples, str):
            added = out.add_stream(sound_codec, rate=RATE, layout="stereo")
        for number, at in enumerate(times or [n / rate for n in range(round(seconds * rate))]):
            image = frames(number) if frames else pattern(number, width, height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(at * 1000), Fraction(1, 1000)
            out.mux(picture.encode(frame))
        out.mux(picture.encode(None))
        if added is not None:
            _add_sound(out, added, samples, round(sound_start * RATE))
    return path


def _add_sound(out, stream, samples, start):
    for at in range(0, samples.shape[1], 960):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, at : at + 960]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start + at, Fraction(1, RATE)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def recording(path, samples=None, *, fmt="mp3", codec="libmp3lame"):
    """A sound file."""
    with av.open(str(path), "w", format=fmt) as out:
        stream = out.add_stream(codec, rate=RATE, layout="stereo")
        _add_sound(out, stream, tone(2.0) if samples is None else samples, 0)
    return path


def wav(path, samples):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(len(samples))
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(np.rint(samples.T * 32_767).astype("<i2").tobytes())
    return path


def picture(path, image, *, fmt="image2pipe", codec="png", pixels="rgb24", frames=1):
    """A picture file; a GIF of `frames` pictures moves."""
    with av.open(str(path), "w", format=fmt) as out:
        stream = out.add_stream(codec, rate=10)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = pixels
        for number in range(frames):
            source = "rgba" if image.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.roll(image, number, axis=1), format=source).reformat(format=pixels)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def jpeg(path, image, orientation=None):
    """A photo; `orientation` as a camera notes it (6: to be turned clockwise)."""
    picture(path, image, fmt="mjpeg", codec="mjpeg", pixels="yuvj420p")
    if orientation:
        notes = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
        data = path.read_bytes()
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(notes) + 2) + notes + data[2:])
    return path


TURNS = {90: (0, 65536, -65536, 0), 180: (-65536, 0, 0, -65536), 270: (0, -65536, 65536, 0)}


def turned(path, degrees):
    """An MP4 whose picture is to be turned clockwise, as phones note it."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 44
    a, b, c, d = TURNS[degrees]
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def loud_at(path):
    """Seconds at which a file's sound first rises, and its samples in one channel."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", RATE)
        first, blocks = None, []
        for frame in container.decode(audio=0):
            first = frame.time if first is None else first
            blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    samples = np.concatenate(blocks)
    return first + float(np.argmax(np.abs(samples) > 0.05)) / RATE, samples


def shown(path):
    """All frames of a file as (seconds, RGB pixels)."""
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def size_of(data):
    """Width and height of a JPEG."""
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(video=0))
        return frame.width, frame.height
