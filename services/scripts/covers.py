"""Cover images of clips and projects: drawn by an image model or the practice writer, kept, and chosen."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.clips import Clip, Project
from services.database.door import Database
from services.errors import InvalidInput, NotFound
from services.scripts import models, practice, proposals
from services.scripts.proposals import Proposal, Quote
from services.scripts.writer import Ratio

LONGEST_PROMPT = 2_000  # characters: 8,000 bytes at most, of the 10,000 tokens that an order may read
LISTED = 50  # covers of a clip or project that are shown
RATIOS: Mapping[Ratio, float] = {"16:9": 16 / 9, "4:3": 4 / 3, "1:1": 1.0, "4:5": 4 / 5, "3:4": 3 / 4, "9:16": 9 / 16}


@dataclass(frozen=True)
class Subject:
    """What covers are drawn for: a clip, or a project itself (`clip_id` None)."""

    profile_id: UUID
    project_id: UUID
    clip_id: UUID | None
    cover_id: UUID | None  # the one that is shown
    prompt: str  # to begin with
    ratio: Ratio

    @property
    def id(self) -> UUID:
        return self.clip_id or self.project_id


class Wanted(BaseModel):
    """What an order asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    ratio: Ratio


class Cover(BaseModel):
    """A picture that was drawn: where it lies, its size in pixels and bytes, and what its writer says of it."""

    model_config = ConfigDict(frozen=True)

    media_path: str
    thumbnail_path: str
    width: int
    height: int
    bytes: int
    note: str = ""


def of_clip(clip: Clip) -> Subject:
    shape = nearest(clip.width / clip.height) if clip.width and clip.height else "1:1"
    return Subject(clip.profile_id, clip.project_id, clip.id, clip.cover_id, _first_words(clip.name), shape)


def of_project(project: Project) -> Subject:
    shape: Ratio = "1:1" if project.kind == "podcast" else "16:9"
    return Subject(project.profile_id, project.id, None, project.cover_id, _first_words(project.name), shape)


def nearest(shape: float) -> Ratio:
    """The ratio closest to a picture's width divided by its height."""
    return min(RATIOS, key=lambda ratio: max(RATIOS[ratio] / shape, shape / RATIOS[ratio]))


def _first_words(name: str) -> str:
    return f"A cover image for “{name}”. One clear subject, strong colours, no text."


def quote(database: Database, profile_id: UUID, model: str) -> Quote:
    """Raises `NotFound`, `PriceMissing`."""
    return proposals.quote(database, profile_id, "cover", model)


def order(database: Database, cover_id: UUID, subject: Subject, model: str, prompt: str, ratio: Ratio) -> UUID:
    """Have a cover drawn: its largest cost is held. The same `cover_id` again orders nothing more.

    Raises `InvalidInput` (field `prompt` or `model`) and what `proposals.order` does.
    """
    prompt = prompt.strip()
    if not 1 <= len(prompt) <= LONGEST_PROMPT:
        raise InvalidInput(f"Describe the picture in 1 to {LONGEST_PROMPT:,} characters.", "prompt")
    if model != practice.MODEL:
        models.require(model, models.today(), draws=True)
    wanted = Wanted(prompt=prompt, ratio=ratio).model_dump()
    return proposals.order(
        database, cover_id, "cover", subject.profile_id, model, wanted, project_id=subject.project_id,
        clip_id=subject.clip_id,
    )  # fmt: skip


def find(database: Database, subject: Subject) -> list[Proposal]:
    """Those that were drawn or ordered for it, newest first."""
    project = None if subject.clip_id else subject.project_id
    return proposals.find(database, "cover", clip_id=subject.clip_id, project_id=project, limit=LISTED)


def get(database: Database, cover_id: UUID) -> Cover:
    """Raises `NotFound`, also for one that is not drawn yet and for somebody else's."""
    found = proposals.get(database, cover_id)
    if found.kind != "cover" or found.status != "completed" or found.output is None:
        raise NotFound("Cover not found.")
    return Cover.model_validate(found.output)


def show(database: Database, subject: Subject, cover_id: UUID | None) -> None:
    """Make it the clip's thumbnail, or the project's picture; None: the film's own thumbnail again, or none.

    Raises `NotFound`, `NotAllowed`, `Conflict` (deleted).
    """
    if subject.clip_id:
        database.call("set_clip_cover", p_clip_id=subject.clip_id, p_cover_id=cover_id)
    else:
        database.call("set_project_cover", p_project_id=subject.project_id, p_cover_id=cover_id)
