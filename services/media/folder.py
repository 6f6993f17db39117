"""Media in a folder of this machine, or of a disk that all machines share."""

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from services.durable import sync_folder
from services.errors import NotFound, StorageFull
from services.media.door import checked, is_path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
BLOCK = 1 << 20  # bytes copied at a time


class Folder:
    """See `Media`. A file is written beside its place as `<name>.part-<random>`, then renamed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, path: str) -> Path:
        """Where the file lies or would lie on this machine."""
        return self._root / checked(path)

    def write(self, path: str, data: bytes | BinaryIO) -> None:
        target = self.path(path)
        draft = target.with_name(f"{target.name}.part-{uuid4().hex}")
        with _room(draft):
            _make_folder(target.parent)
            _write_durably(draft, data)
            draft.replace(target)
            sync_folder(target.parent)

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        try:
            return self.path(path).open("rb")
        except FileNotFoundError:
            raise NotFound("The file is missing from the media folder.") from None

    def size(self, path: str) -> int:
        with self.open(path) as file:
            return os.fstat(file.fileno()).st_size

    def exists(self, path: str) -> bool:
        return self.path(path).is_file()

    def delete(self, path: str) -> None:
        self.path(path).unlink(missing_ok=True)

    def list(self, prefix: str, older_than: datetime) -> Iterator[str]:
        for file in _files(self.path(prefix)):
            path = file.relative_to(self._root).as_posix()
            if is_path(path) and _written_before(file, older_than):
                yield path

    def link(self, path: str, seconds: int, download: str | None = None) -> None:
        """None: the app serves files of a folder, from `path(path)`."""
        self.path(path)

    def trouble(self) -> str | None:
        if os.access(_there(self._root), os.W_OK | os.X_OK):
            return None
        return f"The media folder {self._root} cannot be written. Let the worker write there, or set MEDIA_DIR."


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists: what is missing is made when it is needed."""
    return folder if folder.exists() or folder.parent == folder else _there(folder.parent)


@contextmanager
def _room(draft: Path) -> Iterator[None]:
    """A failed write leaves no draft behind; a full disk is `StorageFull`."""
    try:
        yield
    except BaseException as exc:
        draft.unlink(missing_ok=True)
        if isinstance(exc, OSError) and exc.errno in NO_ROOM:
            raise StorageFull from exc
        raise


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, each durably: a file is lost with a folder that was not synced."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _write_durably(file: Path, data: bytes | BinaryIO) -> None:
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    with file.open("xb") as out:
        shutil.copyfileobj(source, out, BLOCK)
        out.flush()
        os.fsync(out.fileno())


def _files(folder: Path) -> Iterator[Path]:
    """All files below the folder; none where it does not exist. Folders may grow and vanish meanwhile."""
    for place, _, names in os.walk(folder):
        for name in names:
            yield Path(place, name)


def _written_before(file: Path, instant: datetime) -> bool:
    try:
        return file.stat().st_mtime < instant.timestamp()
    except FileNotFoundError:
        return False
