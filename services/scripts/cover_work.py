"""The worker's part of covers: a picture is bought once, made anew, and kept with its thumbnail."""

import logging
from pathlib import Path

from pydantic import ValidationError

from services.errors import InvalidInput
from services.jobs.checkpoints import reached
from services.jobs.context import Context
from services.jobs.workplace import room, workplace
from services.scripts import proposals
from services.scripts.calls import File, Taken
from services.scripts.covers import Cover, Wanted
from services.scripts.proposals import Proposal
from services.scripts.writer import Drawing, Picture
from services.video import drawn

log = logging.getLogger(__name__)

UNUSABLE = (
    "The model sent no picture that can be shown. It was billed all the same. Describe the picture in other words and "
    "draw again."
)
NO_ROOM = (
    "The worker's disk had no room for the picture, so it is lost. It was billed all the same. Free some space in its "
    "data folder, then draw again."
)


def draw(context: Context) -> None:
    """Have the ordered picture drawn, once, and keep it with its thumbnail."""
    proposal = proposals.ordered(context)
    drawing = _drawing(proposal)
    context.progress(0.1, "Drawing the picture")
    context.check()
    with workplace(context) as place:

        def take(picture: Picture) -> Taken:
            return _taken(proposal, picture, place)

        proposal = proposals.buy(context, proposal, drawing, take, {"preview": drawing.prompt})
        context.progress(0.9, "Drawing the thumbnail")
        _keep_thumbnail(context, Cover.model_validate(proposal.output), place)
    proposals.finish(context)


def _drawing(proposal: Proposal) -> Drawing:
    try:
        wanted = Wanted.model_validate(proposal.wanted)
    except ValidationError as exc:
        raise InvalidInput("This order does not say what to draw. Order the picture again.") from exc
    return Drawing(model=proposal.model, prompt=wanted.prompt, ratio=wanted.ratio)


def _taken(proposal: Proposal, picture: Picture, place: Path) -> Taken:
    """Never raises for a bad picture: it was billed, and that must be told."""
    if picture.data is None:
        return Taken(None, picture.sentence)
    try:
        made = drawn.drawn(picture.data, place)
    except (InvalidInput, OSError) as exc:
        log.warning("The picture of cover %s cannot be used: %s", proposal.id, exc)
        return Taken(None, UNUSABLE if isinstance(exc, InvalidInput) else NO_ROOM)
    path = f"covers/{proposal.account_id}/{proposal.profile_id}/{proposal.id}.jpg"
    cover = Cover(
        media_path=path, thumbnail_path=f"{path.removesuffix('.jpg')}-small.jpg", width=made.width, height=made.height,
        bytes=len(made.picture), note=picture.sentence,
    )  # fmt: skip
    return Taken(cover.model_dump(), file=File(path, made.picture))


def _keep_thumbnail(context: Context, cover: Cover, place: Path) -> None:
    """The same file whichever attempt writes it."""
    with room():
        small = drawn.thumbnail(context.media.read(cover.media_path), place)
    context.media.write(cover.thumbnail_path, small)
    reached("thumbnail_written")
