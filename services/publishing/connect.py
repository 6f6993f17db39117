"""The publishing service that a credential opens."""

import hashlib
import hmac
from uuid import UUID

import httpx

from services.config import Settings
from services.credentials import Opened
from services.database.door import Database
from services.errors import PublishingMisconfigured
from services.publishing import practice
from services.publishing.postiz import Client
from services.publishing.vendor import Vendor

DIGITS = 32  # hexadecimal, of an organization


def vendor(database: Database, options: Settings, opened: Opened) -> Vendor:
    """What `opened` is called with. It holds no connection and nothing learned, so make one anew for each call's key.

    Raises `PublishingMisconfigured` for an address or key that cannot be called with.
    """
    if opened.practice:
        return practice.Practice(database, _saved(opened))
    return Client(_address(opened), opened.key, private=options.allow_private_addresses)


def pepper(database: Database) -> str:
    """What `organization` is keyed with: random, drawn once for this database. For workers."""
    return str(database.call("publishing_pepper"))


def organization(pepper: str, opened: Opened) -> str:
    """The name of what a key opens: the same for an address and key, whoever saved them; it tells nothing of them."""
    if opened.practice:
        return practice.organization(opened.place.account_id)
    told = f"{_normal(_address(opened))}\n{opened.key.get_secret_value()}"
    return hmac.new(pepper.encode(), told.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def _saved(opened: Opened) -> UUID:
    if opened.credential_id is None:
        raise PublishingMisconfigured("The practice account is gone.")
    return opened.credential_id


def _address(opened: Opened) -> str:
    if not opened.address:
        raise PublishingMisconfigured("The saved account of Postiz has no address. An admin must type it again.")
    return opened.address


def _normal(address: str) -> str:
    """However it was typed: capitals of the host, the usual port and a slash at the end make no difference."""
    try:
        url = httpx.URL(address)
    except (httpx.InvalidURL, ValueError):
        return address
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path.rstrip('/')}"
