import errno
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.errors import InvalidInput, NotFound, StorageFull
from services.media.folder import BLOCK, Folder

SOON = timedelta(days=1)
PATH = "speech/a/b/c.mp3"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "media")


def everything(folder: Folder, prefix: str = "speech") -> set[str]:
    return set(folder.list(prefix, datetime.now(UTC) + SOON))


def test_a_file_comes_back_as_it_was_written(folder):
    folder.write(PATH, b"sound")
    with folder.open(PATH) as file:
        assert file.seek(2) == 2
        assert file.read() == b"und"
    assert (folder.read(PATH), folder.size(PATH), folder.exists(PATH)) == (b"sound", 5, True)


def test_a_file_object_is_copied_in_blocks_from_where_it_stands(folder):
    class Source(io.BytesIO):
        def read(self, size=-1):
            asked.append(size)
            return super().read(size)

    asked: list[int] = []
    data = os.urandom(2 * BLOCK + 7)
    source = Source(b"before" + data)
    source.seek(6)
    assert folder.write(PATH, source) is None
    assert folder.read(PATH) == data
    assert set(asked) == {BLOCK}
    assert not source.closed


@pytest.mark.parametrize("error", [RuntimeError("source"), OSError(errno.EIO, "source")])
def test_a_source_that_breaks_off_keeps_what_was_there(folder, error):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise error
            return super().read(size)

    folder.write(PATH, b"first")
    with pytest.raises(type(error), match="source"):
        folder.write(PATH, Broken(b"x" * 2 * BLOCK))
    assert folder.read(PATH) == b"first"
    assert everything(folder) == {PATH}


def test_writing_again_replaces(folder):
    folder.write(PATH, b"first, long")
    folder.write(PATH, b"second")
    assert folder.read(PATH) == b"second"
    assert everything(folder) == {PATH}


def test_a_deleted_file_is_gone_and_deleting_it_again_is_no_error(folder):
    folder.write(PATH, b"sound")
    folder.delete(PATH)
    folder.delete(PATH)
    assert not folder.exists(PATH)
    for read in (folder.read, folder.open, folder.size):
        with pytest.raises(NotFound):
            read(PATH)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../x",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "a/.b",
        "a b",
        "a\\b",
        "a\0b",
        "é",
        "a\n",
        "x" * 513,
    ],
)
def test_paths_that_could_leave_the_folder_are_refused(folder, path):
    for use in (folder.read, folder.open, folder.size, folder.exists, folder.delete, folder.path):
        with pytest.raises(InvalidInput):
            use(path)
    with pytest.raises(InvalidInput):
        folder.write(path, b"")


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


def test_the_list_tells_old_files_below_a_prefix_with_leftovers_of_killed_writes(folder):
    for path in ("speech/a/old.mp3", "speech/b/new.mp3", "speech/old.mp3.part-1f", "clips/old.mp4"):
        folder.write(path, b"x")
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).timestamp()
    for path in ("speech/a/old.mp3", "speech/old.mp3.part-1f", "clips/old.mp4"):
        os.utime(folder.path(path), (hour_ago, hour_ago))
    listed = set(folder.list("speech", datetime.now(UTC) - timedelta(minutes=30)))
    assert listed == {"speech/a/old.mp3", "speech/old.mp3.part-1f"}


def test_the_list_of_nothing_is_empty_and_foreign_names_are_left_alone(folder):
    assert everything(folder) == set()
    folder.write("speech/a.mp3", b"x")
    folder.path("speech").joinpath("my own song.mp3").write_bytes(b"x")
    assert everything(folder) == {"speech/a.mp3"}
