"""Whether this process can do its work."""

from services.database.connect import doors
from services.errors import AppError
from services.jobs.worker import current_worker


def state() -> dict[str, bool]:
    """Each part by name: the database answers; the worker inside, where there is one, lives."""
    parts = {"database": _answers()}
    worker = current_worker()
    if worker is not None:
        parts["worker"] = worker.alive()
    return parts


def _answers() -> bool:
    try:
        doors().anonymous().call("schema_version")
    except AppError:
        return False
    return True
