"""The demo company: ask for it, watch it being made, look through its people's eyes, erase it."""

import io
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel

from services import audio, identity
from services.database.connect import doors, local_doors
from services.database.door import Database
from services.database.door import Row as TableRow
from services.demo_data import ACCOUNT_ID
from services.demo_films import Film
from services.demo_history import Row
from services.demo_rows import rows
from services.jobs import queue
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.speech import registry
from services.speech.provider import Line, VoiceSettings

FILMS = 3  # clips of each store that have one; 1 s of a processor each


class DemoState(BaseModel):
    """The newest job that makes the demo company (status, progress 0 to 1, message, error), and its people.

    People (id, name, role, stores) are empty until the company is there.
    """

    job: dict[str, Any] | None
    people: list[dict[str, Any]]


class _Company(TableRow):
    table: ClassVar[str] = "accounts"

    id: UUID


def request() -> None:
    """Have the demo company made in the background; nothing happens while there is one or it is being made."""
    local_doors().local().call("request_demo")
    queue.wake()


def state() -> DemoState:
    """Nothing in the cloud: the demo's people have no passwords, so it is for this machine only."""
    if doors().hosted:
        return DemoState(job=None, people=[])
    found = local_doors().local().call("demo_state")
    return DemoState(job=found["job"], people=found["people"] or [])


def people() -> list[dict[str, Any]]:
    """Those of the demo company: id, name, role, stores. Empty while there is none."""
    return state().people


def is_demo_person(person_id: str) -> bool:
    """Whether anyone at this machine may look through this person's eyes. A malformed id is nobody's."""
    try:
        wanted = UUID(person_id)
    except ValueError:
        return False
    return bool(local_doors().local().call("is_demo_person", p_person_id=wanted))


def erase(database: Database, account_id: UUID) -> None:
    """Delete the demo company with everything in it; its people are signed out. Raises `NotAllowed`."""
    known = people()
    database.call("erase_demo", p_account_id=account_id)
    for person in known:
        identity.sessions.forget(UUID(person["id"]))


# For the worker ---------------------------------------------------------------------------------------------------


def load(context: Context) -> Outcome:
    """Make the company: first the audio of its latest lines, then all rows in one transaction.

    Ids and paths are the same each time, so an attempt after a crash writes the same files again.
    """
    if context.database.count(_Company, [("is_demo", "eq", True)]):
        return {"account_id": str(ACCOUNT_ID)}
    context.progress(0.02, "Making up seven months of work")
    company = rows(datetime.now(UTC))
    assets = company["speech_assets"]
    for number, asset in enumerate(assets, start=1):
        context.check()
        context.progress(0.1 + 0.6 * number / len(assets), f"Speaking line {number} of {len(assets)}")
        asset.update(_record(context, asset))
    for number in range(FILMS):
        context.check()
        context.progress(0.7 + 0.15 * number / FILMS, f"Drawing film {number + 1} of {FILMS}")
        _show(context, Film(f"film {number}"), _newest_clips(company["clips"], number))
    context.progress(0.85, "Saving it")
    context.check()
    context.database.call("load_demo", p_account_id=ACCOUNT_ID, p_rows=company)
    return {"account_id": str(ACCOUNT_ID)}


def _newest_clips(clips: list[Row], number: int) -> list[Row]:
    """Each store's newest clip but `number` that is done: the ones to play and to post."""
    done = [clip for clip in clips if clip["final_status"] == "completed"]
    stores = {clip["profile_id"]: [c for c in done if c["profile_id"] == clip["profile_id"]] for clip in done}
    return [sorted(mine, key=lambda clip: clip["created_at"])[-1 - number] for mine in stores.values()]


def _show(context: Context, film: Film, clips: list[Row]) -> None:
    """Store the film and its picture for each of these clips, and say so in their rows."""
    for clip in clips:
        name = f"{ACCOUNT_ID}/{clip['profile_id']}/{clip['id']}"
        clip |= {
            "media_type": "video", "media_path": f"clips/{name}.mp4", "thumbnail_path": f"thumbnails/{name}.jpg",
            "bytes": len(film.data), "width": film.width, "height": film.height, "duration_seconds": film.seconds,
            "has_sound": False,
        }  # fmt: skip
        context.media.write(clip["media_path"], film.data)
        context.media.write(clip["thumbnail_path"], film.thumbnail)


def _record(context: Context, asset: Row) -> Row:
    """Speak and store an asset's text; returns how long and how large the file is."""
    line = Line(
        text=asset["text"],
        voice=asset["voice"],
        model=asset["model"],
        settings=VoiceSettings.model_validate(asset["settings"]),
    )
    spoken = registry.provider(asset["provider"]).synthesize(line, context.options.engine_seconds)
    file = io.BytesIO()
    seconds = audio.join([spoken.data], asset["format"], file)
    context.media.write(asset["media_path"], file.getvalue())
    reached("written")
    return {"duration_seconds": str(round(seconds, 3)), "bytes": len(file.getvalue())}
