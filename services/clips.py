"""Projects and clips of a store: made, found, renamed, deleted and brought back, and speech put on them."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import ClassVar, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict

from services.database.door import ROW_CAP, Database, Order, Row
from services.errors import NotFound
from services.jobs import queue
from services.jobs.queue import Job
from services.logs import tag

log = logging.getLogger(__name__)

ProjectKind = Literal["video", "podcast"]
MediaType = Literal["video", "image", "audio"]
Status = Literal["pending", "processing", "completed", "failed"]
Shown = Literal["completed", "working", "failed", "deleted"]  # what a page of clips is narrowed to
Mode = Literal["replace", "mix"]
JOBS = ("prepare_clip", "put_speech")  # kinds of work on a clip; one at a time
NEWEST: Sequence[Order] = (("created_at", "desc"), ("id", "desc"))
UNDER_WAY = 200  # jobs of a store whose progress is shown


class Project(Row):
    """Work of a store: videos, or a podcast with its episodes."""

    table: ClassVar[str] = "projects"

    id: UUID
    account_id: UUID
    profile_id: UUID
    kind: ProjectKind
    name: str
    cover_id: UUID | None  # the picture that is shown of it
    created_by: UUID | None
    created_at: datetime
    deleted_at: datetime | None

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.created_at, self.id


class Clip(Row):
    """A clip or episode. `media_path` is what is played and published; None until it was prepared."""

    table: ClassVar[str] = "clips"

    id: UUID
    account_id: UUID
    profile_id: UUID
    project_id: UUID
    name: str
    final_status: Status
    media_type: MediaType | None  # None: from before files were kept
    media_path: str | None
    thumbnail_path: str | None
    cover_id: UUID | None  # the cover that is its thumbnail; None: the film's own
    subtitles_path: str | None  # WebVTT of the speech that was put on it
    source_path: str | None  # as uploaded
    source_name: str | None  # the person's own name of the file
    duration_seconds: float | None
    bytes: int | None
    width: int | None  # pixels
    height: int | None
    has_sound: bool | None
    speech_id: UUID | None  # put on it; None: its own sound
    speech_mode: Mode | None
    error: str | None  # a sentence: why the last work on it failed
    version: int
    created_by: UUID | None
    created_at: datetime
    deleted_at: datetime | None

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.created_at, self.id

    @property
    def ready(self) -> bool:
        """Whether it can be played and published."""
        return self.final_status == "completed" and self.media_path is not None

    @property
    def file_name(self) -> str:
        """For downloads: the first words of its name, in plain letters and digits."""
        words = "".join(c if c.isascii() and c.isalnum() else " " for c in self.name).split()
        return f"{'-'.join(words[:8]).lower()[:60] or 'clip'}{PurePosixPath(self.media_path or '').suffix}"


class UploadedSource(BaseModel):
    """A file that was uploaded and stored. `path` is one that `upload_path` made."""

    model_config = ConfigDict(frozen=True)

    path: str
    name: str  # the person's own
    bytes: int
    media_type: MediaType


class UploadTarget(BaseModel):
    """Where a person may upload to."""

    model_config = ConfigDict(frozen=True)

    account_id: UUID
    kind: ProjectKind


# Projects ---------------------------------------------------------------------------------------------------------


def projects(database: Database, profile_id: UUID, *, deleted: bool = False) -> list[Project]:
    """All projects of a store, or all deleted ones, newest first."""
    return [p for p in _projects(database, profile_id) if (p.deleted_at is not None) == deleted]


def _projects(database: Database, profile_id: UUID) -> Iterator[Project]:
    after = None
    while found := database.select(Project, [("profile_id", "eq", profile_id)], order=NEWEST, after=after):
        yield from found
        if len(found) < ROW_CAP:
            return
        after = found[-1].key


def create_project(
    database: Database, profile_id: UUID, kind: ProjectKind, name: str, project_id: UUID | None = None
) -> UUID:
    """`project_id` kept until the request got through makes the same click make one project.

    Raises `InvalidInput` (field `name` or `kind`), `NotFound`, `NotAllowed`, `StoreSuspended`, `Conflict`.
    """
    project_id = project_id or uuid4()
    database.call("create_project", p_id=project_id, p_profile_id=profile_id, p_kind=kind, p_name=name)
    log.info("%s made project %s", tag(profile_id), project_id)
    return project_id


def rename_project(database: Database, project_id: UUID, name: str) -> None:
    """Raises `InvalidInput` (field `name`), `NotFound`, `NotAllowed`."""
    database.call("rename_project", p_project_id=project_id, p_name=name)


def delete_project(database: Database, project_id: UUID) -> int:
    """Its clips go with it; returns how many. Raises `Conflict` while a post of one is on its way, `NotFound`."""
    return int(database.call("delete_project", p_project_id=project_id))


def restore_project(database: Database, project_id: UUID) -> None:
    """Bring it back with the clips that went with it."""
    database.call("restore_project", p_project_id=project_id)


# Finding clips ----------------------------------------------------------------------------------------------------


def page(
    database: Database,
    profile_id: UUID,
    project: UUID | None = None,
    status: Shown | None = None,
    search: str | None = None,
    media_type: MediaType | None = None,
    limit: int = 24,
    after: tuple[datetime, UUID] | None = None,
) -> list[Clip]:
    """A store's clips, newest first; None = any. `search`: beginnings of words of a clip's or its file's name.

    `after` is the last seen one's `key`. Raises `NotFound`.
    """
    at, id_ = after or (None, None)
    rows = database.call(
        "clips_page", p_profile_id=profile_id, p_project_id=project, p_status=status, p_media_type=media_type,
        p_text=search, p_before_at=at, p_before_id=id_, p_limit=limit,
    )  # fmt: skip
    return [Clip.model_validate(row) for row in rows]


def get(database: Database, clip_id: UUID) -> Clip:
    """Deleted ones too, while they can be brought back. Raises `NotFound`, also for another store's clip."""
    found = database.select(Clip, [("id", "eq", clip_id)])
    if not found:
        raise NotFound("Clip not found. It may belong to another store.")
    return found[0]


def work(database: Database, profile_id: UUID) -> dict[UUID, Job]:
    """The jobs under way, by their clip."""
    jobs = database.select(
        Job,
        [("profile_id", "eq", profile_id), ("kind", "in", list(JOBS)), ("status", "in", ["pending", "running"])],
        order=NEWEST,
        limit=UNDER_WAY,
    )
    return {UUID(job.input["clip_id"]): job for job in jobs}


# Clips ------------------------------------------------------------------------------------------------------------


def upload_target(database: Database, profile_id: UUID, project_id: UUID) -> UploadTarget:
    """Whether the person may upload there now. Raises `NotFound`, `NotAllowed`, `StoreSuspended`."""
    answer = database.call("upload_target", p_profile_id=profile_id, p_project_id=project_id)
    return UploadTarget.model_validate(answer)


def upload_path(account_id: UUID, profile_id: UUID, clip_id: UUID, ending: str) -> str:
    """Where the file of the clip to come is stored."""
    return f"uploads/{account_id}/{profile_id}/{clip_id}.{ending.lstrip('.')}"


def add(database: Database, profile_id: UUID, project_id: UUID, name: str, source: UploadedSource) -> UUID:
    """Make a clip of a stored file and order its preparing; returns its id. The same file again makes nothing more.

    Raises `InvalidInput` (field `name` or `project`), `NotFound`, `NotAllowed`, `StoreSuspended`, `Conflict`.
    """
    clip_id = UUID(PurePosixPath(source.path).stem)
    database.call(
        "add_clip", p_clip_id=clip_id, p_profile_id=profile_id, p_project_id=project_id, p_name=name,
        p_source=source.model_dump(),
    )  # fmt: skip
    log.info("%s added clip %s: %s, %d bytes", tag(profile_id), clip_id, source.media_type, source.bytes)
    queue.wake()
    return clip_id


def rename(database: Database, clip_id: UUID, name: str) -> None:
    """Raises `InvalidInput` (field `name`), `NotFound`, `NotAllowed`, `Conflict` (deleted)."""
    database.call("rename_clip", p_clip_id=clip_id, p_name=name)


def move(database: Database, clip_id: UUID, project_id: UUID) -> None:
    """Into another project of the same store. Raises as `rename`; field `project`."""
    database.call("move_clip", p_clip_id=clip_id, p_project_id=project_id)


def delete(database: Database, clip_id: UUID) -> None:
    """Until `restore`. Raises `Conflict` while a post of it is on its way, `NotFound`, `NotAllowed`."""
    database.call("delete_clip", p_clip_id=clip_id)


def restore(database: Database, clip_id: UUID) -> None:
    """Raises `Conflict` while its project is deleted, `NotFound`, `NotAllowed`."""
    database.call("restore_clip", p_clip_id=clip_id)


def retry(database: Database, clip_id: UUID) -> UUID:
    """Prepare a failed clip again; returns the job's id. Raises `Conflict`, `NotFound`, `StoreSuspended`."""
    return _ordered(database.call("retry_clip", p_clip_id=clip_id))


def put_speech(database: Database, clip_id: UUID, speech_id: UUID, mode: Mode, version: int) -> UUID:
    """Order speech to replace the clip's sound or to be mixed with it; returns the job's id.

    Raises `Conflict` when the clip is no longer of this `version` or is being worked on, `InvalidInput` (a picture),
    `NotFound` (speech of another store), `NotAllowed`, `StoreSuspended`.
    """
    return _ordered(
        database.call("put_speech", p_clip_id=clip_id, p_speech_id=speech_id, p_mode=mode, p_version=version)
    )


def take_speech_off(database: Database, clip_id: UUID, version: int) -> UUID:
    """Order the clip's own sound back; returns the job's id. Raises as `put_speech`."""
    return _ordered(database.call("take_speech_off", p_clip_id=clip_id, p_version=version))


def _ordered(job_id: object) -> UUID:
    queue.wake()
    return UUID(str(job_id))
