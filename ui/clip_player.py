"""A clip's picture and its player, fetched through the gated addresses; the player only when somebody plays it."""

from html import escape
from uuid import UUID

from services.clips import Clip

NO_PICTURE = {
    "pending": "Waiting to be prepared", "processing": "Being prepared", "failed": "Not prepared",
    "completed": "No picture",
}  # fmt: skip


def picture(clip: Clip) -> str:
    words = "Recording" if clip.media_type == "audio" else NO_PICTURE["completed"]
    return thumbnail(clip.id, clip.thumbnail_path, clip.final_status, version=_version(clip), words=words)


def thumbnail(
    clip_id: UUID, path: str | None, status: str, *, version: str = "1", words: str = NO_PICTURE["completed"]
) -> str:
    """A clip's picture, or why there is none; `words` are those of a finished clip."""
    if path:
        inside = f'<img src="/files/thumbnails/{clip_id}?v={version}" alt="" loading="lazy">'
    else:
        inside = f"<span>{words if status == 'completed' else NO_PICTURE[status]}</span>"
    return f'<div class="clip-picture">{inside}</div>'


def player(clip: Clip) -> str:
    """For a clip whose media are there."""
    label = escape(clip.name, quote=True)
    address = _address("clips", clip)
    save = f'<a href="/files/clips/{clip.id}?download=1" download="{escape(clip.file_name, quote=True)}">Download</a>'
    return f'<div class="clip-player">{_media(clip, address, label)}{save}</div>'


def _media(clip: Clip, address: str, label: str) -> str:
    if clip.media_type == "image":
        return f'<img src="{address}" alt="{label}" loading="lazy">'
    if clip.media_type == "audio":
        return f'<audio controls preload="none" src="{address}" aria-label="{label}">{_subtitles(clip)}</audio>'
    poster = f' poster="{_address("thumbnails", clip)}"' if clip.thumbnail_path else ""
    shown = f'controls preload="none" playsinline{poster} aria-label="{label}"'
    return f'<video {shown} src="{address}">{_subtitles(clip)}</video>'


def _subtitles(clip: Clip) -> str:
    if clip.subtitles_path is None:
        return ""
    return f'<track kind="subtitles" label="Subtitles" src="{_address("subtitles", clip)}">'


def _address(what: str, clip: Clip) -> str:
    """Another one for each version and cover: browsers keep what they have shown."""
    return f"/files/{what}/{clip.id}?v={_version(clip)}"


def _version(clip: Clip) -> str:
    return f"{clip.version}-{clip.cover_id}" if clip.cover_id else str(clip.version)
