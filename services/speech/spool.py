"""Answers that were bought, kept on this machine's disk until the database has them.

Room is taken before the call, so that an answer that was paid for can always be kept. One file an answer:
a line of JSON (units, the vendor's id), then the audio as it came.
"""

import json
import logging
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from services.durable import sync_folder
from services.errors import StorageFull
from services.speech.provider import Speech

log = logging.getLogger(__name__)

SUFFIX = ".answer"
RESERVED = ".reserved"
LEAST_ROOM = 1 << 20  # bytes: head and a short answer
ROOM_A_CHARACTER = 4_096  # bytes; MP3 at 128 kbit/s and 15 characters a second needs some 1,100

A_DAY = 86_400  # seconds

_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_in_use: set[UUID] = set()  # purchases of this process under way: nobody else may finish them
_guard = threading.Lock()


def room_for(characters: int) -> int:
    """Bytes that speech of a text of that length may take."""
    return LEAST_ROOM + characters * ROOM_A_CHARACTER


class Spool:
    """The spool folder. Raises `StorageFull` where it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def reserved(self, purchase_id: UUID, size: int) -> Iterator[None]:
        """Hold room on the disk, in bytes, for an answer while the block runs; what was kept stays."""
        with _guard:
            _in_use.add(purchase_id)
        try:
            self._reserve(purchase_id, size)
            yield
        finally:
            with suppress(OSError):
                self._path(purchase_id, RESERVED).unlink()
            with _guard:
                _in_use.discard(purchase_id)

    def keep(self, purchase_id: UUID, speech: Speech) -> None:
        """Store the answer durably in the room that was reserved for it."""
        head = json.dumps({"units": str(speech.units), "vendor_id": speech.vendor_id}).encode()
        room = self._path(purchase_id, RESERVED)
        try:
            with room.open("r+b") as file:
                file.write(head + b"\n" + speech.data)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            room.replace(self._path(purchase_id, SUFFIX))
            sync_folder(self._folder)
        except OSError as exc:
            raise StorageFull("The spool folder cannot be written; free some space.") from exc

    def load(self, purchase_id: UUID) -> Speech | None:
        """The kept answer, or None."""
        try:
            content = self._path(purchase_id, SUFFIX).read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # the latter is told when room is taken
            return None
        head, _, data = content.partition(b"\n")
        facts = json.loads(head)
        return Speech(data=data, units=Decimal(facts["units"]), vendor_id=facts["vendor_id"])

    def drop(self, purchase_id: UUID) -> None:
        self._path(purchase_id, SUFFIX).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Give back room that killed processes had reserved: no call takes a day."""
        for file in self._folder.glob(f"*{RESERVED}"):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > A_DAY:
                    file.unlink()

    def left_behind(self) -> list[UUID]:
        """Purchases whose answer is kept and that nothing in this process works on."""
        kept = [UUID(file.stem) for file in self._folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(file.stem)]
        with _guard:
            return [purchase_id for purchase_id in kept if purchase_id not in _in_use]

    def _path(self, purchase_id: UUID, suffix: str) -> Path:
        return self._folder / f"{purchase_id}{suffix}"

    def _reserve(self, purchase_id: UUID, size: int) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._path(purchase_id, RESERVED).open("wb") as file:
                _allocate(file.fileno(), size)
        except OSError as exc:
            raise StorageFull(
                f"The spool folder has no room for the answer ({size / 1e6:.0f} MB), so nothing was bought. "
                "Free some space, then retry."
            ) from exc


def _allocate(handle: int, size: int) -> None:
    """Take the blocks now: a sparse file would promise room that another writer may use up."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:  # macOS
        os.write(handle, b"\0" * size)
