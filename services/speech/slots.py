"""How many calls one vendor account answers at once, and who waits: one count a key, for the whole process."""

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.errors import VendorBusy

AT_FIRST = 2  # calls at once until the vendor names its limit: what its smallest plan allows

_PEPPER = secrets.token_bytes(32)  # new in each process: the names below tell nothing about the keys
_registry: dict[bytes, "Slots"] = {}
_registry_lock = threading.Lock()


class Slots:
    """Admits at most `limit` calls at once. For several threads."""

    def __init__(self, limit: int = AT_FIRST) -> None:
        self._limit = limit
        self._busy = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        return self._limit

    @contextmanager
    def admit(self, latest: float) -> Iterator[None]:
        """Hold one place, waiting for it until `latest` on the monotonic clock. Raises `VendorBusy`."""
        self._enter(latest)
        try:
            yield
        finally:
            self._leave()

    def learn(self, limit: int) -> None:
        """Admit so many from now on; calls under way are not disturbed."""
        with self._changed:
            self._limit = max(limit, 1)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Until a place comes free here, at most so long: calls of other processes end unseen."""
        with self._changed:
            self._changed.wait(seconds)

    def _enter(self, latest: float) -> None:
        with self._changed:
            patience = latest - time.monotonic()
            if not self._changed.wait_for(lambda: self._busy < self._limit, patience):
                raise VendorBusy(
                    f"All {self._limit} calls that this ElevenLabs plan allows at once are in use. "
                    "Nothing was bought; it is tried again."
                )
            self._busy += 1

    def _leave(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()


def slots_of(key: str) -> Slots:
    """The one `Slots` of this key. Only a keyed hash of it is kept."""
    name = hashlib.blake2b(key.encode(), key=_PEPPER, digest_size=16).digest()
    with _registry_lock:
        return _registry.setdefault(name, Slots())
