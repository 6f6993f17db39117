"""Speech put on a clip: instead of its sound, or over it."""

from pathlib import Path

from services.errors import InvalidInput
from services.video import kinds, writing
from services.video.files import Progress, created, opened
from services.video.kinds import Kind
from services.video.reading import Facts
from services.video.sound import Mix, Mode
from services.video.writing import size_for

MEASURING = 0.3  # of the work's progress
LONGER = 0.25  # seconds by which speech may outlast a video whose last frame is not held for it


def put_speech(
    clip: Path, facts: Facts, speech: Path, spoken: Facts, mode: Mode, out: Path, progress: Progress = lambda _: None
) -> Kind:
    """Make `out`, the clip with the speech, all of it at `audio.TARGET`; returns its kind.

    A video's picture is copied as it is; only where the speech is longer, it is encoded anew and its last frame held.
    A picture becomes a video of the speech's length, sound becomes an MP3. Raises `InvalidInput`, `StorageFull`, and
    whatever `progress` raises.
    """
    seconds = _seconds(facts, spoken, mode)
    mix = Mix(clip, facts, speech, spoken, mode, seconds)
    frames = mix.levelled(lambda share: progress(MEASURING * share))
    kind = kinds.MP3 if facts.media_type == "audio" else kinds.MP4
    with opened(clip, facts.kind) as own, created(out, kind.ending) as made:
        if kind == kinds.MP3:
            streams = [writing.sounding(frames, made, "libmp3lame")]
        elif facts.media_type == "video" and seconds - (facts.seconds or 0) <= LONGER:
            streams = [writing.copied_picture(own, made, facts), writing.sounding(frames, made, "aac")]
        else:
            size = size_for(facts.width or 0, facts.height or 0)
            picture = writing.encoded_picture(own, made, facts, size, until=seconds)
            streams = [picture, writing.sounding(frames, made, "aac")]
        writing.weave(made, seconds, lambda share: progress(MEASURING + (1 - MEASURING) * share), *streams)
    return kind


def _seconds(facts: Facts, spoken: Facts, mode: Mode) -> float:
    """A video plays to its end; sound that is replaced is gone."""
    speech = spoken.seconds or 0.0
    if spoken.media_type != "audio":
        raise InvalidInput("What was to be put on the clip is not sound.")
    if facts.media_type == "video" or (facts.media_type == "audio" and mode == "mix"):
        return max(speech, facts.seconds or 0.0)
    return speech
