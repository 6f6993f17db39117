"""A file that keeps its publisher's lease while it is read."""

import time
from collections.abc import Callable
from typing import Any, BinaryIO


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
