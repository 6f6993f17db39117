"""The webhook of a company: saved sealed, told of each notice in a signed request."""

import hashlib
import hmac
import json
import secrets
import ssl
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from pydantic import SecretStr

from services import vault
from services.config import Settings
from services.connections import addresses
from services.connections.transport import GuardedTransport, NamesSilent, NameUnknown, PlaceForbidden
from services.database.door import Database
from services.errors import InvalidInput
from services.jobs import queue

SECONDS = 10.0  # for the whole, however steadily an answer drips
LONGEST = 2000  # characters of an address
SHORTEST_SECRET = 16
PROVIDER = "webhook"  # its name in the vault


class Posted(NamedTuple):
    """Whether the webhook took it, and in a sentence why not."""

    ok: bool
    sentence: str


# For admins ------------------------------------------------------------------------------------------------------


def save(
    database: Database,
    options: Settings,
    account_id: UUID,
    *,
    address: str,
    secret: str,
    enabled: bool,
    version: int | None,
) -> SecretStr | None:
    """Save the webhook; `version` is the one that was seen, None: there was none. No `address` keeps what is saved.

    Returns the signing secret if one was made: nobody can read it again. Raises `InvalidInput` (field "address" or
    "secret"), `Conflict` when somebody saved it meanwhile or this process seals with a key that is not in force.
    """
    if not address.strip() and secret.strip():
        raise InvalidInput("Type the address too: it is saved together with the secret.", field="address")
    content = typed(address, secret, options) if address.strip() else None
    if content:
        vault.check_in_force(database, options)
    sealed = _sealed(options, account_id, content) if content else None
    database.call("save_webhook", p_account_id=account_id, p_sealed=sealed, p_enabled=enabled, p_version=version)
    return content.key if content and not secret.strip() else None


def remove(database: Database, account_id: UUID, version: int) -> None:
    """Raises `Conflict` when somebody saved it meanwhile."""
    database.call("remove_webhook", p_account_id=account_id, p_version=version)


def try_saved(database: Database, account_id: UUID) -> UUID:
    """Have the worker send a test to the saved webhook; `test_state` tells what became of it."""
    delivery = UUID(str(database.call("try_webhook", p_account_id=account_id)))
    queue.wake()
    return delivery


def test_state(database: Database, account_id: UUID, delivery_id: UUID) -> Posted | None:
    """How a test by `try_saved` went so far; None: it is on its way."""
    found = database.call("webhook_test", p_account_id=account_id, p_delivery_id=delivery_id)
    if found and found["state"] == "sent":
        return Posted(True, "The webhook took the test.")
    return Posted(False, found["error"]) if found and found["error"] else None


def try_typed(address: str, secret: str, options: Settings) -> Posted:
    """Send a test to what was typed, from here. Raises `InvalidInput` for what cannot be tried at all."""
    event = {"kind": "webhook_test", "text": "This is a test of the webhook. Nothing has happened."}
    posted = post(options, typed(address, secret, options), str(secrets.token_hex(8)), event)
    return Posted(True, "The webhook took the test.") if posted.ok else posted


def typed(address: str, secret: str, options: Settings) -> vault.Content:
    """What was typed, cleaned; without a secret, with one that is made. Raises `InvalidInput`."""
    return vault.Content(address=clean_address(address, options), key=clean_secret(secret))


def clean_address(address: str, options: Settings) -> str:
    """Raises `InvalidInput` (field "address") for what is no https address of the public network."""
    text = address.strip()
    if not text:
        raise InvalidInput("Type the address of the webhook.", field="address")
    if len(text) > LONGEST or not text.isprintable() or any(letter.isspace() for letter in text) or "\\" in text:
        raise InvalidInput("This is no web address: it is too long or has a blank inside.", field="address")
    if "://" not in text:
        raise InvalidInput("The address must begin with https://.", field="address")
    if "#" in text:
        raise InvalidInput("The address goes on after a #; leave that away.", field="address")
    try:
        whole = urlsplit(text)
    except ValueError as exc:  # an open bracket, or a letter that would become a slash
        raise InvalidInput("This is no web address: its host cannot be read.", field="address") from exc
    # Scheme and host are looked at as any vendor's; path and question, which theirs do not have, are the receiver's.
    addresses.clean_address("gemini", f"{whole.scheme}://{whole.netloc}", options)
    return text


def clean_secret(secret: str) -> SecretStr:
    """Raises `InvalidInput` (field "secret"). Nothing typed: a new one."""
    text = secret.strip()
    if not text:
        return SecretStr(f"whsec_{secrets.token_urlsafe(32)}")
    if len(text) < SHORTEST_SECRET or len(text) > LONGEST:
        raise InvalidInput(f"A secret has at least {SHORTEST_SECRET} characters.", field="secret")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise InvalidInput("The secret has a blank or a letter outside ASCII inside.", field="secret")
    return SecretStr(text)


def _sealed(options: Settings, account_id: UUID, content: vault.Content) -> dict[str, str]:
    key = content.key.get_secret_value()
    return {
        "ciphertext": vault.seal(options, place(account_id), content),
        "shown_address": str(urlsplit(content.address or "").hostname)[:300],
        "last4": key[-4:],
    }


# For whoever sends -----------------------------------------------------------------------------------------------


def place(account_id: UUID) -> vault.Place:
    """Where in the vault a company's webhook lies."""
    return vault.Place(account_id=account_id, profile_id=None, provider=PROVIDER)


def post(options: Settings, hook: vault.Content, event_id: str, event: dict[str, Any]) -> Posted:
    """Tell the webhook of an event. `event_id` is the same at each try: by it a receiver knows what it had before."""
    body = json.dumps({"id": event_id, **event}, ensure_ascii=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Clipdesk",
        "Idempotency-Key": event_id,
        "Clipdesk-Signature": signature(hook.key, int(time.time()), body),
    }
    transport = GuardedTransport(private=options.allow_private_addresses, ends_at=time.monotonic() + SECONDS)
    try:
        with (
            httpx.Client(transport=transport, timeout=SECONDS) as client,
            client.stream("POST", str(hook.address), content=body, headers=headers) as answer,
        ):
            return _judged(answer)
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as exc:
        return Posted(False, _reason(exc))


def signature(secret: SecretStr, at: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<hex>`: HMAC-SHA256 with the secret over the time, a dot and the body."""
    digest = hmac.new(secret.get_secret_value().encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"


def _judged(answer: httpx.Response) -> Posted:
    if answer.is_success:
        return Posted(True, "")
    if answer.is_redirect:
        return Posted(False, "The webhook redirects elsewhere, which is not followed: save the address it leads to.")
    return Posted(False, f"The webhook answered {answer.status_code}.")


REASONS: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (
        PlaceForbidden,
        "The webhook lies in a private network, where Clipdesk does not call. "
        "Whoever runs this server can allow it with ALLOW_PRIVATE_ADDRESSES.",
    ),
    (NameUnknown, "No server has the webhook's name."),
    (NamesSilent, "The network's name service does not answer."),
    (httpx.TimeoutException, f"The webhook did not answer within {SECONDS:.0f} seconds."),
    (httpx.ConnectError, "The webhook's server cannot be reached, or not safely by https."),
    (Exception, "The connection to the webhook broke off."),
)


def _reason(error: Exception) -> str:
    return next(sentence for kind, sentence in REASONS if isinstance(error, kind))
