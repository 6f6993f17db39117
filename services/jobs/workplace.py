"""Room on this machine's disk for what one attempt at a job makes before it is stored."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import StorageFull
from services.jobs.context import Context
from services.media.folder import NO_ROOM

STALE = 24 * 3600.0  # seconds after which the folder of an attempt is a killed worker's
NO_ROOM_HERE = "The worker's disk is full. Free some space in its data folder, then retry the job."


@contextmanager
def workplace(context: Context) -> Iterator[Path]:
    """A folder for this attempt's drafts, gone afterwards; what killed workers left is cleared away."""
    folder = context.options.clipdesk_data / "work"
    _clear(folder, str(context.job.id))
    place = folder / f"{context.job.id}-{context.job.attempt_token}"
    with room():
        place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _clear(folder: Path, job_id: str) -> None:
    """Remove the drafts of this job's earlier attempts and those that are too old to be anybody's."""
    oldest = time.time() - STALE
    for place in folder.glob("*"):
        if place.name.startswith(job_id) or _written_at(place) < oldest:
            shutil.rmtree(place, ignore_errors=True)


def _written_at(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except FileNotFoundError:
        return time.time()


@contextmanager
def room() -> Iterator[None]:
    """A full disk of this machine is `StorageFull`."""
    try:
        yield
    except StorageFull as exc:
        raise StorageFull(NO_ROOM_HERE) from exc
    except OSError as exc:
        if exc.errno in NO_ROOM:
            raise StorageFull(NO_ROOM_HERE) from exc
        raise
