"""Addresses outside Streamlit: sign-in and out, first start, password, demo, health; files and uploads beside."""

import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services import demo, health, identity
from services.config import settings
from services.errors import AppError, InvalidInput, SignedOut, TooManyTries, Unavailable
from ui import file_routes, html, upload_routes
from ui.gate import cookie_name
from ui.web import in_thread, own_forms_only

log = logging.getLogger(__name__)


LOCAL_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
PROXY_MARKS = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


# Where a request comes from --------------------------------------------------------------------------------------


def address(request: Request) -> str | None:
    """The network address of the other end; behind a proxy the server replaces it by the forwarded one."""
    return request.client.host if request.client else None


def on_loopback(request: Request) -> bool:
    """Whether the person sits at this machine: no proxy in between, and the address asked for is local too.

    Behind TLS (`COOKIE_SECURE`) there is a proxy even where it leaves no mark, as nginx does not by itself.
    """
    asked = LOCAL_HOST.fullmatch(request.headers.get("host", ""))
    proxied = settings().cookie_secure or any(mark in request.headers for mark in PROXY_MARKS)
    return bool(asked) and not proxied and _is_loopback(address(request) or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def fields(request: Request) -> dict[str, str]:
    async with request.form(max_files=0, max_fields=20) as form:
        return {name: str(value)[:1000] for name, value in form.items()}


def safe_next(value: str | None) -> str:
    """An address on this site, never another one's."""
    return value if value and value.startswith("/") and not value.startswith(("//", "/\\")) else "/"


def with_cookie(response: Response, secret: str) -> Response:
    options = settings()
    response.set_cookie(
        cookie_name(),
        secret,
        httponly=True,
        samesite="lax",
        secure=options.cookie_secure,
        path="/",
        max_age=options.session_hours * 3600 + 7_200,  # outlives the session as long as it can be renewed
    )
    return response


# Sign-in ----------------------------------------------------------------------------------------------------------


@own_forms_only
async def sign_in(request: Request) -> Response:
    if request.method == "GET":
        new = await in_thread(identity.first_start)
        if new and not await in_thread(demo.people):
            return RedirectResponse("/start", 303)
        next_page = safe_next(request.query_params.get("next"))
        return _sign_in_form(request, next_page, offer_start=new)
    form = await fields(request)
    email, next_page = form.get("email", ""), safe_next(form.get("next"))
    try:
        secret = await in_thread(
            identity.sign_in,
            email,
            form.get("password", ""),
            address=address(request),
            agent=request.headers.get("user-agent", ""),
            previous=request.cookies.get(cookie_name()),
        )
    except Unavailable:
        raise
    except AppError as exc:
        return _sign_in_form(request, next_page, email=email, error=str(exc))
    return with_cookie(RedirectResponse(next_page, 303), secret)


def _sign_in_form(request: Request, next_page: str, **shown: Any) -> Response:
    by_mail = identity.by_mail()
    return html.sign_in(next_page, offer_demo=on_loopback(request) and not by_mail, offer_reset=by_mail, **shown)


@own_forms_only
async def sign_out(request: Request) -> Response:
    secret = request.cookies.get(cookie_name(), "")
    form = await fields(request)
    if form.get("everywhere"):
        person = await in_thread(identity.load, secret)
        if person is None:
            return html.sign_in("/", error="Your session had ended. Sign in, then sign out everywhere once more.")
        await in_thread(identity.sign_out_everywhere, person)
    elif secret:
        await in_thread(identity.sign_out, secret)
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(cookie_name(), path="/", secure=settings().cookie_secure, httponly=True, samesite="lax")
    return response


@own_forms_only
async def password(request: Request) -> Response:
    secret = request.cookies.get(cookie_name(), "")
    person = await in_thread(identity.load, secret)
    if person is None:
        return RedirectResponse("/sign-in?next=%2Fpassword", 303)
    if request.method == "GET":
        return html.password(forced=person.must_change)
    form = await fields(request)
    try:
        await in_thread(identity.change_password, person, secret, form.get("password", ""), present=form.get("present"))
    except Unavailable:
        raise
    except InvalidInput as exc:
        return html.password(str(exc), exc.field or "password", forced=person.must_change)
    except AppError as exc:
        return html.password(str(exc), forced=person.must_change)
    return RedirectResponse("/", 303)


# Links: mailed where accounts live at Supabase, handed over by an admin elsewhere -----------------------------------


@own_forms_only
async def forgot(request: Request) -> Response:
    if not identity.by_mail():
        return RedirectResponse("/sign-in", 303)
    if request.method == "GET":
        return html.forgot()
    email = (await fields(request)).get("email", "")
    try:
        await in_thread(identity.forgot, email, address(request))
    except (InvalidInput, TooManyTries) as exc:
        return html.forgot(email, str(exc))
    return html.link_sent(email)


@own_forms_only
async def welcome(request: Request) -> Response:
    asked = request.query_params if request.method == "GET" else await fields(request)
    token, kind = asked.get("token_hash", "")[:200], asked.get("type", "")[:20]
    try:
        if request.method == "GET":
            await in_thread(identity.look_at_link, token, kind)
            return html.welcome(token, kind)
        secret = await _accepted(request, token, kind, asked.get("password", ""))
    except InvalidInput as exc:
        return html.welcome(token, kind, str(exc)) if exc.field == "password" else _link_failed(exc)
    except SignedOut as exc:
        return _link_failed(exc)
    return with_cookie(RedirectResponse("/", 303), secret)


async def _accepted(request: Request, token: str, kind: str, chosen: str) -> str:
    agent = request.headers.get("user-agent", "")
    return await in_thread(identity.accept, token, kind, chosen, address=address(request), agent=agent)


def _link_failed(error: AppError) -> Response:
    return html.link_failed(str(error), offer_reset=identity.by_mail())


# First start ------------------------------------------------------------------------------------------------------


@cache
def setup_code() -> str:
    """What the first-admin form asks for away from loopback."""
    return settings().setup_code or secrets.token_hex(6)


def announce_first_start() -> None:
    """Print the set-up code while there is no company, whatever the log level."""
    if identity.first_start():
        log.critical("No company yet. Set-up code for the first-admin form: %s", setup_code())


@own_forms_only
async def start(request: Request) -> Response:
    if not await in_thread(identity.first_start):
        return RedirectResponse("/sign-in", 303)
    return _start_form(request, {}, {})


def _start_form(request: Request, values: Mapping[str, str], errors: Mapping[str, str]) -> Response:
    local = on_loopback(request)
    return html.first_start(values, errors, ask_code=not local, offer_demo=local)


@own_forms_only
async def start_company(request: Request) -> Response:
    if request.method == "GET":
        return RedirectResponse("/start", 303)
    form = await fields(request)
    try:
        await _check_setup_code(request, form.get("setup_code", ""))
        company = identity.NewCompany.model_validate(form)
        person_id = await in_thread(identity.create_company, company, address(request))
    except InvalidInput as exc:
        return _start_form(request, form, {exc.field or "": str(exc)})
    except ValidationError as exc:
        return _start_form(request, form, {str(e["loc"][0]): "This is needed." for e in exc.errors()})
    except Unavailable:
        raise
    except AppError as exc:
        return _start_form(request, form, {"": str(exc)})
    return await _enter(request, person_id)


async def _check_setup_code(request: Request, typed: str) -> None:
    """Raise `InvalidInput` or `TooManyTries`. Whoever sits at this machine needs no code."""
    if on_loopback(request):
        return
    await in_thread(identity.count_setup_try, address(request))
    if not hmac.compare_digest(typed.strip().encode(), setup_code().encode()):
        raise InvalidInput("That is not the set-up code. It is in the server's log.", "setup_code")


async def _enter(request: Request, person_id: UUID) -> Response:
    agent = request.headers.get("user-agent", "")
    secret = await in_thread(identity.open_session, person_id, address=address(request), agent=agent)
    return with_cookie(RedirectResponse("/", 303), secret)


# Demo (loopback only: its people have no passwords) ----------------------------------------------------------------


@own_forms_only
async def start_demo(request: Request) -> Response:
    if request.method == "POST" and on_loopback(request):
        await in_thread(demo.request)
    return RedirectResponse("/demo", 303)


@own_forms_only
async def show_demo(request: Request) -> Response:
    if not on_loopback(request):
        return RedirectResponse("/sign-in", 303)
    state = await in_thread(demo.state)
    if state.people:
        return html.demo(state.people, offer_start=await in_thread(identity.first_start))
    if state.job is None:
        return RedirectResponse("/sign-in", 303)
    if state.job["status"] in ("failed", "cancelled"):
        return html.demo_failed(state.job["error"] or "It was cancelled.")
    return html.demo_progress(float(state.job["progress"]), state.job["message"])


@own_forms_only
async def enter_demo(request: Request) -> Response:
    form = await fields(request) if request.method == "POST" else {}
    if not on_loopback(request) or not await in_thread(demo.is_demo_person, form.get("person", "")):
        return RedirectResponse("/sign-in", 303)
    return await _enter(request, UUID(form["person"]))


# Health ------------------------------------------------------------------------------------------------------------


async def healthz(_: Request) -> Response:
    """200 while the database answers and the worker inside (if there is one) lives; else 503."""
    state: dict[str, Any] = await in_thread(health.state)
    return JSONResponse(state, 200 if all(state.values()) else 503)


ROUTES = [
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    Route("/forgot", forgot, methods=["GET", "POST"]),
    Route("/welcome", welcome, methods=["GET", "POST"]),
    Route("/password", password, methods=["GET", "POST"]),
    Route("/start", start),
    Route("/start/company", start_company, methods=["GET", "POST"]),
    Route("/start/demo", start_demo, methods=["GET", "POST"]),
    Route("/demo", show_demo),
    Route("/demo/enter", enter_demo, methods=["GET", "POST"]),
    Route("/healthz", healthz),
    *file_routes.ROUTES,
    *upload_routes.ROUTES,
]
