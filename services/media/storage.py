"""Media in Supabase Storage: one private bucket, reached with the secret key or with a person's token."""

import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

import aiohttp
import httpx
from pydantic import SecretStr
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError

from services.errors import (
    AppError,
    Conflict,
    NotAllowed,
    NotFound,
    SchemaMismatch,
    SettingsInvalid,
    SignedOut,
    StorageFull,
    Unavailable,
)
from services.media import resumable
from services.media.door import checked, is_path

BUCKET = "media"
SIMPLE = 6 * 1024 * 1024  # bytes; larger files go up in resumable pieces
BLOCK = 1 << 20  # bytes copied at a time
PAGE = 1000  # entries of a folder asked for at once; Storage gives 1500 at most
TRIES = 3
FIRST_PAUSE = 0.2  # seconds, doubled each time
CACHE_SECONDS = "3600"
KINDS = {
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".m4a": "audio/mp4", ".ogg": "audio/ogg",
    ".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm", ".mkv": "video/x-matroska",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif",
    ".vtt": "text/vtt",
    ".csv": "text/csv", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".json": "application/json", ".zip": "application/zip",
}  # fmt: skip

AWAY = "Supabase Storage does not answer right now. Nothing was lost; try again in a moment."
FULL = (
    "Supabase Storage has no room for this file: it is above the file size limit, or the project's space is used up. "
    "Raise the limit in the project's Storage settings or delete files, then retry."
)
MISSING = "The file is missing from the media store."
NO_BUCKET = f"The Supabase project has no bucket “{BUCKET}”. Run `supabase db push --remote`, which makes it."
PUBLIC_BUCKET = (
    f"The bucket “{BUCKET}” is public: anyone with a link can read every store's files. Make it private in the "
    "project's Storage settings."
)
BAD_KEY = "Supabase refuses the key. Copy SUPABASE_PUBLISHABLE_KEY and SUPABASE_SECRET_KEY again from the project."
BUSY = (408, 423, 425, 429)
WRONG_TOKEN = ("jwt", "jws", '"exp"', "signature verification")

T = TypeVar("T")


class Storage:
    """See `Media`. With a person's token it reads and adds what the bucket's policies allow that person."""

    def __init__(self, url: str, key: str, http: httpx.Client, token: str | None = None) -> None:
        self._address = f"{url.rstrip('/')}/storage/v1"
        self._headers = {"apikey": key, "Authorization": f"Bearer {token or key}"}
        self._http = http
        self._person = token is not None
        self._bucket = SyncStorageClient(f"{self._address}/", self._headers, http_client=http).from_(BUCKET)

    def write(self, path: str, data: bytes | BinaryIO) -> None:
        """See `Media`. A file must be seekable."""
        source = io.BytesIO(data) if isinstance(data, bytes) else data
        size = _left(source)
        if size > SIMPLE:
            self._send_pieces(checked(path), source)
            self._confirm(path, size)
        else:
            self._send(checked(path), b"".join(iter(lambda: source.read(BLOCK), b"")))

    def read(self, path: str) -> bytes:
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """See `Media`. A copy: in memory up to 6 MB, beyond that a temporary file."""
        address = f"{self._address}/object/{BUCKET}/{checked(path)}"
        copy = tempfile.SpooledTemporaryFile(SIMPLE)  # noqa: SIM115 - the caller closes it
        try:
            self._try(lambda: self._fetch(address, copy))
        except BaseException:
            copy.close()
            raise
        copy.seek(0)
        return cast(BinaryIO, copy)

    def size(self, path: str) -> int:
        return int(self._try(lambda: self._bucket.info(checked(path)))["size"])

    def exists(self, path: str) -> bool:
        try:
            self.size(path)
        except NotFound:
            return False
        return True

    def delete(self, path: str) -> None:
        """See `Media`. Raises `NotAllowed` when a person may see the file but not delete it."""
        removed = self._try(lambda: self._bucket.remove([checked(path)]))
        if self._person and not removed and self.exists(path):  # what policies forbid is skipped without an error
            raise NotAllowed

    def list(self, prefix: str, older_than: datetime) -> Iterator[str]:
        """See `Media`. A folder is read to its end before its files are given: deleting them shifts its pages."""
        folders = [checked(prefix)]
        while folders:
            folder = folders.pop()
            inside = [(f"{folder}/{entry['name']}", entry) for entry in self._entries(folder)]
            known = [(path, entry) for path, entry in inside if is_path(path)]
            folders += [path for path, entry in known if entry["id"] is None]
            yield from [path for path, entry in known if entry["id"] and _written_before(entry, older_than)]

    def link(self, path: str, seconds: int, download: str | None = None) -> str:
        return self.signed_url(path, seconds, download)

    def signed_url(self, path: str, seconds: int, download: str | None = None) -> str:
        """An address that gives the file to whoever has it, for `seconds`; never log it. Raises `NotFound`."""
        made = self._try(
            lambda: self._bucket.create_signed_url(checked(path), seconds, {"download": download} if download else {})
        )
        return str(made["signedURL"])

    def trouble(self) -> str | None:
        """What is wrong with the bucket, as a sentence; None when all is well. Needs the secret key."""
        try:
            bucket = self._try(lambda: _json(self._http.get(f"{self._address}/bucket/{BUCKET}", headers=self._headers)))
        except AppError as exc:
            return str(exc)
        return PUBLIC_BUCKET if bucket["public"] else None

    def _send(self, path: str, data: bytes) -> None:
        """Uploading the same bytes twice is harmless, but people may not replace: theirs is tried once."""
        options: Any = {"content-type": _kind(path), "cache-control": CACHE_SECONDS, "upsert": "true"}
        self._try(lambda: self._bucket.upload(path, data, options), 1 if self._person else TRIES)

    def _send_pieces(self, path: str, file: BinaryIO) -> None:
        metadata = {
            "bucketName": BUCKET, "objectName": path, "contentType": _kind(path), "cacheControl": CACHE_SECONDS
        }  # fmt: skip
        headers = {**self._headers, "x-upsert": "true"}
        wait = self._http.timeout.read or resumable.CONNECT_SECONDS
        try:
            resumable.upload(f"{self._address}/upload/resumable", file, metadata, headers, wait)
        except aiohttp.ClientResponseError as exc:
            refusal = exc.status
        except resumable.ABSENT as exc:
            raise Unavailable(AWAY) from exc
        else:
            return
        raise self._refusal(path, refusal)  # without a cause: the client's error holds the request's headers

    def _confirm(self, path: str, size: int) -> None:
        """Storage may have all pieces and fail to make a file of them; asked again, it then says it has them all."""
        try:
            made = self.size(path)
        except NotFound:
            made = None
        if made != size:
            raise Unavailable(AWAY)

    def _refusal(self, path: str, status: int) -> AppError:
        """What a refused resumable upload means. The client drops the body; a small request tells about tokens."""
        if status == 400:
            self.exists(path)
        return SchemaMismatch(NO_BUCKET) if status == 404 else _error(status, "", self._person)

    def _fetch(self, address: str, copy: "tempfile.SpooledTemporaryFile[bytes]") -> None:
        copy.seek(0)
        copy.truncate()
        with self._http.stream("GET", address, headers=self._headers) as answer:
            _refuse(answer)
            for block in answer.iter_bytes(BLOCK):
                copy.write(block)

    def _entries(self, folder: str) -> Iterator[dict[str, Any]]:
        """Files and folders (`id` None) right below."""
        offset = 0
        while True:
            page = self._page(folder, offset)
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE

    def _page(self, folder: str, offset: int) -> Sequence[dict[str, Any]]:
        return self._try(lambda: self._bucket.list(folder, {"limit": PAGE, "offset": offset}))

    def _try(self, ask: Callable[[], T], tries: int = TRIES) -> T:
        """Ask again after a lost connection or a server's error; a time-out has taken long enough."""
        for failures in range(1, tries):
            try:
                return self._ask(ask)
            except Unavailable as exc:
                if isinstance(exc.__cause__, httpx.TimeoutException):
                    raise
                time.sleep(FIRST_PAUSE * 2**failures * random.uniform(0.5, 1))  # noqa: S311 - only spreads load
        return self._ask(ask)

    def _ask(self, ask: Callable[[], T]) -> T:
        with _plain_errors(self._person):
            return ask()


def storage(url: str, key: SecretStr | str, http: httpx.Client, token: str | None = None) -> Storage:
    """The project's media store for the worker (its secret key) or a person (publishable key and the token)."""
    return Storage(url, key.get_secret_value() if isinstance(key, SecretStr) else key, http, token)


@contextmanager
def _plain_errors(person: bool) -> Iterator[None]:
    """Storage's errors and the network's as those of `services/errors.py`."""
    try:
        yield
    except StorageApiError as exc:
        raise _error(_number(exc.status), exc.message, person) from exc
    except (httpx.HTTPError, ValueError) as exc:  # ValueError: a page of a proxy where JSON was due
        raise Unavailable(AWAY) from exc


def _error(status: int, message: str, person: bool) -> AppError:
    """`status` is the one inside the answer: Storage says 400 on the outside for nearly everything."""
    said = message.lower()
    if status in (402, 413, 507) or "quota" in said:
        return StorageFull(FULL)
    if "bucket not found" in said:
        return SchemaMismatch(NO_BUCKET)
    if "api key" in said:
        return SettingsInvalid(BAD_KEY)
    if status == 401 or any(word in said for word in WRONG_TOKEN):
        return SignedOut() if person else SettingsInvalid(BAD_KEY)
    if status >= 500 or status in BUSY:
        return Unavailable(AWAY)
    return {403: NotAllowed(), 404: NotFound(MISSING), 409: Conflict()}.get(status, AppError())


def _refuse(answer: httpx.Response) -> None:
    """Raise `StorageApiError` for an answer that is one."""
    if answer.is_success:
        return
    answer.read()
    try:
        body = answer.json()
        raise StorageApiError(str(body["message"]), str(body.get("error")), body.get("statusCode", answer.status_code))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StorageApiError("The answer has no message.", "InternalError", answer.status_code) from None


def _json(answer: httpx.Response) -> Any:
    _refuse(answer)
    return answer.json()


def _number(status: int | str) -> int:
    """Errors of gateways carry words where Storage has a number."""
    return int(status) if str(status).isdecimal() else 500


def _left(file: BinaryIO) -> int:
    """Bytes from where the file stands to its end."""
    here = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(here)
    return end - here


def _kind(path: str) -> str:
    return KINDS.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")


def _written_before(entry: dict[str, Any], instant: datetime) -> bool:
    return datetime.fromisoformat(entry["updated_at"]) < instant
