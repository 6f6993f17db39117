"""What every media store does, tried on each."""

import errno
import io
import os
from datetime import UTC, datetime, timedelta

import pytest

from services.errors import InvalidInput, NotFound
from services.media.door import Media

# The resumable client hands aiohttp 6 MB at once, which would hold up an event loop that had other work.

SOON = timedelta(days=1)
PATH = "speech/a/b/c.mp3"
BLOCK = 1 << 20
SIZES = [0, 1, BLOCK + 7, 6 * BLOCK, 6 * BLOCK + 1, 13 * BLOCK]  # around what goes up in one piece


def everything(store: Media, prefix: str = "speech") -> set[str]:
    return set(store.list(prefix, datetime.now(UTC) + SOON))


def test_a_file_comes_back_as_it_was_written(store):
    store.write(PATH, b"sound")
    with store.open(PATH) as file:
        assert file.seek(2) == 2
        assert file.read() == b"und"
    assert (store.read(PATH), store.size(PATH), store.exists(PATH)) == (b"sound", 5, True)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_every_size_come_back(store, size):
    data = os.urandom(size)
    store.write(PATH, data)
    assert store.size(PATH) == size
    assert store.read(PATH) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_read_from_where_it_stands_and_stays_open(store, size):
    data = os.urandom(size)
    source = io.BytesIO(b"before" + data)
    source.seek(6)
    assert store.write(PATH, source) is None
    assert store.read(PATH) == data
    assert not source.closed


@pytest.mark.parametrize("size", [2 * BLOCK, 7 * BLOCK])
@pytest.mark.parametrize("error", [RuntimeError("source"), OSError(errno.EIO, "source")])
def test_a_source_that_breaks_off_keeps_what_was_there(store, error, size):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            if self.tell():
                raise error
            return super().read(size)

    store.write(PATH, b"first")
    with pytest.raises(type(error), match="source"):
        store.write(PATH, Broken(b"x" * size))
    assert store.read(PATH) == b"first"
    assert everything(store) == {PATH}


@pytest.mark.parametrize("again", [b"second", b"second" * 2 * BLOCK])
def test_writing_again_replaces(store, again):
    store.write(PATH, b"first, long")
    store.write(PATH, again)
    assert store.read(PATH) == again
    assert everything(store) == {PATH}


def test_a_deleted_file_is_gone_and_deleting_it_again_is_no_error(store):
    store.write(PATH, b"sound")
    store.delete(PATH)
    store.delete(PATH)
    assert not store.exists(PATH)
    for read in (store.read, store.open, store.size):
        with pytest.raises(NotFound, match="missing from the media"):
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
        "a%2fb",
        "a?b",
        "x" * 513,
    ],
)
def test_paths_that_could_leave_the_store_are_refused(store, path):
    for use in (store.read, store.open, store.size, store.exists, store.delete):
        with pytest.raises(InvalidInput):
            use(path)
    for data in (b"", io.BytesIO(b"x" * 7 * BLOCK)):
        with pytest.raises(InvalidInput):
            store.write(path, data)
    with pytest.raises(InvalidInput):
        store.link(path, 60, None)
    with pytest.raises(InvalidInput):
        everything(store, path)


def test_the_list_tells_old_files_below_a_prefix(store, age):
    old = {"speech/a/old.mp3", "speech/a/b/c/deep.mp3", "speech/old.mp3"}
    for path in (*old, "speech/b/new.mp3", "speech2/old.mp3", "clips/old.mp4"):
        store.write(path, b"x")
    for path in (*old, "speech2/old.mp3", "clips/old.mp4"):
        age(path, timedelta(hours=1))
    assert set(store.list("speech", datetime.now(UTC) - timedelta(minutes=30))) == old
    assert set(store.list("speech/a", datetime.now(UTC) - timedelta(minutes=30))) == old - {"speech/old.mp3"}


def test_writing_again_makes_a_file_young(store, age):
    store.write(PATH, b"first")
    age(PATH, timedelta(hours=1))
    store.write(PATH, b"second")
    assert list(store.list("speech", datetime.now(UTC) - timedelta(minutes=30))) == []


def test_the_list_of_nothing_is_empty(store):
    assert everything(store) == set()


def test_files_may_be_deleted_while_they_are_listed(store):
    for number in range(5):
        store.write(f"speech/{number % 2}/{number}.mp3", b"x")
    for path in store.list("speech", datetime.now(UTC) + SOON):
        store.delete(path)
    assert everything(store) == set()
