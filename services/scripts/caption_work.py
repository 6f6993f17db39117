"""The worker's part of captions: a clip's frames are taken, looked at by the store's writer, and captions kept."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from uuid import UUID

from services import clips
from services.clip_work import Teller, fetched
from services.clips import Clip, Project
from services.database.door import Database
from services.errors import Conflict, NotFound, ProviderFailed
from services.jobs.context import Context, Outcome
from services.jobs.workplace import workplace
from services.scripts import captions, proposals
from services.scripts.calls import Taken
from services.scripts.captions import Captions, Subject, Wanted
from services.scripts.proposals import Proposal
from services.scripts.writer import Answer
from services.video import reading
from services.video.reading import Facts
from services.video.scenes import Scene, scenes

NOT_READY = "This clip is not ready: there is no film to look at. Propose captions once it is."


def propose(context: Context) -> None:
    """Have captions proposed for the ordered clip; the same film's are bought once."""
    proposal = proposals.ordered(context)
    if proposal.output is None:
        clip = _clip(context, proposal)
        with workplace(context) as place:
            film = cache(lambda: _fetched(context, clip, place))
            if not proposals.shared(context, _hash(context, clip, film)):
                _buy(context, proposal, clip, film())
    proposals.finish(context)


def _clip(context: Context, proposal: Proposal) -> Clip:
    clip = clips.get(context.database, UUID(str(proposal.clip_id)))
    if clip.profile_id != proposal.profile_id or clip.deleted_at is not None:
        raise NotFound("This clip was deleted after this was ordered, so nothing was bought.")
    if not clip.ready:
        raise Conflict(NOT_READY)
    return clip


def _fetched(context: Context, clip: Clip, place: Path) -> Path:
    context.progress(0.02, "Fetching the clip")
    return fetched(context, clip.media_path or "", place)


def _hash(context: Context, clip: Clip, film: Callable[[], Path]) -> str:
    """Of the clip's file, in hexadecimal. Kept, so that an order that waits reads it once."""

    def read() -> Outcome:
        with film().open("rb") as data:
            return {"path": clip.media_path, "sha256": hashlib.file_digest(data, "sha256").hexdigest()}

    return str(context.step("film", read, lambda known: bool(known["path"] == clip.media_path))["sha256"])


def _buy(context: Context, proposal: Proposal, clip: Clip, film: Path) -> None:
    facts = reading.facts(film, Teller(context, 0.05, 0.15, "Reading the clip"))
    found = scenes(film, facts, captions.FRAMES, Teller(context, 0.15, 0.5, "Looking at its scenes"))
    context.check()
    context.progress(0.5, "Writing captions")
    wanted = Wanted.model_validate(proposal.wanted)

    def take(answer: Answer[Captions]) -> Taken:
        try:
            return Taken(captions.taken(answer, wanted, len(found)).model_dump(mode="json"))
        except ProviderFailed as exc:
            return Taken(None, str(exc))

    subject = _subject(context.database, clip, facts, found)
    request = captions.request(proposal.model, subject, wanted, [scene.jpeg for scene in found])
    proposals.buy(context, proposal, request, take, _details(clip, facts, found))


def _subject(database: Database, clip: Clip, facts: Facts, found: list[Scene]) -> Subject:
    projects = database.select(Project, [("id", "eq", clip.project_id)])
    return Subject(
        title=clip.name, project=projects[0].name if projects else "", seconds=facts.seconds,
        instants=tuple(scene.seconds for scene in found),
    )  # fmt: skip


def _details(clip: Clip, facts: Facts, found: list[Scene]) -> dict[str, object]:
    """What the ledger keeps beside the cost; `video_duration` in seconds, 0 of a picture."""
    seconds = facts.seconds or 0.0
    return {
        "preview": f"{clip.name}: {len(found)} frames of {seconds:.0f} s",
        "frames_analyzed": len(found),
        "video_duration": seconds,
    }
