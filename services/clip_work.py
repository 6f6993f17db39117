"""The worker's part of clips: what was uploaded is made ready to publish, and speech is put on it."""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from services import clips
from services.clips import Clip
from services.errors import Conflict, InvalidInput, NotFound
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.jobs.workplace import room, workplace
from services.media.folder import BLOCK, Folder
from services.speech import generation, passages
from services.speech.generation import SpeechAsset
from services.video import preparing, reading, speaking, stills, subtitles
from services.video.kinds import Kind
from services.video.reading import Facts

CHECK_SECONDS = 2.0  # between two looks whether to go on
LONGEST_WORK = 6 * 3600.0  # seconds of one attempt
CHANGED = "This clip was changed after this was ordered, so nothing was done."
SOURCE_GONE = "The file of this clip is not kept. Upload it again."


def prepare(context: Context) -> None:
    """Read an uploaded file, make it what networks take, and draw its thumbnail."""
    clip = _ordered_clip(context)
    with workplace(context) as place:
        file = fetched(context, context.job.input["path"], place)
        facts = _facts(context, file)
        media = context.step("media", lambda: _publishable(context, clip, file, facts, place), _usable(context))
        context.progress(0.95, "Drawing the thumbnail")
        thumbnail = context.step("thumbnail", lambda: _thumbnail(context, clip, file, facts), _usable(context))
    context.check()
    context.finish("clip_prepared", p_media=media["media"], p_thumbnail=thumbnail["media_path"])


def put_speech(context: Context) -> None:
    """Put speech of the store on a clip, on its own sound whatever was put on it before."""
    clip = _ordered_clip(context)
    speech = _ordered_speech(context, clip)
    with workplace(context) as place:
        media = context.step("media", lambda: _spoken(context, clip, speech, place), _usable(context))
        context.progress(0.95, "Writing the subtitles")
        written = context.step("subtitles", lambda: _subtitles(context, clip, speech), _usable(context))
    context.check()
    context.finish("speech_put", p_media=media["media"], p_subtitles=written["media_path"])


# What was ordered -------------------------------------------------------------------------------------------------


def _ordered_clip(context: Context) -> Clip:
    clip = clips.get(context.database, UUID(context.job.input["clip_id"]))
    if clip.profile_id != context.job.profile_id:
        raise NotFound("Clip not found. It may belong to another store.")
    if clip.version != context.job.input["version"]:
        raise Conflict(CHANGED)
    return clip


def _ordered_speech(context: Context, clip: Clip) -> SpeechAsset:
    speech = generation.get(context.database, UUID(context.job.input["speech_id"]))
    if speech.profile_id != clip.profile_id:
        raise NotFound("Speech not found. It may belong to another store.")
    return speech


# Steps ------------------------------------------------------------------------------------------------------------


def _facts(context: Context, file: Path) -> Facts:
    outcome = context.step("facts", lambda: asdict(reading.facts(file, Teller(context, 0.0, 0.1, "Reading the file"))))
    return Facts(**{**outcome, "kind": Kind(**outcome["kind"])})


def _publishable(context: Context, clip: Clip, file: Path, facts: Facts, place: Path) -> Outcome:
    made = place / "publishable"
    with room():
        kind = preparing.publishable(file, facts, made, Teller(context, 0.1, 0.9, "Making it ready to publish"))
    if kind is None:
        return _outcome(context.job.input["path"], facts)
    return _stored(context, clip, made, kind)


def _thumbnail(context: Context, clip: Clip, file: Path, facts: Facts) -> Outcome:
    data = stills.thumbnail(file, facts)
    if data is None:
        return _made(None)
    path = _path(context, clip, "thumbnails", "jpg")
    context.media.write(path, data)
    reached("thumbnail_written")
    return _made(path)


def _spoken(context: Context, clip: Clip, speech: SpeechAsset, place: Path) -> Outcome:
    own = _own_media(context, clip, place)
    facts = reading.facts(own, Teller(context, 0.2, 0.25, "Reading the clip"))
    voice = fetched(context, speech.media_path, place)
    made = place / "spoken"
    with room():
        kind = speaking.put_speech(
            own, facts, voice, reading.facts(voice), context.job.input["mode"], made,
            Teller(context, 0.25, 0.9, "Putting the speech on the clip"),
        )  # fmt: skip
    return _stored(context, clip, made, kind)


def _own_media(context: Context, clip: Clip, place: Path) -> Path:
    """The clip with its own sound; made anew from what was uploaded where speech is on it."""
    if clip.speech_id is None and clip.media_path is not None:
        return fetched(context, clip.media_path, place)
    if clip.source_path is None:
        raise NotFound(SOURCE_GONE)
    file, made = fetched(context, clip.source_path, place), place / "own"
    facts = reading.facts(file, Teller(context, 0.0, 0.05, "Reading the file"))
    with room():
        kind = preparing.publishable(file, facts, made, Teller(context, 0.05, 0.2, "Taking the old speech off"))
    return file if kind is None else made


def _subtitles(context: Context, clip: Clip, speech: SpeechAsset) -> Outcome:
    text = _webvtt(context, speech)
    if text is None:
        return _made(None)
    path = _path(context, clip, "clips", "vtt")
    context.media.write(path, text.encode())
    return _made(path)


def _webvtt(context: Context, speech: SpeechAsset) -> str | None:
    """None where nobody knows when the passages are heard: for old speech of several of them."""
    known: dict[str, Any] = context.database.call("speech_spans", p_speech_id=speech.id) or {}
    said: list[str] = known.get("passages") or []
    spans = known.get("spans") or ([[0.0, speech.duration_seconds]] if len(said) == 1 else None)
    if spans is None or len(spans) != len(said):
        return None
    return subtitles.webvtt(_as_written(speech.text, said), spans)


def _as_written(text: str, said: list[str]) -> list[str]:
    """The passages as they were typed: names are spoken as the dictionary says, but not read so."""
    written = passages.split(text, len(text))
    return written if len(written) == len(said) else said


# Files ------------------------------------------------------------------------------------------------------------


def _stored(context: Context, clip: Clip, file: Path, kind: Kind) -> Outcome:
    """The made file, read once more: what does not play is not stored."""
    facts = reading.facts(file)
    path = _path(context, clip, "clips", kind.ending)
    reached("clip_made")
    with file.open("rb") as data:
        context.media.write(path, data)
    reached("clip_written")
    return _outcome(path, facts)


def _outcome(path: str, facts: Facts) -> Outcome:
    """With what `clip_prepared` and `speech_put` take."""
    media = {
        "media_path": path, "media_type": facts.media_type, "duration_seconds": facts.seconds, "bytes": facts.bytes,
        "width": facts.width, "height": facts.height, "has_sound": facts.has_sound,
    }  # fmt: skip
    return {**_made(path), "media": media}


def _made(path: str | None) -> Outcome:
    """`media_path` keeps the sweeper from the file while the job is open."""
    return {"media_path": path, "made_at": datetime.now(UTC).isoformat()}


def _usable(context: Context) -> Callable[[Outcome], bool]:
    """Whether an earlier attempt's file is there, and far from the age at which an ended job's files are swept."""
    youngest = datetime.now(UTC) - timedelta(hours=context.options.sweep_hours / 2)

    def usable(outcome: Outcome) -> bool:
        path = outcome["media_path"]
        young = datetime.fromisoformat(outcome["made_at"]) > youngest
        return path is None or (young and context.media.exists(path))

    return usable


def _path(context: Context, clip: Clip, folder: str, ending: str) -> str:
    """Contains the attempt's token: no two attempts ever write the same file."""
    return f"{folder}/{clip.account_id}/{clip.profile_id}/{clip.id}-{context.job.attempt_token}.{ending}"


def fetched(context: Context, path: str, place: Path) -> Path:
    """The file on this machine: where it lies, or a copy in `place`. Raises `NotFound`, `StorageFull`."""
    if isinstance(context.media, Folder):
        context.media.size(path)
        return context.media.path(path)
    copy = place / PurePosixPath(path).name
    with room(), context.media.open(path) as source, copy.open("wb") as out:
        shutil.copyfileobj(source, out, BLOCK)
    return copy


class Teller:
    """Tells a part of a job's progress, and looks now and then whether to go on."""

    def __init__(self, context: Context, start: float, end: float, sentence: str) -> None:
        self._context = context
        self._start, self._end = start, end
        self._sentence = sentence
        self._begun = self._looked = time.monotonic()

    def __call__(self, share: float) -> None:
        """Raises `Cancelled`, `AttemptLost`, or `InvalidInput` for work without end."""
        self._context.progress(self._start + (self._end - self._start) * share, self._sentence)
        now = time.monotonic()
        if now - self._looked < CHECK_SECONDS:
            return
        self._looked = now
        self._context.check()
        if now - self._begun > LONGEST_WORK:
            raise InvalidInput("This took more than six hours and was stopped. Upload a shorter or smaller file.")
