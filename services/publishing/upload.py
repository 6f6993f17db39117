"""Uploads beside everything else: how many at once, and a file that keeps its publisher's lease while it is read."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO


class Berths:
    """Places for uploads in this process. They may be long, so one of its threads is always left for what is due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    @contextmanager
    def one(self, threads: int) -> Iterator["Berth"]:
        """A place, free again at the end; there are one fewer than `threads`, at least one."""
        berth = Berth(self, self._take(max(threads - 1, 1)))
        try:
            yield berth
        finally:
            berth.leave()

    def _take(self, places: int) -> bool:
        with self._lock:
            taken = self._taken < places
            self._taken += taken
        return taken

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1


class Berth:
    """`taken`: an upload may begin."""

    def __init__(self, berths: Berths, taken: bool) -> None:
        self._berths = berths
        self.taken = taken

    def leave(self) -> None:
        if self.taken:
            self.taken = False
            self._berths.give_back()


class Beating:
    """`file`, of which every read calls `beat` if the last call is more than `seconds` ago."""

    def __init__(self, file: BinaryIO, beat: Callable[[], None], seconds: float) -> None:
        self._file = file
        self._beat = beat
        self._seconds = seconds
        self._beaten = time.monotonic()

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() - self._beaten > self._seconds:
            self._beat()
            self._beaten = time.monotonic()
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a file can do."""
        return getattr(self._file, name)
