"""The gate in front of Streamlit: nothing of it (page, websocket, media, upload) passes without a live session."""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Final
from urllib.parse import quote

import anyio
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services import identity
from services.config import settings
from services.errors import AppError
from ui import html

log = logging.getLogger(__name__)

PUBLIC: Final = frozenset(
    {"/sign-in", "/sign-out", "/forgot", "/welcome", "/start", "/start/company", "/start/demo", "/demo", "/demo/enter"}
    | {"/healthz", "/_stcore/health"}
)
PUBLIC_FOLDERS: Final = ("/static/",)  # Streamlit's own scripts and styles
PASSWORD_PAGE: Final = "/password"  # noqa: S105 - an address


@cache
def headers(project: str | None) -> dict[str, str]:
    """Of every answer. Media of a hosted installation come from its `project`; previews of voices and pictures of
    channels from their vendors.
    """
    media = f" {project}" if project else ""
    policy = [
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        f"img-src 'self' data: blob: https:{media}",
        f"media-src 'self' blob: https:{media}",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self' ws: wss:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
    return {
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "content-security-policy": "; ".join(policy),
    }


def cookie_name() -> str:
    """Behind TLS the prefix makes browsers refuse the cookie from any other host or path."""
    return "__Host-clipdesk" if settings().cookie_secure else "clipdesk"


class Gate:
    """Pure ASGI, so that it sees websockets too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = await _refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(scope, send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, _with_headers(scope, send))


async def _refusal(scope: Scope) -> Response | None:
    """What to answer instead, or None to let the request pass."""
    path = scope["path"]
    if scope["type"] == "http" and (path in PUBLIC or path.startswith(PUBLIC_FOLDERS)):
        return None
    connection = HTTPConnection(scope)
    try:
        person = await _person(connection)
    except AppError as exc:
        log.warning("the gate cannot tell who is signed in: %s", exc)
        return html.unavailable()
    if person is None:
        return _to_sign_in(connection)
    if person.must_change and path != PASSWORD_PAGE:
        return _elsewhere(connection, PASSWORD_PAGE)
    return None


async def _person(connection: HTTPConnection) -> identity.Person | None:
    secret = connection.cookies.get(cookie_name())
    return (secret and identity.sessions.get(secret)) or await anyio.to_thread.run_sync(identity.load, secret)


def _to_sign_in(connection: HTTPConnection) -> Response:
    path, query = connection.scope["raw_path"], connection.scope["query_string"]  # bytes: nobody promises UTF-8
    return _elsewhere(connection, "/sign-in?next=" + quote(path + (b"?" + query if query else b""), safe=""))


def _elsewhere(connection: HTTPConnection, address: str) -> Response:
    wants_page = "text/html" in connection.headers.get("accept", "")
    if connection.scope.get("method") == "GET" and wants_page:
        return RedirectResponse(address, 303)
    return PlainTextResponse("Sign in first.", 401)


def _with_headers(scope: Scope, send: Send) -> Send:
    private: Sequence[str] = ("/media/", "/files/")

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = MutableHeaders(scope=message)
            sent.update(headers(settings().supabase_url))
            if scope["path"].startswith(tuple(private)):
                sent["cache-control"] = "private, no-store"
        await send(message)

    return sending
