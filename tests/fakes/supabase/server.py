"""The test project's web server: one per test or module, on a free port of this machine."""

import socket
import threading
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import uvicorn
from psycopg_pool import ConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.fakes.supabase import auth, rest, storage
from tests.fakes.supabase.stack import Seen, Stack

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
CONNECTIONS = 15  # of the data service to Postgres
PAGES = {
    "200_html": "<html><body>Welcome to the guest network. Accept the terms to go on.</body></html>",
    "502_html": "<html><head><title>502 Bad Gateway</title></head><body>upstream unavailable</body></html>",
}
PLAIN_FAULTS = {"429": "rate limit exceeded", "500": "internal server error", "503": "service unavailable"}


class FakeSupabase:
    """A running project over the database `dsn` (a superuser's address), until the block ends."""

    def __init__(self, dsn: str) -> None:
        check = ConnectionPool.check_connection
        pool = ConnectionPool(dsn, min_size=0, max_size=CONNECTIONS, open=False, timeout=10, check=check)
        self.stack = Stack(dsn, pool)
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)  # named, else asyncio leaves Nagle's 40 ms waits on
        self._server = uvicorn.Server(_config(application(self.stack)))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self.stack.pool.open()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(256)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread.start()  # the socket listens already: whoever asks now waits in its queue
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self._socket.close()
        self.stack.pool.close()


def application(stack: Stack) -> ASGIApp:
    services = {"rest": rest.routes(stack), "auth": auth.routes(stack), "storage": storage.routes(stack)}

    def uncovered(request: Request) -> Response:
        return stack.refuse(request)

    anything = Route("/{path:path}", uncovered, methods=METHODS)
    mounts = [Mount(f"/{name}/v1", routes=[*routes, anything]) for name, routes in services.items()]
    return Gateway(stack, Starlette(routes=[*mounts, anything]))


class Gateway:
    """Notes each request and carries out the scripted faults before the services see it."""

    def __init__(self, stack: Stack, inner: ASGIApp) -> None:
        self._stack = stack
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._stack.seen.append(Seen(request.method, request.url.path, request.url.query, headers))
        kind = self._stack.faults.take(request.url.path)
        if kind is None:
            await self._inner(scope, receive, send)
        elif kind == "lost_answer":
            await self._inner(scope, receive, _nowhere)
            await _cut(receive, send)
        elif kind == "cut":
            await _cut(receive, send)
        elif kind == "hang":
            await _until_gone(receive)
        else:
            await _page(kind)(scope, receive, send)


def _page(kind: str) -> Response:
    if kind in PAGES:
        return HTMLResponse(PAGES[kind], int(kind[:3]))
    return JSONResponse({"message": PLAIN_FAULTS[kind]}, int(kind))


async def _nowhere(message: Message) -> None:
    """An answer that is lost on its way."""


async def _cut(receive: Receive, send: Send) -> None:
    """End the connection. ASGI has no way to do it; uvicorn's `send` is a method of what holds the transport."""
    cycle: Any = getattr(send, "__self__")  # noqa: B009 - a type that does not promise the attribute
    cycle.transport.abort()
    await _until_gone(receive)


async def _until_gone(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=2
    )
