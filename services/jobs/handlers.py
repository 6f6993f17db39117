"""Which kinds of jobs there are, and what does them. docs/jobs.md says how to add one."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from services.jobs import periodic
from services.jobs.context import Context
from services.speech import catalogue, generation, reconcile

# Returns the job's result, plain JSON, or None. What it raises ends the attempt: see attempt.failure.
Handler = Callable[[Context], dict[str, Any] | None]


def _demo(context: Context) -> dict[str, Any] | None:
    """Imported when it is wanted: few workers ever make the demo company."""
    load: Handler = import_module("services.demo").load
    return load(context)


HANDLERS: dict[str, Handler] = {
    "speech": generation.speak,
    "voices": catalogue.list_voices,
    "reconcile": reconcile.reconcile,
    "sweep_media": periodic.sweep_media,
    "tidy": periodic.tidy,
    "check_money": periodic.check_money,
    "demo": _demo,
}
