"""Files of the media store for whoever may read the row that names them: speech, clips, thumbnails, subtitles, covers,
exports."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple
from uuid import UUID

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from services import clips
from services.config import settings
from services.costs import exports
from services.database.door import Database
from services.errors import InvalidInput, NotFound
from services.identity import Person
from services.media.connect import media_of
from services.media.folder import Folder
from services.media.storage import KINDS
from services.scripts import covers
from services.speech import generation
from ui.web import Endpoint, in_thread, own_forms_only, person_of

LINK_SECONDS = 3600  # a player asks for more of a long file as it goes


class Named(NamedTuple):
    """A file that a row names, its name for saving, and its media type where its ending does not tell."""

    path: str
    file_name: str
    kind: str | None = None


AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}


def speech(database: Database, speech_id: UUID) -> Named:
    found = generation.get(database, speech_id)
    return Named(found.media_path, found.file_name, AUDIO[found.format])


def clip(database: Database, clip_id: UUID) -> Named:
    """The clip as it is played and published. Deleted ones are not given out."""
    found = clips.get(database, clip_id)
    if found.deleted_at:
        raise NotFound
    return Named(_there(found.media_path), found.file_name)


def thumbnail(database: Database, clip_id: UUID) -> Named:
    """Of deleted clips too: people choose by it what to bring back."""
    path = _there(clips.get(database, clip_id).thumbnail_path)
    return Named(path, PurePosixPath(path).name)


def subtitles(database: Database, clip_id: UUID) -> Named:
    found = clips.get(database, clip_id)
    return Named(_there(found.subtitles_path), f"{PurePosixPath(found.file_name).stem}.vtt")


def cover(database: Database, cover_id: UUID) -> Named:
    return Named(covers.get(database, cover_id).media_path, "cover.jpg")


def small_cover(database: Database, cover_id: UUID) -> Named:
    return Named(covers.get(database, cover_id).thumbnail_path, "cover-small.jpg")


def export(database: Database, export_id: UUID) -> Named:
    """For who asked and still sees its stores; the ledger's months for admins and finance."""
    found = exports.file(database, export_id)
    return Named(found.path, found.file_name)


def _there(path: str | None) -> str:
    if path is None:
        raise NotFound
    return path


Find = Callable[[Database, UUID], Named]
Send = Callable[[Person, Named, bool], Response]


def _as_file(person: Person, named: Named, download: bool) -> Response:
    """The file itself from a folder; from the cloud's store a link that only this person got. Ranges are served."""
    store, save_as = media_of(person), named.file_name if download else None
    if link := store.link(named.path, LINK_SECONDS, save_as):
        return RedirectResponse(link, 307)
    if not store.exists(named.path):
        raise NotFound("The file is missing from the media folder.")
    kind = named.kind or KINDS.get(PurePosixPath(named.path).suffix, "application/octet-stream")
    return FileResponse(Folder(settings().media_folder).path(named.path), media_type=kind, filename=save_as)


def _as_text(person: Person, named: Named, download: bool) -> Response:
    """Small, and from this site itself: a player takes subtitles from nowhere else."""
    headers = {"content-disposition": f'attachment; filename="{named.file_name}"'} if download else {}
    return Response(media_of(person).read(named.path), media_type="text/vtt", headers=headers)


def _route(find: Find, send: Send = _as_file) -> Endpoint:
    """`?download=1` names the file. Who may not read the row learns no more than that nothing is found."""

    @own_forms_only
    async def endpoint(request: Request) -> Response:
        person = await person_of(request)
        if person is None:
            return PlainTextResponse("Sign in first.", 401)
        try:
            named = await in_thread(find, person.database, UUID(request.path_params["id"]))
            return await in_thread(send, person, named, bool(request.query_params.get("download")))
        except (ValueError, InvalidInput, NotFound):
            return PlainTextResponse("Not found.", 404)

    return endpoint


ROUTES = [
    Route("/files/speech/{id}", _route(speech)),
    Route("/files/clips/{id}", _route(clip)),
    Route("/files/thumbnails/{id}", _route(thumbnail)),
    Route("/files/subtitles/{id}", _route(subtitles, _as_text)),
    Route("/files/covers/{id}", _route(cover)),
    Route("/files/small-covers/{id}", _route(small_cover)),
    Route("/files/exports/{id}", _route(export)),
]
