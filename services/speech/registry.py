"""The voice services of this installation, by name, and those of a company's or store's own account."""

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable
from uuid import UUID

from services import credentials
from services.config import Settings, settings
from services.connections import Provider as Vendor
from services.credentials import Opened
from services.database.door import Database
from services.errors import InvalidInput, KeyChanged, ProviderUnavailable, SettingsInvalid
from services.speech.coqui import Coqui
from services.speech.edge import Edge
from services.speech.hibari import Hibari
from services.speech.kokoro import Kokoro
from services.speech.practice import Practice
from services.speech.provider import Provider
from services.vault import Place

if TYPE_CHECKING:
    from services.speech.elevenlabs import ElevenLabs

CLIENTS = 64  # accounts whose client a process keeps: those used last

_HIBARI = Hibari()
_PRACTICE = Practice(_HIBARI)
_KOKORO = Kokoro()
_COQUI = Coqui()
_EDGE = Edge()


def providers() -> Sequence[Provider]:
    """All of them in the order they are offered: the free embedded voice first, the unofficial one last."""
    set_up = settings()
    elevenlabs = _elevenlabs(set_up.elevenlabs_api_key, set_up.elevenlabs_url, set_up.elevenlabs_seconds)
    return (_HIBARI, _PRACTICE, elevenlabs, _KOKORO, _COQUI, _EDGE)


def provider(name: str) -> Provider:
    """The service of that name. Raises `InvalidInput` (field `provider`)."""
    for known in providers():
        if known.name == name:
            return known
    raise InvalidInput(f"There is no voice service called “{name}”.", field="provider")


# Accounts ---------------------------------------------------------------------------------------------------------


@runtime_checkable
class Confirmed(Protocol):
    """A provider whose paid calls can ask a last question before they start."""

    def confirmed(self, confirm: Callable[[], None]) -> Self: ...


@dataclass(frozen=True)
class Access:
    """A provider of one account; `key_id` names its saved key, None: the environment's, or none is needed."""

    provider: Provider
    key_id: UUID | None


def for_store(database: Database, options: Settings, account_id: UUID, profile_id: UUID | None, name: str) -> Access:
    """What speaks for this store now. Ask right before each call: keys change.

    Its paid calls raise `KeyChanged` if another key was saved until they start. Raises `ProviderUnavailable` where
    nothing is connected, `InvalidInput` for an unknown name.
    """
    known = provider(name)
    if not known.paid_outside:
        return Access(known, None)
    opened = _readable(lambda: credentials.for_call(database, options, account_id, profile_id, vendor(name)))
    if opened is None:
        raise ProviderUnavailable(f"{known.label} is not connected for this store. An admin can connect it.")
    if opened.key_id:
        known = _KEPT.client(opened, options.elevenlabs_seconds)

    def confirm() -> None:
        if not credentials.is_current(database, opened, profile_id):
            raise KeyChanged

    return Access(known.confirmed(confirm) if isinstance(known, Confirmed) else known, opened.key_id)


def for_purchase(database: Database, options: Settings, purchase_id: UUID, account_id: UUID, name: str) -> Provider:
    """What can be asked for a lost answer: the account that the call was made with, whatever is used now.

    Raises `ProviderUnavailable` where its key is gone.
    """
    opened = _readable(lambda: credentials.of_purchase(database, options, purchase_id, account_id))
    if opened is None:
        raise ProviderUnavailable("The key that this call was made with is not saved any more.")
    return transient(opened, options) if opened.key_id else provider(name)


def transient(opened: Opened, options: Settings) -> "ElevenLabs":
    """That account's voices, through a client that is closed after each use."""
    made = _made(opened, options.elevenlabs_seconds)
    made.drop()
    return made


def vendor(name: str) -> Vendor:
    """The name under which accounts of this service are saved. Raises `InvalidInput`."""
    if name != "elevenlabs":
        raise InvalidInput(f"There are no accounts of “{name}”.", field="provider")
    return "elevenlabs"


def _readable(read: Callable[[], Opened | None]) -> Opened | None:
    try:
        return read()
    except SettingsInvalid as exc:
        raise ProviderUnavailable(str(exc)) from exc


class _Clients:
    """Clients of accounts used lately: one a saved credential, closed when its key changes or others push it out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Place, tuple[UUID | None, ElevenLabs]] = OrderedDict()

    def client(self, opened: Opened, seconds: float) -> "ElevenLabs":
        with self._lock:
            key_id, known = self._kept.pop(opened.place, (None, None))
            client = known if known and key_id == opened.key_id else _made(opened, seconds)
            self._kept[opened.place] = (opened.key_id, client)
            pushed = self._kept.popitem(last=False)[1][1] if len(self._kept) > CLIENTS else None
        for old in (pushed, known if known is not client else None):
            if old:
                old.drop()
        return client


_KEPT = _Clients()


def _made(opened: Opened, seconds: float) -> "ElevenLabs":
    from services.speech.elevenlabs import ElevenLabs  # noqa: PLC0415 - only where voices are asked for

    return ElevenLabs(opened.key.get_secret_value(), opened.address, seconds)


@functools.lru_cache(maxsize=1)
def _elevenlabs(api_key: str | None, url: str | None, seconds: float) -> Provider:
    """One as long as the account stays the same: it keeps count of the calls under way."""
    from services.speech.elevenlabs import ElevenLabs  # noqa: PLC0415 - only where voices are asked for

    return ElevenLabs(api_key, url, seconds)
