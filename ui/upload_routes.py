"""Where clips are sent to: one POST a file, its body taken in blocks, whatever its size."""

from collections.abc import AsyncIterator
from functools import cache, wraps
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote
from uuid import UUID

import anyio
from anyio.lowlevel import RunVar
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from services import uploads
from services.config import settings
from services.errors import (
    AppError,
    InvalidInput,
    NotAllowed,
    NotFound,
    SignedOut,
    StorageFull,
    StoreSuspended,
    Unavailable,
)
from services.uploads import Draft, Order
from ui.web import Endpoint, in_thread, person_of, same_origin

SCRIPT = Path(__file__).with_name("clip_upload.js")
BLOCK = 1 << 20  # bytes of an upload held in memory
SILENCE_SECONDS = 60  # after which a connection that sends nothing counts as broken
STATUS: dict[type[AppError], int] = {
    SignedOut: 401, NotAllowed: 403, NotFound: 404, StoreSuspended: 423, StorageFull: 507, Unavailable: 503,
    InvalidInput: 400,
}  # fmt: skip
_keeping: RunVar[anyio.CapacityLimiter] = RunVar("uploads being kept")


class Refused(Exception):
    """An upload that ends here; the sentence is the sender's to read."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def answers_in_json(endpoint: Endpoint) -> Endpoint:
    """{"clip": id}, or {"error": sentence} with a status that tells whether sending again can help (5xx, 408)."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if not same_origin(request):
            return _refusal(403, "This upload was begun on another site.")
        try:
            return await endpoint(request)
        except Refused as exc:
            return _refusal(exc.status, str(exc))
        except ClientDisconnect:
            return _refusal(400, uploads.CUT)  # nobody hears it
        except AppError as exc:
            return _refusal(next((code for kind, code in STATUS.items() if isinstance(exc, kind)), 409), str(exc))

    return guarded


def _refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


@answers_in_json
async def upload(request: Request) -> Response:
    """The body is the file; project and id are in the address, its name (as in an address) is a header."""
    person = await person_of(request)
    if person is None:
        raise SignedOut
    order = _order(request)
    _refuse_large(_announced(request))
    try:
        target = await in_thread(uploads.begin, person, order)
        known = await in_thread(uploads.is_there, person, order)
    except AppError:
        await _drop(request)
        raise
    if known:
        await _drop(request)
        return JSONResponse({"clip": str(order.clip_id)})
    with uploads.draft(target) as draft:
        await _receive(request, draft)
        clip_id = await anyio.to_thread.run_sync(draft.keep, person, order, limiter=_few())
    return JSONResponse({"clip": str(clip_id)}, 201)


def _few() -> anyio.CapacityLimiter:
    """As many uploads as may be handed to the media store at once: pieces of them are in memory then."""
    try:
        return _keeping.get()
    except LookupError:
        _keeping.set(anyio.CapacityLimiter(settings().uploads_at_once))
        return _keeping.get()


def _order(request: Request) -> Order:
    try:
        return Order(
            profile_id=UUID(request.path_params["profile_id"]),
            project_id=UUID(request.query_params.get("project", "")),
            clip_id=UUID(request.query_params.get("id", "")),
            name=unquote(request.headers.get("x-file-name", ""))[:255],
        )
    except ValueError:
        raise NotFound("Project not found. Reload the page and choose where the files go.") from None


def _announced(request: Request) -> int | None:
    """The file's size in bytes, if the sender says it."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _refuse_large(size: int | None) -> None:
    if size is not None and size > settings().upload_mb << 20:
        limit = settings().upload_mb
        raise Refused(413, f"The file has {size / (1 << 20):,.0f} MB; {limit:,} MB is the most. Make it smaller.")


async def _receive(request: Request, draft: Draft) -> None:
    """Fill the draft. What is refused by its first bytes is read to its end: browsers hear no answer before."""
    refusal: AppError | None = None
    async for block in _blocks(request):
        if refusal is None:
            try:
                await in_thread(draft.take, block)
            except (InvalidInput, StorageFull) as exc:
                refusal = exc
    if refusal:
        raise refusal
    announced = _announced(request)
    if announced is not None and announced != draft.bytes:
        raise Refused(400, uploads.CUT)


async def _drop(request: Request) -> None:
    async for _ in _blocks(request):
        pass


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks of `BLOCK` bytes or a little more, the last one apart; no more than may be uploaded."""
    waiting, received = bytearray(), 0
    pieces = request.stream()
    while (piece := await _next(pieces)) is not None:
        received += len(piece)
        _refuse_large(received)
        waiting += piece
        if len(waiting) >= BLOCK:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    try:
        with anyio.fail_after(SILENCE_SECONDS):
            return await anext(pieces, None)
    except TimeoutError:
        raise Refused(408, "Nothing arrived for a minute. Send the file again.") from None


@cache
def script_version() -> str:
    """Changes with the script, so that browsers may keep it."""
    return sha256(SCRIPT.read_bytes()).hexdigest()[:12]


async def script(_: Request) -> Response:
    """The upload area's script, from this site: pages may run no other."""
    return FileResponse(SCRIPT, media_type="text/javascript", headers={"cache-control": "private, max-age=86400"})


ROUTES = [
    Route("/uploads/script.js", script),
    Route("/uploads/{profile_id}", upload, methods=["POST"]),
]
