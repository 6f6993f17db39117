"""Supabase Auth through its client, one throwaway client a call, and its errors as ours."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr
from supabase import Client
from supabase_auth.errors import AuthApiError, AuthError, AuthRetryableError, AuthWeakPasswordError
from supabase_auth.types import Session

from services.accounts import passwords
from services.accounts.tokens import Tokens
from services.database.supabase import open_client
from services.errors import AppError, Conflict, InvalidInput, SettingsInvalid, SignedOut, TooManyTries, Unavailable

log = logging.getLogger(__name__)
T = TypeVar("T")

AWAY = "The sign-in service does not answer right now. Try again in a moment."
REFUSED = "Supabase refuses the key: check SUPABASE_PUBLISHABLE_KEY and SUPABASE_SECRET_KEY."
ENDED = "Your session has ended. Sign in again; what you typed is still here."
USED_LINK = "This link was used before or has run out. Ask for a new one."
# The one table from the sign-in service's codes to our errors: class, sentence, field.
BY_CODE: Mapping[str, Callable[[], AppError]] = {
    "invalid_credentials": lambda: InvalidInput(passwords.WRONG, "password"),
    "email_not_confirmed": lambda: InvalidInput("Open the link in your invitation first.", "email"),
    "user_banned": lambda: SignedOut("This account is blocked. Ask an admin of your company."),
    "user_not_found": lambda: SignedOut(ENDED),
    "session_not_found": lambda: SignedOut(ENDED),
    "session_expired": lambda: SignedOut(ENDED),
    "refresh_token_not_found": lambda: SignedOut(ENDED),
    "refresh_token_already_used": lambda: SignedOut(ENDED),
    "bad_jwt": lambda: SignedOut(ENDED),
    "no_authorization": lambda: SignedOut(ENDED),
    "reauthentication_needed": lambda: SignedOut("Sign out and in again, then change the password."),
    "same_password": lambda: InvalidInput("That is your present password. Choose another one.", "password"),
    "otp_expired": lambda: InvalidInput(USED_LINK),
    "email_exists": lambda: Conflict("A person with this e-mail address already exists."),
    "user_already_exists": lambda: Conflict("A person with this e-mail address already exists."),
    "email_address_invalid": lambda: InvalidInput("That e-mail address cannot receive mail.", "email"),
    "email_address_not_authorized": lambda: SettingsInvalid(
        "Supabase's own mail server writes to its project's team only. Set up SMTP in the project, then try again."
    ),
    "over_request_rate_limit": lambda: TooManyTries("Too many sign-ins right now. Wait a minute, then try again."),
    "over_email_send_rate_limit": lambda: Unavailable(
        "The project has sent as many mails as it may for now. It is tried again."
    ),
}


@dataclass(frozen=True)
class Vendor:
    """The sign-in service of the project at `url`, asked with `key` (publishable, or secret for `admin` calls)."""

    url: str
    key: SecretStr = field(repr=False)
    http: httpx.Client = field(repr=False)

    def sign_in(self, email: str, password: str) -> Tokens:
        answer = self._ask(lambda client: client.auth.sign_in_with_password({"email": email, "password": password}))
        return _tokens(answer.session)

    def refresh(self, refresh_token: str) -> Tokens:
        """Raises `SignedOut` when the service has ended the session, `Unavailable` when it cannot be asked."""
        return _tokens(self._ask(lambda client: client.auth.refresh_session(refresh_token)).session)

    def accept(self, token_hash: str, kind: str) -> Tokens:
        """Trade a mailed link's token, `kind` "invite" or "recovery", for a session; it is used up by that."""
        params: Any = {"token_hash": token_hash, "type": kind}
        return _tokens(self._ask(lambda client: client.auth.verify_otp(params)).session)

    def set_password(self, tokens: Tokens, password: str) -> None:
        def change(client: Client) -> None:
            client.auth.set_session(tokens.access, tokens.refresh)
            client.auth.update_user({"password": password})

        self._ask(change)

    def sign_out(self, access_token: str, scope: Any) -> None:
        """`scope`: "local" (this session), "others" or "global"."""
        self._ask(lambda client: client.auth.admin.sign_out(access_token, scope))

    def health(self) -> None:
        """Raises `Unavailable` or `SettingsInvalid` unless the service answers to the key."""
        try:
            answer = self.http.get(f"{self.url}/auth/v1/health", headers={"apikey": self.key.get_secret_value()})
        except httpx.HTTPError as exc:
            raise Unavailable(AWAY) from exc
        if answer.status_code == 401:
            raise SettingsInvalid(REFUSED)
        if not answer.is_success:
            raise Unavailable(AWAY)

    # With the secret key ---------------------------------------------------------------------------------------

    def invite(self, email: str, name: str) -> str:
        """Have an invitation mailed; returns the new user's id. Raises `Conflict` when the address has a user."""
        return str(
            self._ask(lambda client: client.auth.admin.invite_user_by_email(email, {"data": {"name": name}})).user.id
        )

    def id_of(self, email: str) -> str:
        """The id of the user with that address. Mails nothing; raises `SignedOut` when there is none."""
        params: Any = {"type": "recovery", "email": email}
        return self._ask(lambda client: client.auth.admin.generate_link(params).user.id)

    def create(self, email: str, password: str) -> str:
        """A user who can sign in at once; returns the id. Raises `Conflict` when the address has a user."""
        values: Any = {"email": email, "password": password, "email_confirm": True}
        return self._ask(lambda client: client.auth.admin.create_user(values).user.id)

    def mail_reset(self, email: str) -> None:
        self._ask(lambda client: client.auth.reset_password_for_email(email))

    def _ask(self, run: Callable[[Client], T]) -> T:
        try:
            return run(open_client(self.url, self.key.get_secret_value(), self.http))
        except AuthError as exc:
            raise _error(exc) from exc
        except (httpx.HTTPError, ValueError) as exc:  # a proxy's page instead of the service's answer
            log.warning("the sign-in service gave no usable answer: %s", type(exc).__name__)
            raise Unavailable(AWAY) from exc


def _error(exc: AuthError) -> AppError:
    if isinstance(exc, AuthRetryableError):
        return Unavailable(AWAY)
    if isinstance(exc, AuthWeakPasswordError):
        return InvalidInput("This password is too easy to guess. Choose a longer or less common one.", "password")
    if made := BY_CODE.get(str(exc.code)):
        return made()
    status = exc.status if isinstance(exc, AuthApiError) else 0
    if status == 429:  # the gateway's
        return BY_CODE["over_request_rate_limit"]()
    log.error("the sign-in service answered %s, code %s", status, exc.code)
    if status == 401 and exc.code is None:  # the gateway's, in front of the service
        return SettingsInvalid(REFUSED)
    return Unavailable() if status >= 500 else AppError()


def _tokens(session: Session | None) -> Tokens:
    if session is None:
        raise SignedOut
    return Tokens(session.access_token, session.refresh_token, session.expires_in)
