"""What every address outside Streamlit needs: who asks, from which page, and work that blocks."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from services import identity
from services.errors import AppError, Unavailable
from services.identity import Person
from ui import html
from ui.gate import cookie_name

Endpoint = Callable[[Request], Awaitable[Response]]
P = ParamSpec("P")
T = TypeVar("T")


def same_origin(request: Request) -> bool:
    """Whether the form that is sent was ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    return request.headers.get("origin", "").split("//", 1)[-1] == request.headers.get("host")


def own_forms_only(endpoint: Endpoint) -> Endpoint:
    """Refuse a POST that another site's page sent; answer errors with a page that says what to do."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if request.method == "POST" and not same_origin(request):
            return PlainTextResponse("This form was sent from another site.", 403)
        try:
            return await endpoint(request)
        except Unavailable:
            return html.unavailable()
        except AppError as exc:
            return html.failed(str(exc))

    return guarded


async def in_thread(run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await anyio.to_thread.run_sync(lambda: run(*args, **kwargs))


async def person_of(request: Request) -> Person | None:
    """Whose session the request bears. The gate asks too; it may have believed a yes for some seconds."""
    return await in_thread(identity.load, request.cookies.get(cookie_name()))
