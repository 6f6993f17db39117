"""Passwords: how long, how hashed, how compared."""

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from services.errors import InvalidInput

LENGTH = (10, 200)  # characters
WRONG = "The e-mail address or the password is wrong."


@cache
def hasher() -> PasswordHasher:
    return PasswordHasher()  # argon2id with the library's current defaults (RFC 9106, low memory)


@cache
def hash_of_nobody() -> str:
    """Verified when an address is unknown, so that the answer takes the same time."""
    return hasher().hash(secrets.token_urlsafe(16))


def check_length(password: str) -> None:
    """Raises `InvalidInput` (field `password`)."""
    shortest, longest = LENGTH
    if not shortest <= len(password) <= longest:
        raise InvalidInput(f"A password has {shortest} to {longest} characters.", "password")


def hash_password(password: str) -> str:
    """Raises `InvalidInput` when the password is too short or too long."""
    check_length(password)
    return hasher().hash(password)


def matches(password_hash: str, password: str) -> bool:
    try:
        return hasher().verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
