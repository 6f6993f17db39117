"""Local accounts: passwords as argon2id hashes in the database, tries counted there, links to hand over."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from services.accounts import passwords
from services.accounts.door import Asker, Invited
from services.config import settings
from services.database.connect import Doors
from services.database.door import Database
from services.errors import InvalidInput, TooManyTries

TRY_WINDOW_SECONDS = 900
TRIES_PER_EMAIL = 5
TRIES_PER_ADDRESS = 30


@dataclass(frozen=True)
class LocalAccounts:
    """See `Accounts`."""

    doors: Doors
    by_mail = False

    def sign_in(self, email: str, password: str, *, address: str | None, agent: str, previous: str | None) -> str:
        """`previous` is the secret the browser still holds: the same person's expired session is renewed under it.

        Refused with the same words and at the same cost whether the address exists or not.
        """
        local, email = self.doors.local(address=address), email.strip()
        _throttle(local, email, address)
        known = local.call("password_of", p_email=email)
        matches = passwords.matches(known["hash"] if known else passwords.hash_of_nobody(), password)
        if not (known and matches):
            local.call("note_failed_sign_in", p_email=email)
            raise InvalidInput(passwords.WRONG, "password")
        _forget_tries(local, email, address)
        return self.open_session(UUID(known["person_id"]), address=address, agent=agent, previous=previous)

    def open_session(self, person_id: UUID, *, address: str | None, agent: str, previous: str | None = None) -> str:
        """A new session's secret; only its hash is stored."""
        secret = self.doors.local(address=address).call(
            "start_session",
            p_person_id=person_id,
            p_secret=secrets.token_urlsafe(32),
            p_previous=previous or "",
            p_hours=settings().session_hours,
            p_address=address,
            p_agent=agent,
        )
        return str(secret)

    def token(self, secret: str, session: Mapping[str, Any]) -> SecretStr | None:
        return None

    def signed_out(self, person: Asker, *, everywhere: bool = False) -> None:
        """There is nobody else to tell."""

    def change_password(self, person: Asker, secret: str, password: str, present: str | None) -> None:
        """An open session alone must not become a takeover: the present password is asked for."""
        local = self.doors.local(person.id, person.address)
        _check_present(local, person, present or "")
        local.call("set_password", p_hash=passwords.hash_password(password), p_keep_secret=secret)

    def invite(self, admin: Asker, account_id: UUID, person: Mapping[str, Any]) -> Invited:
        token = new_token()
        values = {**person, "person_id": uuid4(), "token_hash": hash_of(token)}
        return _invited(token, admin.database.call("add_or_invite", p_account_id=account_id, p_person=values))

    def send_link(self, admin: Asker, account_id: UUID, person_id: UUID, kind: str) -> Invited:
        token = new_token()
        made = admin.database.call(
            "send_link", p_account_id=account_id, p_person_id=person_id, p_kind=kind, p_token_hash=hash_of(token)
        )
        return _invited(token, made)

    def look_at_link(self, token: str, kind: str) -> None:
        self.doors.local().call("look_at_link", p_token_hash=hash_of(token), p_kind=kind)

    def accept(self, token: str, kind: str, password: str, *, address: str | None, agent: str) -> str:
        passwords.check_length(password)
        self.look_at_link(token, kind)  # before the work of hashing
        local = self.doors.local(address=address)
        made = passwords.hash_password(password)
        person_id = local.call("use_link", p_token_hash=hash_of(token), p_kind=kind, p_hash=made)
        return self.open_session(UUID(str(person_id)), address=address, agent=agent)

    def first_start(self) -> bool:
        return bool(self.doors.local().call("first_start"))

    def create_company(self, values: Mapping[str, Any], password: str, address: str | None) -> UUID:
        person_id = uuid4()
        company = {**values, "person_id": person_id, "hash": passwords.hash_password(password)}
        self.doors.local(address=address).call("create_company", p=company)
        return person_id

    def count_setup_try(self, address: str | None) -> None:
        """A guess at the set-up code. Raises `TooManyTries`."""
        _wait_for_turn(self.doors.local(address=address), (f"setup:{address}", TRIES_PER_EMAIL))


def new_token() -> str:
    """The secret of a link. Only its hash reaches the database."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _invited(token: str, made: Mapping[str, Any]) -> Invited:
    person_id = UUID(made["person_id"])
    if not made["link"]:  # can sign in already
        return Invited(person_id)
    return Invited(person_id, SecretStr(token), datetime.fromisoformat(made["expires_at"]))


def _check_present(local: Database, person: Asker, present: str) -> None:
    _throttle(local, person.email, person.address)
    known = local.call("password_of", p_email=person.email)
    if known and not passwords.matches(known["hash"], present):
        raise InvalidInput("That is not your present password.", "present")
    _forget_tries(local, person.email, person.address)


def _throttle(local: Database, email: str, address: str | None) -> None:
    _wait_for_turn(local, (_email_key(email), TRIES_PER_EMAIL), (_address_key(address), TRIES_PER_ADDRESS))


def _wait_for_turn(local: Database, *limits: tuple[str, int]) -> None:
    waits = [
        local.call("count_try", p_key=key, p_limit=limit, p_window_seconds=TRY_WINDOW_SECONDS) for key, limit in limits
    ]
    if seconds := max(waits):
        raise wait(seconds)


def wait(seconds: int) -> TooManyTries:
    """The refusal that says for how long."""
    return TooManyTries(f"Too many tries. Wait {-(-seconds // 60)} min, then try again.", seconds)


def _forget_tries(local: Database, email: str, address: str | None) -> None:
    local.call("forget_tries", p_email_key=_email_key(email), p_address_key=_address_key(address))


def _email_key(email: str) -> str:
    return f"email:{email.lower()}"


def _address_key(address: str | None) -> str:
    return f"address:{address}"
