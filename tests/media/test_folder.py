import errno
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.errors import InvalidInput, StorageFull
from services.media.folder import BLOCK, Folder

SOON = timedelta(days=1)
PATH = "speech/a/b/c.mp3"


def everything(folder: Folder, prefix: str = "speech") -> set[str]:
    return set(folder.list(prefix, datetime.now(UTC) + SOON))


def test_a_file_object_is_copied_in_blocks(folder):
    class Source(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    asked: list[int] = []
    folder.write(PATH, Source(os.urandom(2 * BLOCK + 7)))
    assert set(asked) == {BLOCK}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_nothing_behind(folder, monkeypatch, number):
    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    for data in (b"sound", io.BytesIO(b"sound")):
        with pytest.raises(StorageFull, match="disk that holds the media is full"):
            folder.write("speech/x.mp3", data)
    assert everything(folder) == set()


def test_a_write_that_fails_keeps_what_was_there(folder, monkeypatch):
    folder.write(PATH, b"first")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "bad disk")))
    with pytest.raises(OSError, match="bad disk"):
        folder.write(PATH, b"second")
    assert folder.read(PATH) == b"first"
    assert everything(folder) == {PATH}


def test_content_is_synced_before_the_name_and_every_new_folder_after(folder, monkeypatch, tmp_path):
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        steps.append(os.readlink(f"/proc/self/fd/{handle}").removeprefix(str(tmp_path)))
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    folder.write("speech/x.mp3", b"sound")
    assert steps[:2] == ["", "/media"]  # where the folders `media` and `speech` were made
    assert steps[2].startswith("/media/speech/x.mp3.part-")
    assert steps[3:] == ["rename", "/media/speech"]


def test_leftovers_of_killed_writes_are_listed(folder):
    folder.write("speech/old.mp3.part-1f", b"x")
    assert everything(folder) == {"speech/old.mp3.part-1f"}


def test_foreign_names_are_left_alone(folder):
    folder.write("speech/a.mp3", b"x")
    folder.path("speech").joinpath("my own song.mp3").write_bytes(b"x")
    assert everything(folder) == {"speech/a.mp3"}


def test_a_folder_has_no_links_and_refuses_paths_outside(folder):
    folder.write(PATH, b"sound")
    assert folder.link(PATH, 60, "sound.mp3") is None
    with pytest.raises(InvalidInput):
        folder.path("../x")
