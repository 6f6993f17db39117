"""Worker processes by the hundred: one process imports everything once, then forks a worker for each order.

A started worker takes 1.5 s to import what it needs; a forked one 0.05 s. The forge has no thread and no open
connection when it forks.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.config import ROOT


class Forge:
    """`run` forks a worker that works until nothing is left to do, or until it is killed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, **environment: str) -> int:
        """Fork a worker with these settings; returns its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(environment) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self) -> int:
        """How the worker that was started last ended: 0, or minus the signal."""
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the forge has died"
        return line


@contextmanager
def forge() -> Iterator[Forge]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forge"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield Forge(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _main() -> None:
    _import_all()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _import_all() -> None:
    """What each worker would import; the forked ones find it loaded."""
    for name in ("elevenlabs.client", "services.jobs.worker"):
        importlib.import_module(name)


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(environment: dict[str, str]) -> None:
    """The forked worker. Never returns."""
    code = 1
    try:
        os.environ.update(environment)
        _work(forgetful=bool(environment.get("FORGETFUL")))
        code = 0
    finally:
        os._exit(code)


def _work(*, forgetful: bool) -> None:
    from services.config import Settings
    from services.database.connect import open_doors
    from services.jobs.periodic import Calendar
    from services.jobs.worker import Worker
    from services.media.folder import Folder

    options = Settings()
    if forgetful:
        _forget_history()
    with open_doors(options) as doors:
        worker = Worker(doors.worker(), Folder(options.media_folder), options, calendar=Calendar({}))
        while job := worker._claim():
            worker._run(job)


def _forget_history() -> None:
    from services.speech.elevenlabs import ElevenLabs

    del ElevenLabs.recover


def environment(server: Any, database: str, media: Path, **values: str) -> dict[str, str]:
    """Settings of a forked worker on that database."""
    return {
        "DATABASE_URL": server.url("clipdesk_app", database),
        "DATABASE_WORKER_URL": server.url("clipdesk_worker", database),
        "CLIPDESK_DATA": str(media.parent / "data"),
        "MEDIA_DIR": str(media),
        "JOB_LEASE_SECONDS": "600",
        "LOG_LEVEL": "error",
        **values,
    }


if __name__ == "__main__":
    _main()
