"""What the services of the test project share: keys, tokens, callers, scripted misbehaviour, what was asked."""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import jwt
from psycopg_pool import ConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

LEEWAY = timedelta(seconds=30)  # clock skew that PostgREST forgives
Kind = Literal["200_html", "429", "500", "502_html", "503", "cut", "hang", "lost_answer"]


class Refused(Exception):
    """A request that the gateway or the token check turns away."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = dict(body)

    def response(self) -> Response:
        return JSONResponse(self.body, self.status)


@dataclass(frozen=True)
class Caller:
    """Who asks: the Postgres role and the token's claims."""

    role: str
    claims: Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """A request as it came; header names in lower case, the query as it was written."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass
class Faults:
    """Misbehaviour to come: each entry is used up by one request whose path begins with its prefix."""

    queue: list[tuple[str, Kind]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, path_prefix: str, kind: Kind, times: int = 1) -> None:
        """Let the next `times` requests below the prefix (such as "/rest/v1/rpc/load") fail in this way.

        "cut": the connection ends before the request is done. "lost_answer": it is done, then the connection ends.
        "hang": no answer until the client gives up. "502_html", "200_html": a proxy's page. Others: their status.
        """
        with self.lock:
            self.queue += [(path_prefix, kind)] * times

    def take(self, path: str) -> Kind | None:
        with self.lock:
            for entry in self.queue:
                if path.startswith(entry[0]):
                    self.queue.remove(entry)
                    return entry[1]
        return None


@dataclass
class Stack:
    """One project. Change `row_limit` and the time-outs at will; they hold for the next request."""

    dsn: str
    pool: ConnectionPool[Any]
    publishable_key: str = field(default_factory=lambda: f"sb_publishable_{secrets.token_urlsafe(16)}")
    secret_key: str = field(default_factory=lambda: f"sb_secret_{secrets.token_urlsafe(16)}")
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    row_limit: int = 1000
    statement_timeout: dict[str, str] = field(
        default_factory=lambda: {"anon": "3s", "authenticated": "8s", "service_role": "8s"}
    )
    lock_timeout: str = "3s"
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    desk: Any = None  # the sign-in service's memory

    def token(
        self, person_id: UUID, *, role: str = "authenticated", seconds: float = 3600, session_id: UUID | None = None
    ) -> str:
        """An access token; with less than -30 `seconds` it has run out beyond what the clock check forgives."""
        return sign(self.jwt_secret, person_id, role=role, seconds=seconds, session_id=session_id)

    def caller(self, request: Request) -> Caller:
        """Raises `Refused` for keys the gateway does not know and for tokens that are bad or have run out."""
        key = request.headers.get("apikey")
        role = self.key_role(key)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or bearer == key:
            return Caller(role, {"role": role})
        claims = self._claims(bearer)
        return Caller(str(claims.get("role", "anon")), claims)

    def refuse(self, request: Request, reason: str = "") -> Response:
        """501 for a request that is not covered; noted, so that a test can fail on it."""
        asked = f"{request.method} {request.url.path}?{request.url.query} {reason}".strip()
        self.refused.append(asked)
        return JSONResponse({"message": f"The test project does not cover: {asked}"}, 501)

    def key_role(self, key: str | None) -> str:
        if key is None:
            hint = "No `apikey` request header or url param was found."
            raise Refused(401, {"message": "No API key found in request", "hint": hint})
        roles = {self.publishable_key: "anon", self.secret_key: "service_role"}
        if key in roles:
            return roles[key]
        if key.count(".") == 2:
            hint = "Your legacy API keys (anon, service_role) were disabled. Use publishable and secret keys."
            raise Refused(401, {"message": "Legacy API keys are disabled", "hint": hint})
        raise Refused(401, {"message": "Invalid API key", "hint": "Double check your API key."})

    def _claims(self, bearer: str) -> dict[str, Any]:
        parts = bearer.count(".") + 1
        if parts != 3:
            raise Refused(401, _jwt_error("PGRST301", f"Expected 3 parts in JWT; got {parts}"))
        try:
            return jwt.decode(
                bearer, self.jwt_secret, algorithms=["HS256"], leeway=LEEWAY, options={"verify_aud": False}
            )
        except jwt.ExpiredSignatureError:
            raise Refused(401, _jwt_error("PGRST303", "JWT expired")) from None
        except jwt.ImmatureSignatureError:
            raise Refused(401, _jwt_error("PGRST303", "JWT issued at future")) from None
        except jwt.PyJWTError:
            raise Refused(401, _jwt_error("PGRST301", "No suitable key or wrong key type")) from None


def _jwt_error(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "details": None, "hint": None}


def sign(
    jwt_secret: str, person_id: UUID, *, role: str = "authenticated", seconds: float = 3600,
    session_id: UUID | None = None,
) -> str:  # fmt: skip
    """A token as the sign-in service of a project with this secret makes it."""
    now = datetime.now(UTC)
    claims = {
        "sub": str(person_id), "role": role, "aud": "authenticated", "iat": now,
        "exp": now + timedelta(seconds=seconds), "session_id": str(session_id or uuid4()),
    }  # fmt: skip
    return jwt.encode(claims, jwt_secret, algorithm="HS256")
