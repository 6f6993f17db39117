"""What writes for a store: its own or the company's Gemini account, or the practice writer."""

from dataclasses import dataclass
from uuid import UUID

from services import credentials
from services.config import Settings
from services.credentials import Opened
from services.database.door import Database
from services.errors import KeyChanged, ProviderUnavailable, SettingsInvalid
from services.scripts.gemini import open_writer
from services.scripts.practice import Practice
from services.scripts.writer import Writer

NOT_CONNECTED = (
    "Gemini is not connected for this store. An admin can type its key in the settings; "
    "until then the practice writer shows how it works, for nothing."
)


@dataclass(frozen=True)
class Access:
    """A writer of one account; `key_id` names its saved key, None: none is needed."""

    writer: Writer
    key_id: UUID | None


def for_store(database: Database, options: Settings, account_id: UUID, profile_id: UUID | None) -> Access:
    """What writes for this store now. Ask right before each call: keys change.

    Its paid calls raise `KeyChanged` if another key was saved until they start. Raises `ProviderUnavailable` where
    nothing is connected or the key cannot be opened.
    """
    try:
        opened = credentials.for_call(database, options, account_id, profile_id, "gemini")
    except SettingsInvalid as exc:
        raise ProviderUnavailable(str(exc)) from exc
    if opened is None:
        raise ProviderUnavailable(NOT_CONNECTED)
    if opened.practice:
        return Access(Practice(), None)

    def confirm() -> None:
        if not credentials.is_current(database, opened, profile_id):
            raise KeyChanged("The Gemini account was changed meanwhile. Nothing was bought; it is tried again.")

    private = options.allow_private_addresses or _is_own(opened, options)
    return Access(open_writer(opened.key, opened.address, private=private, confirm=confirm), opened.key_id)


def _is_own(opened: Opened, options: Settings) -> bool:
    """The address of the server's own settings may lead into private networks."""
    return opened.address is not None and opened.address == options.gemini_url
