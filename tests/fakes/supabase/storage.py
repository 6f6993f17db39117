"""The project's storage service: rows in `storage.objects` under the caller's own policies, bytes in a folder.

What is wrong with a bucket is told by its row: missing, public, `file_size_limit`. Besides the faults of the stack,
`stack.faults.next(HALF, "cut")` ends the connection in the middle of the next piece of a resumable upload.
"""

import base64
import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import jwt
import psycopg
from anyio import to_thread
from psycopg.types.json import Jsonb
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tests.fakes.supabase.stack import Caller, Refused, Stack

SHIM = Path(__file__).with_name("storage.sql")
HALF = "half:/storage/v1/upload/resumable"
PAGE_LIMIT = 1500
SUPERUSER = Caller("none", {})  # the role that the pool signs in as
Handler = Callable[[Request], Awaitable[Response]]

FIND = (
    "select id, name, version, metadata, created_at, updated_at from storage.objects where bucket_id = %s and name = %s"
)
KEEP = """
    insert into storage.objects (bucket_id, name, owner_id, version, metadata) values (%s, %s, %s, %s, %s)
"""
REPLACE = """
    on conflict (bucket_id, name) do update set version = excluded.version, metadata = excluded.metadata,
        owner_id = excluded.owner_id, updated_at = now()
"""
LIST = """
    with inside as (
        select substring(name from char_length(%(prefix)s) + 1) as rest, id, updated_at, created_at, metadata
        from storage.objects where bucket_id = %(bucket)s and starts_with(name, %(prefix)s))
    select name, id, updated_at, created_at, metadata from (
        select distinct split_part(rest, '/', 1) as name, null::uuid as id, null::timestamptz as updated_at,
            null::timestamptz as created_at, null::jsonb as metadata from inside where rest like '%%/%%'
        union all
        select rest, id, updated_at, created_at, metadata from inside where rest not like '%%/%%') entries
    order by lower(name) collate "C" limit %(limit)s offset %(offset)s
"""


class Failed(Exception):
    """Storage's own error: the true status stands inside the answer, on the outside it is 400 for most."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message

    def response(self) -> Response:
        body = {"statusCode": str(self.status), "error": self.error, "message": self.message}
        return JSONResponse(body, 500 if self.status == 500 else 400)


NO_BUCKET = Failed(404, "Bucket not found", "Bucket not found")
NO_OBJECT = Failed(404, "not_found", "Object not found")
FORBIDDEN = Failed(403, "Unauthorized", "new row violates row-level security policy")
DUPLICATE = Failed(409, "Duplicate", "The resource already exists")
TOO_LARGE = Failed(413, "Payload too large", "The object exceeded the maximum allowed size")


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    name: str
    length: int
    kind: str
    upsert: bool
    version: str = field(default_factory=lambda: str(uuid4()))


def routes(stack: Stack) -> list[BaseRoute]:
    service = Service(stack)
    covered = [
        ("/bucket/{bucket}", "GET", service.bucket),
        ("/object/info/{bucket}/{name:path}", "GET", service.info),
        ("/object/list/{bucket}", "POST", service.list),
        ("/object/sign/{bucket}/{name:path}", "POST", service.sign),
        ("/object/sign/{bucket}/{name:path}", "GET", service.signed),
        ("/object/{bucket}/{name:path}", "POST", service.upload),
        ("/object/{bucket}/{name:path}", "GET", service.download),
        ("/object/{bucket}", "DELETE", service.remove),
        ("/upload/resumable", "POST", service.begin),
        ("/upload/resumable/{upload}", "HEAD", service.offset),
        ("/upload/resumable/{upload}", "PATCH", service.piece),
    ]
    return [Route(path, _answering(handler), methods=[method]) for path, method, handler in covered]


def _answering(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Failed as exc:
            if "/upload/resumable" in request.url.path:
                return PlainTextResponse(exc.message, exc.status)
            return exc.response()
        except Refused as exc:
            return _turned_away(exc)

    return answer


def _turned_away(refused: Refused) -> Response:
    """The gateway's words about keys stand; about tokens Storage has its own."""
    code = str(refused.body.get("code", ""))
    if not code.startswith("PGRST"):
        return refused.response()
    message = '"exp" claim timestamp check failed' if code == "PGRST303" else "Invalid Compact JWS"
    return Failed(403, "Unauthorized", message).response()


class Service:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
        self.uploads: dict[str, Upload] = {}
        weakref.finalize(stack, shutil.rmtree, self.folder, ignore_errors=True)

    # Whole files -----------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        caller = self.stack.caller(request)
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            data, kind = await file.read(), file.content_type
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        upload = Upload(bucket, name, len(data), kind or "", request.headers.get("x-upsert") == "true")

        def keep() -> str:
            self._permit(caller, upload)
            self._file(upload.version).write_bytes(data)
            return self._finish(caller, upload)

        object_id = await to_thread.run_sync(keep)
        return JSONResponse({"Key": f"{bucket}/{name}", "Id": object_id})

    async def download(self, request: Request) -> Response:
        row = await self._find(self.stack.caller(request), request)
        return self._asset(row, {"cache-control": row["metadata"]["cacheControl"]})

    async def info(self, request: Request) -> Response:
        row = await self._find(self.stack.caller(request), request)
        metadata = row["metadata"]
        body = {
            "id": str(row["id"]), "name": row["name"], "version": row["version"], "size": metadata["size"],
            "bucket_id": request.path_params["bucket"], "content_type": metadata["mimetype"],
            "cache_control": metadata["cacheControl"], "etag": metadata["eTag"], "metadata": None,
            "last_modified": row["updated_at"].isoformat(), "created_at": row["created_at"].isoformat(),
        }  # fmt: skip
        return JSONResponse(body)

    async def remove(self, request: Request) -> Response:
        caller, names = self.stack.caller(request), (await request.json())["prefixes"]

        def delete() -> list[dict[str, Any]]:
            with self._as(caller) as run:
                run("select set_config('storage.allow_delete_query', 'true', true)")
                return run(
                    "delete from storage.objects where bucket_id = %s and name = any(%s) returning name, version",
                    request.path_params["bucket"], names,
                )  # fmt: skip

        deleted = await to_thread.run_sync(delete)
        for row in deleted:
            self._file(row["version"] or "none").unlink(missing_ok=True)
        return JSONResponse([{"name": row["name"]} for row in deleted])

    async def list(self, request: Request) -> Response:
        caller, asked = self.stack.caller(request), await request.json()
        if asked["sortBy"] != {"column": "name", "order": "asc"} or asked.get("search"):
            return self.stack.refuse(request, json.dumps(asked))
        prefix = asked["prefix"].rstrip("/") + "/" if asked["prefix"] else ""
        values = {
            "prefix": prefix, "bucket": request.path_params["bucket"], "offset": asked["offset"],
            "limit": min(asked["limit"], PAGE_LIMIT),
        }  # fmt: skip

        def find() -> list[dict[str, Any]]:
            with self._as(caller) as run:
                return run(LIST, values)

        return Response(json.dumps(await to_thread.run_sync(find), default=_plain), media_type="application/json")

    # Signed addresses ------------------------------------------------------------------------------------------

    async def sign(self, request: Request) -> Response:
        row = await self._find(self.stack.caller(request), request)
        seconds = int((await request.json())["expiresIn"])
        if seconds < 1:
            raise Failed(400, "Error", "body/expiresIn must be >= 1")
        now, address = datetime.now(UTC), f"{request.path_params['bucket']}/{row['name']}"
        claims = {"url": address, "iat": now, "exp": now + timedelta(seconds=seconds)}
        token = jwt.encode(claims, self.stack.jwt_secret, algorithm="HS256")
        return JSONResponse({"signedURL": f"/object/sign/{quote(address)}?token={token}"})

    async def signed(self, request: Request) -> Response:
        """Needs no key: the token in the address is enough."""
        try:
            claims = jwt.decode(request.query_params["token"], self.stack.jwt_secret, algorithms=["HS256"])
        except jwt.ExpiredSignatureError:
            raise Failed(400, "InvalidJWT", '"exp" claim timestamp check failed') from None
        except (jwt.PyJWTError, KeyError):
            raise Failed(400, "InvalidJWT", "Invalid Compact JWS") from None
        if claims.get("url") != "{bucket}/{name}".format(**request.path_params):
            raise Failed(400, "InvalidSignature", "The url do not match the signature")
        row = await self._find(SUPERUSER, request)
        headers = {"expires": datetime.fromtimestamp(claims["exp"], UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        if (download := request.query_params.get("download")) is not None:
            file_name = quote(download, safe="!'()*~")
            headers["content-disposition"] = f"attachment; filename={file_name}; filename*=UTF-8''{file_name};"
        return self._asset(row, headers)

    # Resumable uploads -----------------------------------------------------------------------------------------

    async def begin(self, request: Request) -> Response:
        caller = self.stack.caller(request)
        told = _metadata(request.headers["upload-metadata"])
        upload = Upload(
            told["bucketName"], told["objectName"], int(request.headers["upload-length"]), told["contentType"],
            request.headers.get("x-upsert") == "true",
        )  # fmt: skip
        await to_thread.run_sync(self._permit, caller, upload)
        self._file(upload.version).touch()
        key = base64.urlsafe_b64encode(f"{upload.bucket}/{upload.name}/{upload.version}".encode()).decode().rstrip("=")
        self.uploads[key] = upload
        location = f"https://{request.url.netloc}/storage/v1/upload/resumable/{key}"  # always https, as in production
        return Response(None, 201, {"location": location, "tus-resumable": "1.0.0"})

    async def offset(self, request: Request) -> Response:
        self.stack.caller(request)
        upload = self._under_way(request)
        return Response(None, 200, {**self._state(upload), "upload-length": str(upload.length)})

    async def piece(self, request: Request) -> Response:
        caller, upload = self.stack.caller(request), self._under_way(request)
        if request.headers["content-type"] != "application/offset+octet-stream":
            raise Failed(415, "TusError", "Content-Type header required")
        if request.headers["upload-offset"] != self._state(upload)["upload-offset"]:
            raise Failed(409, "TusError", "Upload-Offset conflict")
        await to_thread.run_sync(self._permit, caller, upload)
        await self._append(request, upload)
        if self._file(upload.version).stat().st_size == upload.length:
            await to_thread.run_sync(self._finish, caller, upload)
        return Response(None, 204, self._state(upload))

    async def _append(self, request: Request, upload: Upload) -> None:
        half = int(request.headers["content-length"]) // 2
        cut = self.stack.faults.take(f"half:{request.url.path}")
        done = 0
        with self._file(upload.version).open("ab") as file:
            async for block in request.stream():
                file.write(block[: half - done] if cut else block)
                done += len(block)
                if cut and done >= half:
                    _hang_up(request)

    def _under_way(self, request: Request) -> Upload:
        try:
            return self.uploads[request.path_params["upload"]]
        except KeyError:
            raise Failed(404, "TusError", "The file for this url was not found") from None

    def _state(self, upload: Upload) -> dict[str, str]:
        return {"upload-offset": str(self._file(upload.version).stat().st_size), "tus-resumable": "1.0.0"}

    # Buckets ---------------------------------------------------------------------------------------------------

    async def bucket(self, request: Request) -> Response:
        caller = self.stack.caller(request)

        def find() -> list[dict[str, Any]]:
            with self._as(caller) as run:
                return run("select * from storage.buckets where id = %s", request.path_params["bucket"])

        rows = await to_thread.run_sync(find)
        if not rows:
            raise NO_BUCKET
        return Response(json.dumps(rows[0], default=_plain), media_type="application/json")

    # Rows and files --------------------------------------------------------------------------------------------

    def _permit(self, caller: Caller, upload: Upload) -> None:
        """Write the row as the caller and take it back: whether policies and limits allow the upload."""
        with self._as(SUPERUSER) as run:
            rows = run("select file_size_limit from storage.buckets where id = %s", upload.bucket)
        if not rows:
            raise NO_BUCKET
        if upload.length > (rows[0]["file_size_limit"] or upload.length):
            raise TOO_LARGE
        try:
            with self._as(caller) as run:
                self._keep(run, caller, upload, {})
                raise psycopg.Rollback
        except psycopg.errors.InsufficientPrivilege:
            raise FORBIDDEN from None
        except psycopg.errors.UniqueViolation:
            raise DUPLICATE from None

    def _finish(self, caller: Caller, upload: Upload) -> str:
        data = self._file(upload.version)
        with data.open("rb") as file:
            tag = hashlib.file_digest(file, "md5").hexdigest()
        metadata = {
            "size": data.stat().st_size, "mimetype": upload.kind, "eTag": f'"{tag}"', "cacheControl": "max-age=3600"
        }  # fmt: skip
        with self._as(SUPERUSER) as run:
            before = run(FIND, upload.bucket, upload.name)
            self._keep(run, caller, upload, metadata)
            (row,) = run(FIND, upload.bucket, upload.name)
        for old in before:
            self._file(old["version"] or "none").unlink(missing_ok=True)
        return str(row["id"])

    def _keep(self, run: "Run", caller: Caller, upload: Upload, metadata: dict[str, Any]) -> None:
        values = (upload.bucket, upload.name, caller.claims.get("sub"), upload.version, Jsonb(metadata))
        run(KEEP + (REPLACE if upload.upsert else ""), *values)

    async def _find(self, caller: Caller, request: Request) -> dict[str, Any]:
        def find() -> list[dict[str, Any]]:
            with self._as(caller) as run:
                return run(FIND, request.path_params["bucket"], request.path_params["name"])

        rows = await to_thread.run_sync(find)
        if not rows:
            raise NO_OBJECT
        return rows[0]

    def _asset(self, row: dict[str, Any], headers: dict[str, str]) -> Response:
        kind = "text/plain" if "html" in row["metadata"]["mimetype"] else row["metadata"]["mimetype"]
        return FileResponse(
            self._file(row["version"]), headers={**headers, "etag": row["metadata"]["eTag"]}, media_type=kind
        )

    def _file(self, version: str) -> Path:
        return self.folder / version

    @contextmanager
    def _as(self, caller: Caller) -> Iterator["Run"]:
        """A transaction in the caller's role, with the caller's claims."""
        with self.stack.pool.connection() as connection, connection.transaction():
            claims = json.dumps(dict(caller.claims))
            connection.execute(
                "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                (caller.role, claims),
            )
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)

            def run(query: str, *values: Any) -> list[dict[str, Any]]:
                cursor.execute(query, values[0] if values and isinstance(values[0], dict) else values)
                return cursor.fetchall() if cursor.description else []

            yield run


Run = Callable[..., list[dict[str, Any]]]


def _hang_up(request: Request) -> None:
    """End the connection. ASGI has no way to do it; uvicorn's `receive` is a method of what holds the transport."""
    cycle: Any = getattr(request.receive, "__self__")  # noqa: B009 - a type that does not promise the attribute
    cycle.transport.abort()


def _metadata(header: str) -> dict[str, str]:
    pairs = (pair.split(" ") for pair in header.split(","))
    return {name: base64.b64decode(value).decode() for name, value in pairs}


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
