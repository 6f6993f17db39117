"""What either keeper of passwords offers to `services.identity`."""

from collections.abc import Mapping
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
    def must_change(self) -> bool: ...
    @property
    def token(self) -> SecretStr | None: ...
    @property
    def database(self) -> Database: ...


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
        """`present` is needed unless the person came with a one-time password. Other sessions end."""

    def add_person(self, admin: Asker, values: Mapping[str, Any]) -> str | None:
        """Add or invite somebody; returns a one-time password to hand over, or None where a mail is sent.

        `values`: account_id, name, email, role, profile_ids.
        """

    def first_start(self) -> bool:
        """Whether there is no company yet, the demo aside, and a form may make the first one."""

    def create_company(self, values: Mapping[str, Any], password: str, address: str | None) -> UUID:
        """Make the first company; returns its admin's id. Raises `Conflict` when there is one."""
