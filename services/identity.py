"""Who is signed in: local accounts, sessions, and the people of a company."""

import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import ClassVar, Literal
from uuid import UUID, uuid4
from zoneinfo import available_timezones

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from pydantic import BaseModel, ConfigDict

from services.config import settings
from services.database.connect import doors
from services.database.door import Database, Row
from services.errors import InvalidInput, NotAllowed, SignedOut, TooManyTries

log = logging.getLogger(__name__)
Role = Literal["admin", "manager", "finance"]
ROLES: tuple[Role, ...] = ("admin", "manager", "finance")

SESSION_CACHE_SECONDS = 10  # a signed-out or deactivated person is out everywhere within this time
SESSION_CACHE_SIZE = 10_000
TRY_WINDOW_SECONDS = 900
TRIES_PER_EMAIL = 5
TRIES_PER_ADDRESS = 30
PASSWORD_LENGTH = (10, 200)
LONGEST_NAME = 120


class Membership(BaseModel):
    """A role in a company."""

    model_config = ConfigDict(frozen=True)

    account_id: UUID
    account_name: str
    timezone: str
    role: Role
    is_demo: bool


class Person(BaseModel):
    """A signed-in person with their companies."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    email: str
    expires_at: datetime
    address: str | None = None
    must_change: bool = False  # signed in with a one-time password
    memberships: tuple[Membership, ...]

    @property
    def database(self) -> Database:
        """Data as this person sees it."""
        return doors().person(self.id, self.address)


# Passwords --------------------------------------------------------------------------------------------------------


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()  # argon2id with the library's current defaults (RFC 9106, low memory)


@cache
def _hash_of_nobody() -> str:
    """Verified when an address is unknown, so that the answer takes the same time."""
    return _hasher().hash(secrets.token_urlsafe(16))


def hash_password(password: str) -> str:
    """Raises `InvalidInput` when the password is too short or too long."""
    shortest, longest = PASSWORD_LENGTH
    if not shortest <= len(password) <= longest:
        raise InvalidInput(f"A password has {shortest} to {longest} characters.", "password")
    return _hasher().hash(password)


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher().verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


# Sessions ---------------------------------------------------------------------------------------------------------


class _Sessions:
    """Live sessions seen lately: a yes is believed for ten seconds, a no never."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, tuple[float, Person]] = OrderedDict()

    def get(self, secret: str) -> Person | None:
        with self._lock:
            at, person = self._seen.get(secret, (0.0, None))
        fresh = person and time.monotonic() - at < SESSION_CACHE_SECONDS
        return person if fresh and person and person.expires_at > datetime.now(UTC) else None

    def put(self, secret: str, person: Person) -> None:
        with self._lock:
            self._seen[secret] = (time.monotonic(), person)
            self._seen.move_to_end(secret)
            while len(self._seen) > SESSION_CACHE_SIZE:
                self._seen.popitem(last=False)

    def forget(self, person_id: UUID) -> None:
        with self._lock:
            for secret in [key for key, (_, person) in self._seen.items() if person.id == person_id]:
                del self._seen[secret]

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()


sessions = _Sessions()


def load(secret: str | None) -> Person | None:
    """The person behind a cookie's secret; None when nobody is. Raises `Unavailable` when it cannot be told."""
    if not secret:
        return None
    if known := sessions.get(secret):
        return known
    answer = doors().anonymous().call("load_session", p_secret=secret)
    if answer is None:
        return None
    person = Person.model_validate(answer)
    sessions.put(secret, person)
    return person


def sign_in(email: str, password: str, *, address: str | None, agent: str, previous: str | None = None) -> str:
    """Check a password and open a session; returns the secret for the cookie.

    `previous` is the secret the browser still holds: the same person's expired session is renewed under
    it, so that a page left open goes on where it was. Raises `TooManyTries`, or `InvalidInput` with the
    same words and at the same cost whether the address exists or not.
    """
    local, email = doors().local(address=address), email.strip()
    _throttle(local, email, address)
    known = local.call("password_of", p_email=email)
    matches = _matches(known["hash"] if known else _hash_of_nobody(), password)
    if not (known and matches):
        local.call("note_failed_sign_in", p_email=email)
        raise InvalidInput("The e-mail address or the password is wrong.", "password")
    local.call("forget_tries", p_email_key=_email_key(email), p_address_key=_address_key(address))
    return open_session(UUID(known["person_id"]), address=address, agent=agent, previous=previous)


def open_session(person_id: UUID, *, address: str | None, agent: str, previous: str | None = None) -> str:
    """A new session's secret; only its hash is stored."""
    secret = secrets.token_urlsafe(32)
    return str(
        doors()
        .local(address=address)
        .call(
            "start_session",
            p_person_id=person_id,
            p_secret=secret,
            p_previous=previous or "",
            p_hours=settings().session_hours,
            p_address=address,
            p_agent=agent,
        )
    )


def _throttle(local: Database, email: str, address: str | None) -> None:
    limits = ((_email_key(email), TRIES_PER_EMAIL), (_address_key(address), TRIES_PER_ADDRESS))
    _wait_for_turn(local, *limits)


def count_setup_try(address: str | None) -> None:
    """A guess at the set-up code. Raises `TooManyTries`."""
    _wait_for_turn(doors().local(address=address), (f"setup:{address}", TRIES_PER_EMAIL))


def _wait_for_turn(local: Database, *limits: tuple[str, int]) -> None:
    waits = [
        local.call("count_try", p_key=key, p_limit=limit, p_window_seconds=TRY_WINDOW_SECONDS) for key, limit in limits
    ]
    if seconds := max(waits):
        minutes = -(-seconds // 60)
        raise TooManyTries(f"Too many tries. Wait {minutes} min, then try again.", seconds)


def _email_key(email: str) -> str:
    return f"email:{email.lower()}"


def _address_key(address: str | None) -> str:
    return f"address:{address}"


def sign_out(secret: str) -> None:
    """End this session."""
    person = load(secret)
    doors().anonymous(person.address if person else None).call("end_session", p_secret=secret)
    if person:
        sessions.forget(person.id)


def sign_out_everywhere(person: Person) -> int:
    """End all of a person's sessions; returns how many."""
    ended = int(person.database.call("end_my_sessions"))
    sessions.forget(person.id)
    return ended


def change_password(person: Person, secret: str, password: str, present: str | None = None) -> None:
    """Set a new password; the person's other sessions end.

    The present one is asked for unless it is a one-time password: an open session alone must not become
    a takeover. Raises `InvalidInput` naming the field, `TooManyTries`.
    """
    local = doors().local(person.id, person.address)
    if not person.must_change:
        _check_present(local, person, present or "")
    local.call("set_password", p_hash=hash_password(password), p_keep_secret=secret)
    sessions.forget(person.id)


def _check_present(local: Database, person: Person, present: str) -> None:
    _throttle(local, person.email, person.address)
    known = local.call("password_of", p_email=person.email)
    if known and not _matches(known["hash"], present):
        raise InvalidInput("That is not your present password.", "present")
    local.call("forget_tries", p_email_key=_email_key(person.email), p_address_key=_address_key(person.address))


def membership(person: Person, account_id: UUID | None) -> Membership:
    """The person's role in a company, or in their first one. Raises `SignedOut` when they have none left."""
    if not person.memberships:
        raise SignedOut("You do not belong to a company any more. Ask its admin to add you.")
    return next((m for m in person.memberships if m.account_id == account_id), person.memberships[0])


# First start and people -------------------------------------------------------------------------------------------


class NewCompany(BaseModel):
    """What the first-admin form asks for."""

    company: str
    store: str
    code: str
    city: str
    timezone: str
    name: str
    email: str
    password: str


def first_start() -> bool:
    """Whether this installation has no company yet, the demo aside."""
    return bool(doors().local().call("first_start"))


@cache
def timezones() -> frozenset[str]:
    """Names to choose from. Debian also lists "localtime", which means another zone on each machine."""
    return frozenset(available_timezones() - {"localtime"})


def create_company(form: NewCompany, address: str | None) -> UUID:
    """The first company with its first admin and store; returns the admin's id.

    Raises `InvalidInput` naming the field, `Conflict` when there is a company already.
    """
    _check_name(form.company, "company", "The company needs")
    _check_name(form.store, "store", "The store needs")
    _check_name(form.name, "name", "You need")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,16}", form.code.strip()):
        raise InvalidInput("A store number has 1 to 16 letters, digits or hyphens.", "code")
    if form.timezone not in timezones():
        raise InvalidInput("Choose a time zone such as Europe/London.", "timezone")
    _check_email(form.email)
    person_id = uuid4()
    values = {
        "account_id": uuid4(),
        "profile_id": uuid4(),
        "person_id": person_id,
        "company": form.company.strip(),
        "slug": slug(form.company),
        "timezone": form.timezone,
        "store": form.store.strip(),
        "store_slug": slug(form.store),
        "code": form.code.strip(),
        "store_timezone": form.timezone,
        "city": form.city.strip() or None,
        "name": form.name.strip(),
        "email": form.email.strip(),
        "hash": hash_password(form.password),
    }
    doors().local(address=address).call("create_company", p=values)
    log.info("first company created")
    return person_id


def add_person(
    admin: Person, account_id: UUID, *, name: str, email: str, role: Role, profile_ids: Sequence[UUID]
) -> str:
    """Add a person; returns a one-time password to hand over, which their first sign-in replaces.

    Raises `InvalidInput` naming the field, `NotAllowed`, `Conflict` when the address is taken.
    """
    _check_name(name, "name", "The person needs")
    _check_email(email)
    if role not in ROLES:
        raise NotAllowed()
    if role == "manager" and not profile_ids:
        raise InvalidInput("A manager works in at least one store.", "stores")
    password = secrets.token_urlsafe(12)
    values = {
        "account_id": account_id,
        "person_id": uuid4(),
        "name": name.strip(),
        "email": email.strip(),
        "hash": hash_password(password),
        "role": role,
        "profile_ids": list(profile_ids),
    }
    doors().local(admin.id, admin.address).call("add_person", p=values)
    return password


class Colleague(Row):
    table: ClassVar[str] = "people"

    id: UUID
    name: str


def names(database: Database) -> dict[UUID | None, str]:
    """Names of everybody the person shares a company with; None is System."""
    known: dict[UUID | None, str] = {None: "System"}
    known.update((person.id, person.name) for person in database.select(Colleague))
    return known


def _check_name(name: str, field: str, who_needs: str) -> None:
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise InvalidInput(f"{who_needs} a name of 1 to {LONGEST_NAME} characters.", field)


def _check_email(email: str) -> None:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email.strip()) or len(email) > 254:
        raise InvalidInput("That is not an e-mail address.", "email")


def slug(name: str) -> str:
    """Lower-case letters, digits and hyphens of a name; a name without any becomes "store"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "store"
