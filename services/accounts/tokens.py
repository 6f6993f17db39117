"""The vendor's tokens, sealed for the session row: who reads the row cannot act as the person."""

import base64
import hashlib
import json
from dataclasses import dataclass, field

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox
from pydantic import SecretStr

from services.errors import SignedOut


@dataclass(frozen=True)
class Tokens:
    """`seconds` until the access token runs out, when they came."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    seconds: int


def seal(key: SecretStr, secret: str, tokens: Tokens) -> str:
    """Text for the row of the session with that secret; it opens for no other session."""
    content = {"session": _mark(secret), "access": tokens.access, "refresh": tokens.refresh, "seconds": tokens.seconds}
    return base64.b64encode(_box(key).encrypt(json.dumps(content).encode())).decode()


def unseal(key: SecretStr, secret: str, sealed: str) -> Tokens:
    """Raises `SignedOut` when the seal is another key's or another session's."""
    try:
        content = json.loads(_box(key).decrypt(base64.b64decode(sealed)))
    except (CryptoError, ValueError) as exc:
        raise SignedOut from exc
    if content["session"] != _mark(secret):
        raise SignedOut
    return Tokens(content["access"], content["refresh"], content["seconds"])


def _box(key: SecretStr) -> SecretBox:
    return SecretBox(base64.b64decode(key.get_secret_value()))


def _mark(secret: str) -> str:
    return hashlib.sha256(f"tokens of {secret}".encode()).hexdigest()
