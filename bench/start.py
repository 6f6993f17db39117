"""How long until the embedded database, and the whole app, answer: the first time and after."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.measure import in_turns, ratio, show_ratio, show_times
from bench.place import free_port, short_folder
from services.config import ROOT
from services.database import embedded

PATIENCE_SECONDS = 120


def run(full: bool) -> None:
    """Launcher and app, each beside itself with the data already there."""
    print("start: the launcher, and from the process to /healthz 200")
    with short_folder() as folder:
        launcher(folder, rounds=7 if full else 3)
        app(folder, rounds=5 if full else 2)


def launcher(folder: Path, rounds: int) -> None:
    data = folder / "pg"

    def first() -> None:
        embedded.stop(data)
        shutil.rmtree(data, ignore_errors=True)
        embedded.start(data)

    def warm() -> None:
        embedded.start(data)

    def stopped(way: Callable[[], None]) -> Callable[[], None]:
        def stop_and_go() -> None:
            embedded.stop(data)
            way()

        return stop_and_go

    times = in_turns({"first": first, "again": stopped(warm), "attach": warm}, rounds=rounds)
    show_times("first start: initdb and start (with the stop before)", times["first"])
    show_times("warm start (with the stop before)", times["again"])
    show_times("attach to the running server", times["attach"])
    embedded.stop(data)


def app(folder: Path, rounds: int) -> None:
    data = folder / "app"

    def first() -> None:
        shutil.rmtree(data, ignore_errors=True)
        until_healthy(data)

    times = in_turns({"first": first, "again": lambda: until_healthy(data)}, rounds=rounds, warm_up=0)
    show_times("app, first start: process to /healthz 200", times["first"])
    show_times("app, started again", times["again"])
    show_ratio("first ÷ again", ratio(times["first"], times["again"]))


def until_healthy(data: Path) -> None:
    """Start the app as `./run` does, wait until it is ready, and stop app and server."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    environment = {**os.environ, "CLIPDESK_DATA": str(data)}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz")
    finally:
        process.terminate()
        process.wait(30)
        embedded.stop(data)


def wait_for(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise TimeoutError(address)
