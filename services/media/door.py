"""The one door to files: what every adapter (folder, cloud storage) offers, and what a path may look like."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, Protocol

from services.errors import InvalidInput

LONGEST_PATH = 512  # characters
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class Media(Protocol):
    """Files by relative paths such as `speech/3f…/a1….mp3`. A file counts only once a row names its path.

    Every method raises `InvalidInput` for a path that `checked` refuses; those that read raise `NotFound`.
    """

    def write(self, path: str, data: bytes | BinaryIO) -> None:
        """Store durably, whole or not at all; replaces. A file is read from where it stands. Raises `StorageFull`."""

    def read(self, path: str) -> bytes: ...

    def open(self, path: str) -> BinaryIO:
        """The file for reading, seekable; the caller closes it."""

    def size(self, path: str) -> int:
        """In bytes."""

    def exists(self, path: str) -> bool: ...

    def delete(self, path: str) -> None:
        """Deleting what is not there is no error."""

    def list(self, prefix: str, older_than: datetime) -> Iterator[str]:
        """Paths below the folder `prefix` last written before that instant, leftovers of cut writes included."""

    def link(self, path: str, seconds: int, download: str | None = None) -> str | None:
        """An address that gives the file to whoever has it, for `seconds`; `download` names it for saving.

        None when the store has no addresses: then the app serves the file itself.
        """

    def trouble(self) -> str | None:
        """What keeps the store from working, as a sentence that says what to do; None when all is well."""


def checked(path: str) -> str:
    """`path`, if it is relative, stays below the store and has plain characters only; else `InvalidInput`.

    No part begins with a dot, so none is `..`.
    """
    if not is_path(path):
        raise InvalidInput(f"“{path[:80]}” is not a path of the media store.")
    return path


def is_path(path: str) -> bool:
    return len(path) <= LONGEST_PATH and _PATH.fullmatch(path) is not None
