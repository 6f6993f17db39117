"""The parent of local voice engines: runs them one at a time, each call in a process of its own under a time limit."""

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from services.config import Settings
from services.errors import ProviderFailed, ProviderUnavailable, VendorBusy
from services.speech import engine as child
from services.speech.engine import Request

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
IMPORTING = 60  # seconds for a package to be imported, which PyTorch may need on a cold disk
PATIENCE = 1  # seconds a page waits for that

_one = threading.Lock()  # an engine takes all cores and 400 MB or more


def speak(name: str, label: str, request: Request, seconds: float) -> bytes:
    """What the engine made of `request`, a WAV file.

    Raises `ProviderFailed`, `ProviderUnavailable` if it cannot be loaded, and `VendorBusy` if it was speaking
    something else for all of `seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="voice-") as folder:
        file = Path(folder, "speech.wav")
        _alone(name, label, {**request, "task": "speak", "file": str(file)}, seconds)
        return file.read_bytes()


def load(name: str, label: str, request: Request, seconds: float) -> None:
    """Load the engine's model once, to see whether it works. Raises as `speak` does."""
    _alone(name, label, {**request, "task": "load"}, seconds)


def cannot_import(name: str) -> bool:
    """Whether the engine's package is known to fail on import.

    It is tried once in this process's life, and again after `forget`. False while nothing is known yet.
    """
    try:
        return _importing(name).result(PATIENCE) != 0
    except TimeoutError:
        return False


def forget() -> None:
    """Let imports be tried again: something may have been installed."""
    _importing.cache_clear()


@functools.cache
def _importing(name: str) -> Future[int]:
    """The exit code of importing the engine's package, sooner or later."""
    code: Future[int] = Future()

    def work() -> None:
        try:
            code.set_result(_run(name, {"task": "import", "model": ""}, IMPORTING))
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("import of %s: %s", name, type(error).__name__)
            code.set_result(child.BROKEN)

    threading.Thread(target=work, name=f"import {name}", daemon=True).start()
    return code


def _alone(name: str, label: str, request: Request, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    if not _one.acquire(timeout=seconds):
        raise VendorBusy(f"{label} is still speaking something else. It is tried again.")
    try:
        _raise_for(label, _run(name, request, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise ProviderFailed(
            f"{label} took longer than {seconds:g} seconds and was stopped. "
            "Raise ENGINE_SECONDS, or choose a higher speed or another voice."
        ) from error
    finally:
        _one.release()


def _raise_for(label: str, code: int) -> None:
    if code == child.BROKEN:
        raise ProviderUnavailable(f"{label} cannot be loaded on this machine. The server's log has the details.")
    if code != 0:
        raise ProviderFailed(f"{label} could not speak this text. Try again with other words or another voice.")


def _run(name: str, request: Request, seconds: float) -> int:
    """The exit code. Raises `subprocess.TimeoutExpired` after everything that was started has been killed.

    Files instead of pipes: nothing that the engine leaves behind can hold them open against us.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as said:
        asked.write(json.dumps({**request, "seconds": seconds}).encode())
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603 - our own module, and a name from our own table
            [sys.executable, "-m", child.__name__, name],
            stdin=asked,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd=ROOT,
            env=_environment(),
            start_new_session=True,  # a group that can be killed as one, and no terminal to prompt on
        )
        try:
            code = process.wait(seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if code != 0:
            said.seek(0)
            log.warning("%s ended with %d: %s", name, code, _last_line(said.read()))
        return code


def _environment() -> dict[str, str]:
    """Without this program's settings, keys and addresses among them, and without consent to anybody's terms."""
    own = {name.upper() for name in Settings.model_fields} | {"COQUI_TOS_AGREED"}
    return {name: value for name, value in os.environ.items() if name.upper() not in own}


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").split("\n")
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "no word")
