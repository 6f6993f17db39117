"""An uploaded clip on its way: received in blocks, looked at by its first bytes, handed to the media store."""

import errno
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services import clips, video
from services.clips import UploadedSource, UploadTarget
from services.config import settings
from services.database.connect import doors
from services.errors import InvalidInput, NotAllowed, StorageFull
from services.identity import Person
from services.logs import tag
from services.media.connect import media_of
from services.media.door import Media
from services.media.folder import NO_ROOM

log = logging.getLogger(__name__)

NO_ROOM_HERE = "The server's disk is full, so the file could not be taken. Tell an admin, then send it again."
EMPTY = "The file is empty."
CUT = "The file arrived incomplete. Send it again."
SOUND_ALONE = "A recording without pictures goes into a podcast project."
LONGEST_NAME = 200  # characters of a clip's name


class Order(BaseModel):
    """What is being uploaded, and where to. `clip_id` stays the same when the same file is sent again."""

    model_config = ConfigDict(frozen=True)

    profile_id: UUID
    project_id: UUID
    clip_id: UUID
    name: str  # the person's own name of the file

    @property
    def title(self) -> str:
        """The clip's name to begin with: the file's, without its ending."""
        name = PurePosixPath(self.name.replace("\\", "/")).name
        return (PurePosixPath(name).stem.strip() or "Clip")[:LONGEST_NAME]


class Draft:
    """A file that nobody can reach by a name: it is gone with the process or the connection that fills it."""

    def __init__(self, file: BinaryIO, target: UploadTarget) -> None:
        self._file = file
        self._target = target
        self.bytes = 0
        self.kind: video.Kind | None = None

    def take(self, block: bytes) -> None:
        """The next bytes; the first ones tell what it is. Raises `InvalidInput`, `StorageFull`."""
        if self.kind is None:
            self.kind = self._sniffed(block)
        with _room():
            self._file.write(block)
        self.bytes += len(block)

    def _sniffed(self, head: bytes) -> video.Kind:
        kind = video.sniff(head)
        if kind.media_type == "audio" and self._target.kind != "podcast":
            raise InvalidInput(SOUND_ALONE)
        return kind

    def keep(self, person: Person, order: Order) -> UUID:
        """Store it as the person, and make the clip. Raises what `Media.write` and `clips.add` raise."""
        if self.kind is None:
            raise InvalidInput(EMPTY)
        path = clips.upload_path(self._target.account_id, order.profile_id, order.clip_id, self.kind.ending)
        with _room():
            self._file.seek(0)
        self._store(media_of(person), path)
        source = UploadedSource(path=path, name=order.name, bytes=self.bytes, media_type=self.kind.media_type)
        return clips.add(person.database, order.profile_id, order.project_id, order.title, source)

    def _store(self, media: Media, path: str) -> None:
        """In the cloud nobody replaces a file: that of an earlier try, whose clip was not made, is as good."""
        try:
            media.write(path, self._file)
        except NotAllowed:
            if not media.exists(path) or media.size(path) != self.bytes:
                raise


def begin(person: Person, order: Order) -> UploadTarget:
    """Raises `NotFound`, `NotAllowed`, `StoreSuspended` before a byte is read."""
    return clips.upload_target(person.database, order.profile_id, order.project_id)


def is_there(person: Person, order: Order) -> bool:
    """Whether this upload got through before and only its answer was lost."""
    found = person.database.select(clips.Clip, [("id", "eq", order.clip_id), ("profile_id", "eq", order.profile_id)])
    return bool(found)


@contextmanager
def draft(target: UploadTarget) -> Iterator[Draft]:
    """Room for an upload, on the disk of the media; where those are in the cloud, in the machine's own folder."""
    with _room():
        file = tempfile.TemporaryFile(dir=_folder())  # noqa: SIM115 - closed below
    with file:
        yield Draft(cast(BinaryIO, file), target)


def _folder() -> Path | None:
    if doors().hosted:
        return None
    folder = settings().media_folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in (*NO_ROOM, errno.EFBIG):
            raise
        log.warning("%s no room for an upload: %s", tag(None), exc)
        raise StorageFull(NO_ROOM_HERE) from exc
