"""What a small offline recognizer hears."""

import io

import av
from pocketsphinx import Decoder


def words(sound: bytes) -> list[str]:
    """The English words in an audio file."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(io.BytesIO(sound)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(b"".join(frame.to_ndarray().tobytes() for frame in frames), full_utt=True)
    decoder.end_utt()
    return str(decoder.hyp().hypstr).split()
