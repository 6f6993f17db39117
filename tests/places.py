"""Where tests keep their database servers."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes; the servers of two test processes take a fifth of it, a container's usual 64 MB are too few


def quick() -> Path:
    """In memory where there is room: to make a database there computes for a twentieth of the time."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return Path("/tmp")
    runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # a server may get its programs copied beside it
    return MEMORY if runs_programs and shutil.disk_usage(MEMORY).free > ROOM else Path("/tmp")


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket and reachable for the server's own account."""
    made = Path(tempfile.mkdtemp(prefix="cd-", dir=quick()))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
