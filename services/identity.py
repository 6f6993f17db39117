"""Who is signed in: sessions and companies. Where passwords live is `services.accounts`' business."""

import logging
import re
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Literal
from uuid import UUID, uuid4
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, SecretStr

from services.accounts.door import Accounts
from services.accounts.local import LocalAccounts
from services.config import settings
from services.database.connect import doors, local_doors
from services.database.door import Database, Row
from services.errors import InvalidInput, NotFound, SettingsInvalid, SignedOut
from services.jobs import queue

if TYPE_CHECKING:
    from services.accounts.cloud import CloudAccounts

log = logging.getLogger(__name__)
Role = Literal["admin", "manager", "finance"]
ROLES: tuple[Role, ...] = ("admin", "manager", "finance")

SESSION_CACHE_SECONDS = 10  # a signed-out or deactivated person is out everywhere within this time
SESSION_CACHE_SIZE = 10_000
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
    must_change: bool = False  # let in by a link with a password that the sign-in service refused
    token: SecretStr | None = None  # shown to a hosted database
    memberships: tuple[Membership, ...]

    @property
    def database(self) -> Database:
        """Data as this person sees it."""
        return doors().person(self.id, self.address, self.token)


def accounts() -> Accounts:
    """Where this installation's passwords live."""
    return cloud_accounts() if doors().hosted else local_accounts()


def local_accounts() -> LocalAccounts:
    """Raises `Unavailable` where accounts live at Supabase."""
    return LocalAccounts(local_doors())


def cloud_accounts() -> "CloudAccounts":
    """Raises `NotFound` where accounts are local: then there are no mailed links."""
    from services.accounts.cloud import CloudAccounts  # noqa: PLC0415 - its client takes a second to import
    from services.database.cloud_doors import CloudDoors  # noqa: PLC0415 - likewise

    opened = doors()
    if not isinstance(opened, CloudDoors):
        raise NotFound
    return CloudAccounts(opened)


def check_sign_in() -> None:
    """Raise `SettingsInvalid` where nobody could sign in."""
    if doors().hosted and settings().session_key is None:
        raise SettingsInvalid("Set SESSION_KEY to 32 bytes in base64, the same on each replica.")


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
    try:
        token = accounts().token(secret, answer)
    except SignedOut:
        return None
    person = Person.model_validate({**answer, "token": token})
    sessions.put(secret, person)
    return person


def sign_in(email: str, password: str, *, address: str | None, agent: str, previous: str | None = None) -> str:
    """Check a password and open a session; returns the secret for the cookie.

    `previous` is the secret the browser still holds: the same person's expired session is renewed under
    it, so that a page left open goes on where it was. Raises `TooManyTries`, or `InvalidInput` with the
    same words whether the address exists or not.
    """
    return accounts().sign_in(email, password, address=address, agent=agent, previous=previous)


def open_session(person_id: UUID, *, address: str | None, agent: str) -> str:
    """A new session's secret, for whoever needs no password: the first admin, and people of the demo."""
    return local_accounts().open_session(person_id, address=address, agent=agent)


def count_setup_try(address: str | None) -> None:
    """A guess at the set-up code. Raises `TooManyTries`."""
    local_accounts().count_setup_try(address)


def sign_out(secret: str) -> None:
    """End this session."""
    person = load(secret)
    doors().anonymous(person.address if person else None).call("end_session", p_secret=secret)
    if person:
        sessions.forget(person.id)
        accounts().signed_out(person)


def sign_out_everywhere(person: Person) -> int:
    """End all of a person's sessions; returns how many."""
    ended = int(person.database.call("end_my_sessions"))
    sessions.forget(person.id)
    accounts().signed_out(person, everywhere=True)
    return ended


def change_password(person: Person, secret: str, password: str, present: str | None = None) -> None:
    """Set a new password; the person's other sessions end.

    The present one is asked for unless it must be changed: an open session alone must not become a takeover.
    Raises `InvalidInput` naming the field, `TooManyTries`.
    """
    accounts().change_password(person, secret, password, present)
    sessions.forget(person.id)


def by_mail() -> bool:
    """Whether people are invited, and forgotten passwords replaced, by mail."""
    return accounts().by_mail


def forgot(email: str, address: str | None) -> None:
    """Have a link mailed with which a new password is set; says the same whether the address is known or not.

    Raises `TooManyTries`, `InvalidInput`; `NotFound` where accounts are local: there an admin helps.
    """
    check_email(email)
    cloud_accounts().forgot(email.strip(), address)
    queue.wake()


def look_at_link(token: str, kind: str) -> None:
    """Raise `InvalidInput` where a link is known to be used, withdrawn or expired. Looking does not use it up."""
    _check_kind(kind)
    accounts().look_at_link(token, kind)


def accept(token: str, kind: str, password: str, *, address: str | None, agent: str) -> str:
    """Let in who followed a link, `kind` "invite" or "recovery"; returns the secret for the cookie.

    Raises `InvalidInput` (field `password` while the link is good still), `SignedOut` for who was let go meanwhile.
    """
    _check_kind(kind)
    return accounts().accept(token, kind, password, address=address, agent=agent)


def _check_kind(kind: str) -> None:
    if kind not in ("invite", "recovery"):
        raise InvalidInput("This link is not complete. Copy it once more, to its last letter.")


def membership(person: Person, account_id: UUID | None) -> Membership:
    """The person's role in a company, or in their first one. Raises `SignedOut` when they have none left."""
    if not person.memberships:
        raise SignedOut("You do not belong to a company any more. Ask its admin to add you.")
    return next((m for m in person.memberships if m.account_id == account_id), person.memberships[0])


# First start and colleagues ---------------------------------------------------------------------------------------


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
    return accounts().first_start()


@cache
def timezones() -> frozenset[str]:
    """Names to choose from. Debian also lists "localtime", which means another zone on each machine."""
    return frozenset(available_timezones() - {"localtime"})


def create_company(form: NewCompany, address: str | None) -> UUID:
    """The first company with its first admin and store; returns the admin's id.

    Raises `InvalidInput` naming the field, `Conflict` when there is a company already.
    """
    check_name(form.company, "company", "The company needs")
    check_name(form.store, "store", "The store needs")
    check_name(form.name, "name", "You need")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,16}", form.code.strip()):
        raise InvalidInput("A store number has 1 to 16 letters, digits or hyphens.", "code")
    if form.timezone not in timezones():
        raise InvalidInput("Choose a time zone such as Europe/London.", "timezone")
    check_email(form.email)
    values = {
        "account_id": uuid4(),
        "profile_id": uuid4(),
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
    }
    person_id = accounts().create_company(values, form.password, address)
    log.info("first company created")
    return person_id


class Colleague(Row):
    table: ClassVar[str] = "people"

    id: UUID
    name: str


def names(database: Database) -> dict[UUID | None, str]:
    """Names of everybody the person shares a company with; None is System."""
    known: dict[UUID | None, str] = {None: "System"}
    known.update((person.id, person.name) for person in database.select(Colleague))
    return known


def check_name(name: str, field: str, who_needs: str) -> None:
    """Raises `InvalidInput` beside `field`."""
    if not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise InvalidInput(f"{who_needs} a name of 1 to {LONGEST_NAME} characters.", field)


def check_email(email: str) -> None:
    """Raises `InvalidInput` (field `email`)."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email.strip()) or len(email) > 254:
        raise InvalidInput("That is not an e-mail address.", "email")


def slug(name: str) -> str:
    """Lower-case letters, digits and hyphens of a name; a name without any becomes "store"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "store"
