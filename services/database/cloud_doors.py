"""The doors of a process that works on a Supabase project."""

from dataclasses import dataclass, field
from uuid import UUID

import httpx
from pydantic import SecretStr

from services.config import Settings
from services.database.door import Database
from services.database.supabase import Supabase, open_http
from services.errors import SettingsInvalid, SignedOut, Unavailable


@dataclass(frozen=True)
class CloudDoors:
    """`secret_key` is None where the process may not work in the background. One HTTP client for all."""

    url: str
    publishable_key: SecretStr
    secret_key: SecretStr | None
    http: httpx.Client = field(repr=False)
    hosted = True

    @property
    def works(self) -> bool:
        return self.secret_key is not None

    def person(self, person_id: UUID, address: str | None = None, token: SecretStr | None = None) -> Database:
        """Data as the person whose token it is. Raises `SignedOut` without one."""
        if token is None:
            raise SignedOut
        return self.as_token(token, address)

    def as_token(self, token: SecretStr, address: str | None = None) -> Database:
        """Data as whoever the token was given to."""
        return self._door(self.publishable_key, token, address)

    def anonymous(self, address: str | None = None) -> Database:
        """Data as nobody: only the functions that take a session's secret."""
        return self._door(self.publishable_key, None, address)

    def worker(self) -> Database:
        """Data as the worker. Raises `Unavailable` in a process without the secret key."""
        return self._door(self.secret(), None, None)

    def secret(self) -> SecretStr:
        """The secret key. Raises `Unavailable` in a process without it."""
        if self.secret_key is None:
            raise Unavailable("This process has no worker. Start one with `python -m services.jobs.worker`.")
        return self.secret_key

    def close(self) -> None:
        self.http.close()

    def _door(self, key: SecretStr, token: SecretStr | None, address: str | None) -> Database:
        shown = token.get_secret_value() if token else None
        return Supabase(url=self.url, key=key.get_secret_value(), http=self.http, token=shown, address=address)


def open_cloud(options: Settings) -> CloudDoors:
    """The settings' project. Raises `SettingsInvalid` where they are not complete."""
    if options.supabase_url is None or options.supabase_publishable_key is None:
        raise SettingsInvalid("Set SUPABASE_URL and SUPABASE_PUBLISHABLE_KEY.")
    return CloudDoors(
        options.supabase_url,
        options.supabase_publishable_key,
        options.supabase_secret_key,
        open_http(options.supabase_seconds),
    )
