"""Upload a large file in pieces that survive a broken connection: the TUS protocol, as Supabase Storage speaks it."""

import asyncio
import io
import random
from collections.abc import Mapping
from typing import BinaryIO, cast

import aiohttp
import httpx
from aiotus import ProtocolError, core, creation
from yarl import URL

CHUNK = 6 * 1024 * 1024  # bytes; Storage wants pieces of exactly this size, the last one apart
TRIES = 4  # failures in a row without a piece getting through
FIRST_PAUSE = 0.25  # seconds, doubled each time
CONNECT_SECONDS = 5.0
PIECE_PATIENCE = 6  # times the time-out of a small request: 120 s for 6 MB at the default, about 50 kB/s
GONE = (404, 410)  # the upload ran out on the server; it is begun anew
ABSENT = (aiohttp.ClientError, TimeoutError, ProtocolError)
PASSING = (408, 409, 423, 425, 429)  # busy or locked by the connection that broke a moment ago


def upload(endpoint: str, file: BinaryIO, metadata: Mapping[str, str], headers: Mapping[str, str], wait: float) -> None:
    """Send the seekable `file` from where it stands; `wait` is what a small request may take, in seconds.

    Raises `aiohttp.ClientResponseError` when the server refuses, another of `ABSENT` when it stays away, and what
    reading the file raises. Not for a thread that runs an event loop.
    """
    asyncio.run(_upload(URL(endpoint), _FromHere(file), metadata, headers, wait))


async def _upload(
    endpoint: URL, file: "_FromHere", metadata: Mapping[str, str], headers: Mapping[str, str], wait: float
) -> None:
    timeout = aiohttp.ClientTimeout(total=wait * PIECE_PATIENCE, sock_connect=CONNECT_SECONDS)
    location: URL | None = None
    failures = 0
    trust = aiohttp.TCPConnector(ssl=httpx.create_ssl_context())  # the same authorities as for small requests
    async with aiohttp.ClientSession(timeout=timeout, connector=trust, trust_env=True, headers=headers) as session:
        while True:
            reached = file.furthest
            try:
                location = location or await _begin(session, endpoint, file, metadata)
                await core.upload_buffer(session, location, cast(BinaryIO, file), chunksize=CHUNK)
                return
            except ABSENT as exc:
                failures = 1 if file.furthest > reached else failures + 1
                if _final(exc, begun=location is not None) or failures >= TRIES:
                    raise
                if _status(exc) in GONE:
                    location = None
            await asyncio.sleep(FIRST_PAUSE * 2**failures * random.uniform(0.5, 1))  # noqa: S311 - only spreads load


async def _begin(session: aiohttp.ClientSession, endpoint: URL, file: "_FromHere", metadata: Mapping[str, str]) -> URL:
    """Where the pieces go. Only the last part of the address is taken from the answer: keys stay with `endpoint`."""
    encoded = {name: value.encode() for name, value in metadata.items()}
    location = await creation.create(session, endpoint, cast(BinaryIO, file), encoded)
    return endpoint / location.name


def _final(exc: Exception, *, begun: bool) -> bool:
    """Whether asking again would be answered alike."""
    status = _status(exc)
    return status is not None and status < 500 and status not in PASSING and not (begun and status in GONE)


def _status(exc: Exception) -> int | None:
    return exc.status if isinstance(exc, aiohttp.ClientResponseError) else None


class _FromHere:
    """A file whose beginning is where it stood."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()
        self.furthest = 0  # bytes read so far

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        shift = self._start if whence == io.SEEK_SET else 0
        return self._file.seek(offset + shift, whence) - self._start

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self.furthest = max(self.furthest, self._file.tell() - self._start)
        return block
