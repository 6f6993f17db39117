"""Accounts at Supabase Auth. The browser never sees a token: they live, sealed, in the session's row."""

import logging
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from services.accounts import passwords, tokens
from services.accounts.door import Asker, Invited
from services.accounts.local import TRIES_PER_ADDRESS, TRIES_PER_EMAIL, TRY_WINDOW_SECONDS, wait
from services.accounts.tokens import Tokens
from services.accounts.vendor import Vendor
from services.config import settings
from services.database.cloud_doors import CloudDoors
from services.errors import AppError, Conflict, InvalidInput, SettingsInvalid, SignedOut, Unavailable

log = logging.getLogger(__name__)

MARGIN = 60  # seconds before its end at which an access token is renewed
WAIT_SECONDS = 10.0  # for another replica that is renewing a token that has run out
LOOK_SECONDS = 0.2  # between two looks whether it has
STORE_TRIES = 5  # to keep new tokens, one more second apart each


@dataclass(frozen=True)
class CloudAccounts:
    """See `Accounts`."""

    doors: CloudDoors
    by_mail = True

    @property
    def vendor(self) -> Vendor:
        """The sign-in service as nobody in particular."""
        return Vendor(self.doors.url, self.doors.publishable_key, self.doors.http)

    @property
    def service(self) -> Vendor:
        """The sign-in service with the secret key. Raises `Unavailable` in a process without it."""
        return Vendor(self.doors.url, self.doors.secret(), self.doors.http)

    @property
    def _key(self) -> SecretStr:
        key = settings().session_key
        if key is None:
            raise SettingsInvalid("Set SESSION_KEY: without it nobody can be signed in.")
        return key

    def sign_in(self, email: str, password: str, *, address: str | None, agent: str, previous: str | None) -> str:
        email = email.strip()
        tries.wait_for_turn(email, address)
        found = self.vendor.sign_in(email, password)
        tries.forget(email, address)
        return self._open(found, address=address, agent=agent, previous=previous)

    def look_at_link(self, token: str, kind: str) -> None:
        """Only the service knows, and to ask it would use the link up."""

    def accept(self, token: str, kind: str, password: str, *, address: str | None, agent: str) -> str:
        """Let in who followed a mailed link, with the password they chose; returns the session's secret.

        Where the password could not be set, too weak or the service away, the session is open but asks for one first:
        the link is used up by then.
        """
        passwords.check_length(password)
        found = self.vendor.accept(token, kind)
        secret = self._open(found, address=address, agent=agent, previous=None, must_change=True)
        try:
            self.vendor.set_password(found, password)
            self._database(found.access, address).call("password_changed", p_secret=secret)
        except AppError as exc:
            log.warning("the password chosen with a link was not set: %s", exc)
        return secret

    def forgot(self, email: str, address: str | None) -> None:
        """Have a link mailed with which a new password is set, if the address is known. Raises `TooManyTries`."""
        tries.wait_for_turn(f"reset {email.strip()}", address)
        self.doors.anonymous(address).call("request_reset", p_email=email)

    def token(self, secret: str, session: Mapping[str, Any]) -> SecretStr | None:
        """Renewed by whoever of all replicas is first; the others go on with the old one, or wait for the new."""
        if session["token_seconds"] <= MARGIN:
            session = self._renewed(secret, session)
        return SecretStr(tokens.unseal(self._key, secret, session["tokens"]).access)

    def signed_out(self, person: Asker, *, everywhere: bool = False) -> None:
        self._tell_sign_out(person, "global" if everywhere else "local")

    def change_password(self, person: Asker, secret: str, password: str, present: str | None) -> None:
        passwords.check_length(password)
        if not person.must_change:
            self._check_present(person, present or "")
        session = self.doors.anonymous(person.address).call("load_session", p_secret=secret)
        if session is None:
            raise SignedOut
        self.vendor.set_password(tokens.unseal(self._key, secret, session["tokens"]), password)
        person.database.call("password_changed", p_secret=secret)
        self._tell_sign_out(person, "others")

    def invite(self, admin: Asker, account_id: UUID, person: Mapping[str, Any]) -> Invited:
        return _invited(admin.database.call("add_or_invite", p_account_id=account_id, p_person=person))

    def send_link(self, admin: Asker, account_id: UUID, person_id: UUID, kind: str) -> Invited:
        return _invited(admin.database.call("send_link", p_account_id=account_id, p_person_id=person_id, p_kind=kind))

    def first_start(self) -> bool:
        return False  # `python -m services.first_admin` makes the first company: the app may not

    def create_company(self, values: Mapping[str, Any], password: str, address: str | None) -> UUID:
        """Needs the secret key, so only the command does it."""
        passwords.check_length(password)
        service, email = self.service, values["email"]
        try:
            person_id = service.create(email, password)
        except Conflict:  # has signed up before, or an earlier run of the command ended here
            person_id = service.id_of(email)
        self.doors.worker().call("create_company", p={**values, "person_id": person_id})
        return UUID(person_id)

    # -----------------------------------------------------------------------------------------------------------

    def _database(self, access_token: str, address: str | None) -> Any:
        return self.doors.as_token(SecretStr(access_token), address)

    def _open(
        self, found: Tokens, *, address: str | None, agent: str, previous: str | None, must_change: bool = False
    ) -> str:
        """Under the browser's old secret if that may be renewed: so the tokens are sealed for either."""
        database = self._database(found.access, address)
        for secret in filter(None, (previous, secrets.token_urlsafe(32))):
            opened = database.call(
                "open_session",
                p_secret=secret,
                p_renew=secret == previous,
                p_tokens=tokens.seal(self._key, secret, found),
                p_token_seconds=found.seconds,
                p_hours=settings().session_hours,
                p_agent=agent,
                p_must_change=must_change,
            )
            if opened:
                return secret
        raise SignedOut

    def _tell_sign_out(self, person: Asker, scope: str) -> None:
        if person.token is None:
            return
        try:
            self.vendor.sign_out(person.token.get_secret_value(), scope)
        except AppError as exc:  # its tokens run out by themselves, and nobody holds them any more
            log.warning("the sign-in service was not told of a sign-out: %s", exc)

    def _check_present(self, person: Asker, present: str) -> None:
        tries.wait_for_turn(person.email, person.address)
        try:
            found = self.vendor.sign_in(person.email, present)
        except InvalidInput as exc:
            raise InvalidInput("That is not your present password.", "present") from exc
        tries.forget(person.email, person.address)
        self.vendor.sign_out(found.access, "local")

    def _renewed(self, secret: str, session: Mapping[str, Any]) -> Mapping[str, Any]:
        """The session with fresh tokens, or as it is while its token still holds."""
        sealed = self.doors.anonymous().call("claim_refresh", p_secret=secret, p_seconds_left=MARGIN)
        if sealed is not None:
            return self._renew(secret, sealed, session)
        return session if session["token_seconds"] > 0 else self._awaited(secret)

    def _renew(self, secret: str, sealed: str, session: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            found = self.vendor.refresh(tokens.unseal(self._key, secret, sealed).refresh)
        except SignedOut:
            self.doors.anonymous().call("end_session", p_secret=secret)
            raise
        except Unavailable:
            if session["token_seconds"] > 0:
                return session
            raise
        renewed = tokens.seal(self._key, secret, found)
        self._store(secret, renewed, found.seconds)
        return {**session, "tokens": renewed, "token_seconds": found.seconds}

    def _store(self, secret: str, sealed: str, seconds: int) -> None:
        """The old ones are worth nothing now, so a database that stumbles is asked again."""
        for attempt in range(1, STORE_TRIES + 1):
            try:
                self.doors.anonymous().call("store_tokens", p_secret=secret, p_tokens=sealed, p_token_seconds=seconds)
            except Unavailable:
                if attempt == STORE_TRIES:
                    raise
                time.sleep(attempt)
            else:
                return

    def _awaited(self, secret: str) -> Mapping[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            session: Mapping[str, Any] | None = self.doors.anonymous().call("load_session", p_secret=secret)
            if session is None:
                raise SignedOut
            if session["token_seconds"] > 0:
                return session
        raise Unavailable


def _invited(made: Mapping[str, Any]) -> Invited:
    person_id = UUID(made["person_id"]) if made["person_id"] else None
    return Invited(person_id, mailed=bool(made.get("job_id")))


class Tries:
    """Sign-ins of the last minutes, counted in this process: to the vendor all people come from one address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_for_turn(self, email: str, address: str | None) -> None:
        """Count a try. Raises `TooManyTries` from the sixth of an e-mail, the 31st of an address in 15 minutes."""
        now = time.monotonic()
        with self._lock:
            waits = [
                self._count(f"email:{email.lower()}", TRIES_PER_EMAIL, now),
                self._count(f"address:{address}", TRIES_PER_ADDRESS, now),
            ]
        if seconds := max(waits):
            raise wait(seconds)

    def forget(self, email: str, address: str | None) -> None:
        """A success forgets the tries of its e-mail, and of its network address only its own: many may share one."""
        with self._lock:
            self._at.pop(f"email:{email.lower()}", None)
            if at := self._at.get(f"address:{address}"):
                at.pop()

    def clear(self) -> None:
        with self._lock:
            self._at.clear()

    def _count(self, key: str, limit: int, now: float) -> int:
        at = self._at.setdefault(key, deque())
        self._at.move_to_end(key)
        while at and at[0] <= now - TRY_WINDOW_SECONDS:
            at.popleft()
        if len(at) >= limit:
            return int(at[0] + TRY_WINDOW_SECONDS - now) + 1
        at.append(now)
        while len(self._at) > 10_000:
            self._at.popitem(last=False)
        return 0


tries = Tries()
