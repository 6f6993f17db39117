"""Keys as people paste them. Only what certainly cannot work is refused, and no refusal quotes the key."""

from collections.abc import Mapping

from pydantic import SecretStr

from services.connections.found import LABELS, Provider
from services.errors import InvalidInput

SHORTEST, LONGEST = 8, 1000  # characters; real ones have 32 to a few hundred

# Beginnings that one vendor alone uses. ElevenLabs' older keys and Postiz' keys are bare hex: nothing tells them apart.
OWNERS: Mapping[str, Provider] = {"sk_": "elevenlabs", "AIza": "gemini", "AQ.": "gemini", "pos_": "postiz"}


def clean_key(provider: Provider, typed: str) -> SecretStr:
    """The key without the blanks around it. Raises `InvalidInput` beside `key`."""
    key = typed.strip()
    problem = _problem(provider, key)
    if problem:
        raise InvalidInput(problem, field="key")
    return SecretStr(key)


def _problem(provider: Provider, key: str) -> str | None:
    return _unreadable(key) or _no_key(key) or _foreign(provider, key)


def _unreadable(key: str) -> str | None:
    if not key:
        return "Type the key."
    if len(key.splitlines()) > 1:
        return "The key has a line break inside; copy it again, in one line."
    if any(letter.isspace() for letter in key):
        return "The key has a blank inside; copy the key alone, without “Bearer” or anything else beside it."
    if not key.isascii():
        return "The key has a letter that no key has, such as an accent or a dot of a hidden key; copy it again."
    if not key.isprintable():
        return "The key has an invisible character inside; copy it again."
    return None


def _no_key(key: str) -> str | None:
    if key.startswith(("http://", "https://")):
        return "This is an address; the key belongs here."
    if key[0] in "\"'`" or key[-1] in "\"'`":
        return "The key has quotation marks around it; leave them away."
    if "*" in key:
        return "This is a hidden key with stars in it; copy the key itself."
    if len(key) < SHORTEST:
        return "This is too short for a key; copy all of it."
    if len(key) > LONGEST:
        return "This is too long for a key; copy the key alone."
    return None


def _foreign(provider: Provider, key: str) -> str | None:
    owner = next((owner for beginning, owner in OWNERS.items() if key.startswith(beginning)), provider)
    if owner == provider:
        return None
    return f"This is a key of {LABELS[owner]}; {LABELS[provider]} has keys of its own."
