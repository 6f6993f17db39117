"""The product's programs as an operator starts them, each a process of its own: app, worker, first admin."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

from services.config import ROOT, Settings

START_SECONDS = 90  # a bound on what hangs
STOP_SECONDS = 30


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's, with these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return {**inherited, **settings}


class Program:
    """A process that logs to a file of its own and runs from `start` to `stop`, any number of times."""

    def __init__(self, log: Path, command: Sequence[str], settings: Mapping[str, str]) -> None:
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", *command]
        self._environment = environment(settings)

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def begin(self) -> None:
        """Start it without waiting until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True, env=self._environment
            )

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process and self.process.poll() is None:
            if self.ready():
                return
            time.sleep(0.1)
        raise AssertionError(f"it did not start:\n{self.log.read_text()[-4000:]}")

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        self.begin()
        self.wait()

    def send(self, number: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """A second signal of the kind does no harm."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(STOP_SECONDS)
            self.process = None


class App(Program):
    """The product as `./run` starts it, on a free port, with data in a folder of its own."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        command = ["streamlit", "run", "app.py", "--server.port", str(self.port)]
        super().__init__(data.with_name(f"{data.name}.log"), command, {"CLIPDESK_DATA": str(data), **settings})

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


class Worker(Program):
    """A worker beside the app."""

    def __init__(self, data: Path, **settings: str) -> None:
        super().__init__(
            data.with_name(f"{data.name}.log"), ["services.jobs.worker"], {"CLIPDESK_DATA": str(data), **settings}
        )

    def ready(self) -> bool:
        return b"The worker runs." in self.log.read_bytes()


def first_admin(values: Mapping[str, str], password: str, **settings: str) -> None:
    """Make the first company by command, the password on its standard input."""
    options = [part for name, value in values.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "services.first_admin", *options], cwd=ROOT, env=environment(settings),
        input=f"{password}\n", capture_output=True, text=True, timeout=START_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "can sign in" in done.stdout


def until(happens: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait; the bound is for what hangs."""
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def held(pid: int, secrets: Collection[str]) -> set[str]:
    """Which of these the process has: in its environment, its command line or its writable memory.

    Raises `PermissionError` where this account may not look into it.
    """
    place = Path(f"/proc/{pid}")
    texts = [(place / name).read_bytes() for name in ("environ", "cmdline")]
    with (place / "mem").open("rb", buffering=0) as memory:
        regions = (_region(memory.fileno(), *span) for span in _written((place / "smaps").read_text()))
        return {secret for text in chain(texts, regions) for secret in secrets if secret.encode() in text}


def _written(smaps: str) -> list[tuple[int, int]]:
    """First address and end of each mapping that the process may read and write, and of which something is there."""
    spans = []
    for mapping in re.finditer(r"(?m)^([0-9a-f]+)-([0-9a-f]+) rw.*\n(?:[A-Z].*\n)*?Rss: +[1-9]", smaps):
        spans.append((int(mapping[1], 16), int(mapping[2], 16)))
    return spans


def _region(memory: int, first: int, end: int) -> bytes:
    """The region as one piece; a page that cannot be read ends it."""
    parts: list[bytes] = []
    while first < end:
        try:
            parts.append(os.pread(memory, min(end - first, 1 << 24), first))
        except OSError:
            break
        first += len(parts[-1])
    return b"".join(parts)
