"""What either keeper of passwords offers to `services.identity`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from pydantic import SecretStr

from services.database.door import Database


class Asker(Protocol):
    """A signed-in person, as far as accounts need to know."""

    @property
    def id(self) -> UUID: ...
    @property
    def email(self) -> str: ...
    @property
    def address(self) -> str | None: ...
    @property
    def must_change(self) -> bool: ...  # came by a link, and the password they chose was refused
    @property
    def token(self) -> SecretStr | None: ...
    @property
    def database(self) -> Database: ...


@dataclass(frozen=True)
class Invited:
    """What became of an invitation or a link. With a `token` the link is to be handed over, until `expires_at`.

    Without one it is mailed, or the person can sign in already. `person_id` None: made when the mail has gone out.
    """

    person_id: UUID | None
    token: SecretStr | None = None
    expires_at: datetime | None = None
    mailed: bool = False


class Accounts(Protocol):
    """Sign-in, passwords and new people. Every method raises classes of `services.errors`."""

    by_mail: bool  # whether people are invited, and forgotten passwords replaced, by mail

    def sign_in(self, email: str, password: str, *, address: str | None, agent: str, previous: str | None) -> str:
        """Check a password and open a session; returns the secret in force. Raises `InvalidInput`, `TooManyTries`."""

    def token(self, secret: str, session: Mapping[str, Any]) -> SecretStr | None:
        """What the person shows the database, renewed if it is about to run out; None where nothing is shown.

        `session` is the answer of `load_session`. Raises `SignedOut` when the vendor has ended the session.
        """

    def signed_out(self, person: Asker, *, everywhere: bool = False) -> None:
        """Our session has ended: end the vendor's too, if it can be reached."""

    def change_password(self, person: Asker, secret: str, password: str, present: str | None) -> None:
        """`present` is needed unless the person must change it. Other sessions end."""

    def invite(self, admin: Asker, account_id: UUID, person: Mapping[str, Any]) -> Invited:
        """Let somebody into a company. `person`: name, email, role, profile_ids, reason."""

    def send_link(self, admin: Asker, account_id: UUID, person_id: UUID, kind: str) -> Invited:
        """A new link for somebody of the company: `kind` "invite" renews, "recovery" replaces a password."""

    def look_at_link(self, token: str, kind: str) -> None:
        """Raise `InvalidInput` where it is known already that `accept` would refuse the link."""

    def accept(self, token: str, kind: str, password: str, *, address: str | None, agent: str) -> str:
        """Let in who followed a link, with the password they chose; returns the session's secret."""

    def first_start(self) -> bool:
        """Whether there is no company yet, the demo aside, and a form may make the first one."""

    def create_company(self, values: Mapping[str, Any], password: str, address: str | None) -> UUID:
        """Make the first company; returns its admin's id. Raises `Conflict` when there is one."""
