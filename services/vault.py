"""The vault: credentials are sealed by the app with a public key and opened by the worker's private keys only.

What is sealed names its company, store and provider and is checked against its row when it is opened, so that a row
that was swapped is refused. docs/credentials.md says how keys are made and replaced: `python -m services.vault`.
"""

import argparse
import base64
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from pydantic import BaseModel, ConfigDict, SecretStr

from services import logs
from services.config import VAULT_ADVICE, VAULT_PRIVATE, VAULT_PUBLIC, Settings, settings, split_keys
from services.database.connect import process_doors
from services.database.door import Database
from services.errors import AppError, Conflict, ProviderUnavailable, SettingsInvalid

log = logging.getLogger(__name__)

if sys.platform != "win32":  # keys in the data folder come with the embedded database, which is POSIX only
    import fcntl

VERSION = "v1"


class Place(BaseModel):
    """Whose credential it is; `profile_id` None: the company's."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account_id: UUID
    profile_id: UUID | None
    provider: str

    def __str__(self) -> str:
        whose = f"store {self.profile_id}" if self.profile_id else f"company {self.account_id}"
        return f"{self.provider} of {whose}"


class Content(BaseModel):
    """What is sealed; `address` None: the provider's own."""

    model_config = ConfigDict(frozen=True)

    address: str | None
    key: SecretStr


# Sealing and opening ----------------------------------------------------------------------------------------------


def seal(options: Settings, place: Place, content: Content) -> str:
    """Text for the database: "v1.<fingerprint>.<base64>". Raises `SettingsInvalid` where this process has no key."""
    return _sealed(public_key(options), place, content)


def seal_in_worker(options: Settings, place: Place, content: Content) -> str:
    """As `seal`, with the newest of this worker's keys. Raises `SettingsInvalid` where it has none."""
    return _sealed(ring(options)[0].public_key, place, content)


def _sealed(key: PublicKey, place: Place, content: Content) -> str:
    told = {**place.model_dump(mode="json"), "address": content.address, "key": content.key.get_secret_value()}
    sealed = SealedBox(key).encrypt(json.dumps(told).encode())
    return f"{VERSION}.{fingerprint(key)}.{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(options: Settings, place: Place, ciphertext: str) -> Content:
    """What was sealed for that place.

    Raises `ProviderUnavailable` where it is another place's, spoilt, or sealed with a key that this process has not,
    and `SettingsInvalid` where it has none at all.
    """
    told = _opened(ring(options), place, ciphertext)
    if {name: told.get(name) for name in Place.model_fields} != place.model_dump(mode="json"):
        raise ProviderUnavailable(
            f"The saved key ({place}) was sealed for another store, company or service, so it is not used. "
            "An admin must type it again."
        )
    return Content(address=told.get("address"), key=SecretStr(told["key"]))


def _opened(keys: list[PrivateKey], place: Place, ciphertext: str) -> dict[str, Any]:
    version, _, rest = ciphertext.partition(".")
    mark, _, sealed = rest.partition(".")
    fitting = [key for key in keys if fingerprint(key.public_key) == mark]
    if version != VERSION or not fitting:
        raise ProviderUnavailable(
            f"The saved key ({place}) was sealed with the vault key {mark}, which this worker does not have. "
            "Put that one into VAULT_KEYS, or have an admin type the key again."
        )
    try:
        told: dict[str, Any] = json.loads(SealedBox(fitting[0]).decrypt(base64.urlsafe_b64decode(sealed)))
    except (CryptoError, ValueError):
        told = {}
    if not told:
        raise ProviderUnavailable(f"The saved key ({place}) is spoilt. An admin must type it again.")
    return told


# Keys -------------------------------------------------------------------------------------------------------------


def fingerprint(key: PublicKey) -> str:
    """Sixteen hexadecimal digits that name a key and tell nothing of it."""
    return hashlib.sha256(bytes(key)).hexdigest()[:16]


def public_key(options: Settings) -> PublicKey:
    """What this process seals with. Raises `SettingsInvalid`."""
    if options.vault_public_key:
        return PublicKey(_bytes(options.vault_public_key, VAULT_PUBLIC))
    if not options.embedded:
        raise SettingsInvalid(f"Set VAULT_PUBLIC_KEY before keys of outside services are saved: {VAULT_ADVICE}.")
    return PublicKey(_bytes(_read(options, PUBLIC), VAULT_PUBLIC))


def ring(options: Settings) -> list[PrivateKey]:
    """The private keys, newest first. Raises `SettingsInvalid` in a process that has none."""
    keys = split_keys(options.vault_keys)
    if not keys and options.embedded and options.vault_public_key is None:
        keys = _read(options, PRIVATE).split()
    if not keys:
        raise SettingsInvalid(f"Set VAULT_KEYS where the worker runs: {VAULT_ADVICE}.")
    return [PrivateKey(_bytes(key, VAULT_PRIVATE)) for key in keys]


def note(database: Database, options: Settings) -> None:
    """For a worker's start: put its newest key in force where none is yet, and say so where another is."""
    try:
        newest = fingerprint(ring(options)[0].public_key)
        force = database.call("note_vault_key", p_fingerprint=newest)
    except AppError as exc:
        log.warning("Saved credentials cannot be opened here: %s", exc)
        return
    if force != newest:
        log.error(
            "The vault key %s is in force and not this worker's newest, %s. See docs/credentials.md.", force, newest
        )


def check_in_force(database: Database, options: Settings) -> None:
    """Before something is sealed to be saved: raise `Conflict` unless workers open what this process seals.

    Raises `SettingsInvalid` where this process has no key.
    """
    mine, force = fingerprint(public_key(options)), database.call("vault_key")
    if force is None:
        raise Conflict(
            "No worker that has the vault's keys (VAULT_KEYS) has started yet, so nothing can be sealed for it. "
            "Start one, then save again."
        )
    if mine != force:
        raise Conflict(
            f"This app seals with the vault key {mine}, but {force} is in force, so nothing was saved. "
            "`python -m services.doctor` says what to do."
        )


def _bytes(key: str, prefix: str) -> bytes:
    return base64.urlsafe_b64decode(key.removeprefix(prefix))


def _text(key: PublicKey | PrivateKey, prefix: str) -> str:
    return prefix + base64.urlsafe_b64encode(bytes(key)).decode()


# Keys of the embedded way, in the data folder ---------------------------------------------------------------------

PRIVATE, PUBLIC = "private", "public"  # files: the private keys, newest first, one a line; the newest public key


def _read(options: Settings, name: str) -> str:
    folder = options.clipdesk_data / "vault"
    with _made(folder):
        return (folder / name).read_text("ascii")


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder with its keys, for this process alone while the block runs."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / PRIVATE).exists():
                _add_key(folder)
            _publish(folder)
            yield
    except OSError as exc:
        raise SettingsInvalid(f"The vault's keys in {folder} cannot be used: {os.strerror(exc.errno or 0)}.") from exc


def _add_key(folder: Path) -> None:
    kept = (folder / PRIVATE).read_text("ascii") if (folder / PRIVATE).exists() else ""
    _write(folder / PRIVATE, f"{_text(PrivateKey.generate(), VAULT_PRIVATE)}\n{kept}")


def _publish(folder: Path) -> None:
    """Write the newest public key, unless it is there: a process may have been killed between the two files."""
    newest = PrivateKey(_bytes((folder / PRIVATE).read_text("ascii").split()[0], VAULT_PRIVATE))
    text = _text(newest.public_key, VAULT_PUBLIC)
    if not (folder / PUBLIC).exists() or (folder / PUBLIC).read_text("ascii") != text:
        _write(folder / PUBLIC, text)


def _write(file: Path, text: str) -> None:
    """As a whole or not at all, also after a power cut."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


# Replacing keys ---------------------------------------------------------------------------------------------------


@dataclass
class Rotation:
    """How many keys were sealed anew, and which could not be opened."""

    resealed: int
    failed: list[str]


def rotate(database: Database, options: Settings) -> Rotation:
    """Put this worker's newest key in force and seal with it what other keys had sealed, row by row.

    May be interrupted at any moment and run again; whoever saves meanwhile with an older key is told.
    """
    keys, done, after = ring(options), Rotation(0, []), None
    newest = fingerprint(keys[0].public_key)
    database.call("note_vault_key", p_fingerprint=newest, p_replace=True)
    while rows := database.call("sealed_otherwise", p_fingerprint=newest, p_after=after):
        for row in rows:
            _reseal(database, keys, row, done)
        after = rows[-1]["key_id"]
    return done


def _reseal(database: Database, keys: list[PrivateKey], row: dict[str, Any], done: Rotation) -> None:
    """Replace what the row held when it was read; who saved meanwhile has sealed with the new key."""
    place = Place.model_validate(row)
    try:
        told = _opened(keys, place, row["ciphertext"])
    except ProviderUnavailable as exc:
        done.failed.append(str(exc))
        return
    sealed = SealedBox(keys[0].public_key).encrypt(json.dumps(told).encode())
    text = f"{VERSION}.{fingerprint(keys[0].public_key)}.{base64.urlsafe_b64encode(sealed).decode()}"
    done.resealed += database.call("reseal", p_key_id=row["key_id"], p_before=row["ciphertext"], p_after=text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.vault", description=__doc__)
    parser.add_argument("do", choices=("new-key", "rotate"), help="make a new pair; seal everything with the newest")
    chosen = parser.parse_args(arguments)
    try:
        return _new_key() if chosen.do == "new-key" else _rotate()
    except AppError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1


def _new_key() -> int:
    options = settings()
    if options.embedded and options.vault_keys is None and options.vault_public_key is None:
        folder = options.clipdesk_data / "vault"
        with _made(folder):
            _add_key(folder)
            _publish(folder)
        sys.stdout.write(f"A new key was added in {folder}. Run `python -m services.vault rotate` now.\n")
        return 0
    made = PrivateKey.generate()
    sys.stdout.write(
        f"VAULT_PUBLIC_KEY={_text(made.public_key, VAULT_PUBLIC)}\n"
        f"VAULT_KEYS={_text(made, VAULT_PRIVATE)}\n"
        "The first is for the app, the second for the workers: put it before the older ones.\n"
    )
    return 0


def _rotate() -> int:
    options = settings()
    logs.configure("error")
    with process_doors(options) as opened:
        done = rotate(opened.worker(), options)
    sys.stdout.write(f"{done.resealed} keys were sealed anew.\n")
    for sentence in done.failed:
        sys.stdout.write(f"{sentence}\n")
    sys.stdout.write("Older vault keys may go.\n" if not done.failed else "Keep the older vault keys.\n")
    return 1 if done.failed else 0


if __name__ == "__main__":
    sys.exit(main())
