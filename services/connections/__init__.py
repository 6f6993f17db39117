"""Accounts at vendors, tested before they are trusted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from services.config import Settings
from services.connections import causes, elevenlabs, gemini, postiz
from services.connections.addresses import base_of, clean_address
from services.connections.calls import Caller
from services.connections.causes import Cause, Trouble
from services.connections.found import LABELS, Found, Provider
from services.connections.keys import clean_key

__all__ = ["Found", "Provider", "clean_address", "clean_key", "test"]


@dataclass(frozen=True)
class Vendor:
    header: str  # that carries the key
    own_address: Callable[[Settings], str | None]  # where nothing is typed
    find: Callable[[Caller, str], Found]
    sentences: Mapping[Cause, str]  # where the vendor has a better one than the common


VENDORS: Mapping[Provider, Vendor] = {
    "elevenlabs": Vendor(elevenlabs.HEADER, elevenlabs.own_address, elevenlabs.find, elevenlabs.SENTENCES),
    "gemini": Vendor(gemini.HEADER, gemini.own_address, gemini.find, gemini.SENTENCES),
    "postiz": Vendor(postiz.HEADER, postiz.own_address, postiz.find, postiz.SENTENCES),
}


def test(provider: Provider, address: str | None, key: SecretStr, options: Settings) -> Found:
    """What the account behind `key` is, in at most 15 seconds and for nothing. Safe from many threads.

    Whatever the vendor or the network does is `Found(ok=False)`. Raises `InvalidInput` beside `key` or `address` for
    what cannot be tried at all. The address of the server's own settings may lead into private networks.
    """
    checked = clean_key(provider, key.get_secret_value())
    typed = clean_address(provider, address or "", options)
    own = VENDORS[provider].own_address(options) or ""
    base = typed or base_of(provider, own, private=True)
    found = _find(provider, base, checked, private=options.allow_private_addresses or typed is None)
    return _without(checked, found)


def _find(provider: Provider, base: str, key: SecretStr, *, private: bool) -> Found:
    vendor = VENDORS[provider]
    with Caller(vendor.header, key, private=private) as caller:
        try:
            return vendor.find(caller, base)
        except Trouble as trouble:
            return Found(ok=False, message=_sentence(provider, base, trouble), passing=trouble.cause in causes.PASSING)


def _sentence(provider: Provider, base: str, trouble: Trouble) -> str:
    known = {**causes.SENTENCES, **VENDORS[provider].sentences}
    where = urlsplit(base)
    port = where.port or (443 if where.scheme == "https" else 80)
    return known[trouble.cause].format(
        label=LABELS[provider], address=base, host=where.hostname, port=port, **trouble.values
    )


def _without(key: SecretStr, found: Found) -> Found:
    """The same, even if the other side repeated the key in what it sent."""
    spelled = json.dumps(key.get_secret_value())[1:-1]
    whole = found.model_dump_json()
    return Found.model_validate_json(whole.replace(spelled, "…")) if spelled in whole else found
