"""The project's sign-in service: the part of Supabase Auth that `services.accounts` uses, and nothing besides.

Users are rows of `auth.users`; sessions, refresh tokens and mailed links live as long as the server.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.fakes.supabase.stack import Refused, Stack

REUSE_SECONDS = 10  # within which a used refresh token is forgiven
SHORTEST_PASSWORD = 6
WEAK = ("password12", "1234567890", "qwertyuiop")
ADDRESS = "x-supabase-api-version"


@dataclass
class Session:
    """A sign-in. Of its `refresh` tokens, newest last, the newest and the one before it are good (vendor's docs)."""

    id: UUID
    user_id: UUID
    refresh: list[str] = field(default_factory=list)
    used: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Desk:
    """What the service remembers, for tests to look at and to turn."""

    stack: Stack
    token_seconds: int = 3600
    sessions: dict[UUID, Session] = field(default_factory=dict)
    links: dict[str, tuple[str, UUID]] = field(default_factory=dict)  # token hash → kind, user
    mails: list[tuple[str, str, str]] = field(default_factory=list)  # address, kind, token hash
    refreshes: list[str] = field(default_factory=list)  # refresh tokens shown, in order
    mail_failure: tuple[int, str] | None = None  # status and code of the next mails
    lock: threading.RLock = field(default_factory=threading.RLock)

    def user(
        self, email: str, password: str | None = None, user_id: UUID | None = None, confirmed: bool = True
    ) -> UUID:
        """Make a user; returns the id."""
        made = user_id or uuid4()
        mark = _mark(password) if password else None
        self.run(
            "insert into auth.users (id, email, encrypted_password, must_change) values (%s, %s, %s, %s)",
            made, email.lower(), mark, not confirmed,
        )  # fmt: skip
        return made

    def password(self, user_id: UUID, password: str) -> None:
        self.run("update auth.users set encrypted_password = %s where id = %s", _mark(password), user_id)

    def ban(self, user_id: UUID) -> None:
        self.run("update auth.users set banned_until = now() + interval '1 year' where id = %s", user_id)

    def delete(self, user_id: UUID) -> None:
        self.run("delete from auth.users where id = %s", user_id)

    def find(self, email: str) -> dict[str, Any] | None:
        found = self.run("select to_jsonb(u) from auth.users u where u.email = %s", email.lower())
        return found[0][0] if found else None

    def get(self, user_id: UUID) -> dict[str, Any] | None:
        found = self.run("select to_jsonb(u) from auth.users u where u.id = %s", user_id)
        return found[0][0] if found else None

    def run(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.stack.pool.connection() as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []


class Failed(Exception):
    """An answer of the service that is an error, with its code."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"code": code, "message": message, **extra}

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, {ADDRESS: "2024-01-01"})


def desk(stack: Stack) -> Desk:
    """The one desk of a project."""
    if stack.desk is None:
        stack.desk = Desk(stack)
    made: Desk = stack.desk
    return made


def routes(stack: Stack) -> list[BaseRoute]:
    work = _Service(desk(stack))
    table: dict[tuple[str, str], Callable[[Request, dict[str, Any]], Any]] = {
        ("POST", "/token"): work.token,
        ("GET", "/user"): work.user,
        ("PUT", "/user"): work.change_user,
        ("POST", "/logout"): work.logout,
        ("POST", "/verify"): work.verify,
        ("POST", "/recover"): work.recover,
        ("POST", "/invite"): work.invite,
        ("POST", "/admin/users"): work.create,
        ("POST", "/admin/generate_link"): work.link,
        ("GET", "/health"): work.health,
    }

    def endpoint(run: Callable[[Request, dict[str, Any]], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            body = await request.body()
            return await run_in_threadpool(_answered, stack, request, run, body)

        return answer

    return [Route(path, endpoint(run), methods=[method]) for (method, path), run in table.items()]


def _answered(stack: Stack, request: Request, run: Callable[[Request, dict[str, Any]], Any], body: bytes) -> Response:
    try:
        stack.key_role(request.headers.get("apikey"))
        return JSONResponse(run(request, json.loads(body or b"{}")), headers={ADDRESS: "2024-01-01"})
    except (Failed, Refused) as exc:
        return exc.response()


class _Service:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def health(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"name": "GoTrue", "version": "test"}

    def token(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        if request.query_params.get("grant_type") == "refresh_token":
            return self._refreshed(body["refresh_token"])
        user = self.desk.find(body["email"])
        if user is None or user["encrypted_password"] != _mark(body["password"]):
            raise Failed(400, "invalid_credentials", "Invalid login credentials")
        if user["must_change"]:
            raise Failed(400, "email_not_confirmed", "Email not confirmed")
        return self._session(self._sound(user))

    def user(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return _shape(self._asker(request)[0])

    def change_user(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        user, _ = self._asker(request)
        password = body["password"]
        if len(password) < SHORTEST_PASSWORD or password in WEAK:
            raise Failed(422, "weak_password", "Password is known to be weak", weak_password={"reasons": ["pwned"]})
        if user["encrypted_password"] == _mark(password):
            raise Failed(422, "same_password", "New password should be different from the old password.")
        self.desk.run("update auth.users set encrypted_password = %s where id = %s", _mark(password), user["id"])
        return _shape(user)

    def logout(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        user, session_id = self._asker(request)
        scope = request.query_params.get("scope", "global")
        with self.desk.lock:
            for session in list(self.desk.sessions.values()):
                own = session.id == session_id
                if str(session.user_id) == user["id"] and (scope == "global" or own == (scope == "local")):
                    del self.desk.sessions[session.id]
        return {}

    def verify(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        with self.desk.lock:
            kind, user_id = self.desk.links.pop(body["token_hash"], (None, None))
        user = self.desk.get(user_id) if user_id else None
        if kind != body["type"] or user is None:
            raise Failed(403, "otp_expired", "Email link is invalid or has expired")
        self.desk.run("update auth.users set must_change = false where id = %s", user["id"])
        return self._session(self._sound(user))

    def recover(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        user = self.desk.find(body["email"])
        if user is not None:  # says the same either way
            self._mail(user, "recovery")
        return {}

    def invite(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self._admin(request)
        if self.desk.find(body["email"]):
            raise Failed(422, "email_exists", "A user with this email address has already been registered")
        user_id = self.desk.user(body["email"], confirmed=False)
        user = self.desk.get(user_id)
        assert user is not None
        self._mail(user, "invite")
        return _shape(user)

    def create(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self._admin(request)
        if self.desk.find(body["email"]):
            raise Failed(422, "email_exists", "A user with this email address has already been registered")
        made = self.desk.get(self.desk.user(body["email"], body.get("password"), confirmed=body["email_confirm"]))
        assert made is not None
        return _shape(made)

    def link(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        self._admin(request)
        user = self.desk.find(body["email"])
        if user is None:
            raise Failed(404, "user_not_found", "User with this email not found")
        made = self._link(user, body["type"])
        return {
            **_shape(user), "action_link": f"http://project.test/verify?token={made}", "email_otp": "123456",
            "hashed_token": made, "redirect_to": "http://project.test", "verification_type": body["type"],
        }  # fmt: skip

    # -------------------------------------------------------------------------------------------------------

    def _refreshed(self, shown: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        with self.desk.lock:
            self.desk.refreshes.append(shown)
            session = next((s for s in self.desk.sessions.values() if shown in s.refresh), None)
            if session is None:
                raise Failed(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
            user = self.desk.get(session.user_id)
            if user is None:
                raise Failed(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
            self._sound(user)
            parent = len(session.refresh) > 1 and session.refresh[-2] == shown
            used = session.used.get(shown)
            if used and not parent and (now - used).total_seconds() > REUSE_SECONDS:
                del self.desk.sessions[session.id]
                raise Failed(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
            session.used.setdefault(shown, now)
            if shown == session.refresh[-1]:
                session.refresh.append(secrets.token_urlsafe(9))
            return self._tokens(session, user)

    def _session(self, user: dict[str, Any]) -> dict[str, Any]:
        session = Session(uuid4(), UUID(user["id"]), [secrets.token_urlsafe(9)])
        with self.desk.lock:
            self.desk.sessions[session.id] = session
        return self._tokens(session, user)

    def _tokens(self, session: Session, user: dict[str, Any]) -> dict[str, Any]:
        seconds = self.desk.token_seconds
        return {
            "access_token": self.desk.stack.token(session.user_id, seconds=seconds, session_id=session.id),
            "token_type": "bearer", "expires_in": seconds, "refresh_token": session.refresh[-1],
            "expires_at": int(datetime.now(UTC).timestamp()) + seconds, "user": _shape(user),
        }  # fmt: skip

    def _sound(self, user: dict[str, Any]) -> dict[str, Any]:
        until = user["banned_until"]
        if until and datetime.fromisoformat(until) > datetime.now(UTC):
            raise Failed(400, "user_banned", "User is banned")
        return user

    def _asker(self, request: Request) -> tuple[dict[str, Any], UUID]:
        try:
            claims = self.desk.stack.caller(request).claims
        except Refused:
            raise Failed(403, "bad_jwt", "invalid JWT") from None
        if "session_id" not in claims:
            raise Failed(401, "no_authorization", "This endpoint requires a valid Bearer token")
        user, session_id = self.desk.get(UUID(claims["sub"])), UUID(claims["session_id"])
        if user is None:
            raise Failed(403, "user_not_found", "User from sub claim in JWT does not exist")
        if session_id not in self.desk.sessions:
            raise Failed(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return self._sound(user), session_id

    def _admin(self, request: Request) -> None:
        if self.desk.stack.caller(request).role != "service_role":
            raise Failed(403, "not_admin", "User not allowed")

    def _mail(self, user: dict[str, Any], kind: str) -> None:
        if self.desk.mail_failure:
            status, code = self.desk.mail_failure
            raise Failed(status, code, "the mail was not sent")
        made = self._link(user, kind)
        with self.desk.lock:
            self.desk.mails.append((user["email"], kind, made))

    def _link(self, user: dict[str, Any], kind: str) -> str:
        made = secrets.token_hex(28)
        with self.desk.lock:
            self.desk.links[made] = (kind, UUID(user["id"]))
        return made


def _mark(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def _shape(user: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": user["id"], "aud": "authenticated", "role": "authenticated", "email": user["email"],
        "app_metadata": {"provider": "email"}, "user_metadata": {}, "identities": [],
        "created_at": user["created_at"], "updated_at": user["created_at"],
    }  # fmt: skip
