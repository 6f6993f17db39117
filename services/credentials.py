"""Credentials of outside services: what a person may see and save of them, and what the worker calls with."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from pydantic import SecretStr, TypeAdapter

from services import connections, vault
from services.config import Settings
from services.connections import Found, Provider
from services.database.door import Database, Row
from services.errors import AppError, InvalidInput
from services.jobs import queue
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.vault import Content, Place

log = logging.getLogger(__name__)

Uses = Literal["own", "company", "none"]
SHOWN = 4  # characters at a key's end
SHORTEST_SHOWN = 12  # characters of a key of which so many may be shown


class Credential(Row):
    """A saved credential without its key. `profile_id` None: the company's; `shown_address` is a host."""

    table: ClassVar[str] = "profile_credentials"

    id: UUID
    account_id: UUID
    profile_id: UUID | None
    provider: Provider
    last4: str
    shown_address: str | None
    enabled: bool
    shared: bool  # the company's: stores that chose nothing may use it
    version: int
    tested_at: datetime | None
    test_ok: bool | None  # as the last test found that could tell
    test_message: str | None
    passing_tests: int  # tests in a row, up to the last, that could not tell
    facts: dict[str, Any]
    practice: bool = False  # the demo company's: nothing leaves this machine
    from_environment: bool = False  # the installation's own pair
    updated_at: datetime


class Choice(Row):
    """Whose account an admin has chosen for a store."""

    table: ClassVar[str] = "profile_account_choices"

    profile_id: UUID
    provider: Provider
    uses: Uses
    version: int


# For pages --------------------------------------------------------------------------------------------------------


def of_company(database: Database, account_id: UUID) -> list[Credential]:
    """The company's own, not its stores'. Finance sees none."""
    return database.select(Credential, [("account_id", "eq", account_id), ("profile_id", "is", None)])


def of_store(database: Database, profile_id: UUID) -> list[Credential]:
    """The store's own."""
    return database.select(Credential, [("profile_id", "eq", profile_id)])


def choices(database: Database, profile_id: UUID) -> dict[Provider, Uses]:
    """Whose account the store uses: as chosen, else its own where it has one, else the company's where that is shared.

    Raises `NotFound`.
    """
    answer = database.call("store_accounts", p_profile_id=profile_id)
    return TypeAdapter(dict[Provider, Uses]).validate_python(answer)


def chosen(database: Database, profile_id: UUID) -> dict[Provider, Choice]:
    """What an admin has chosen; a provider without a choice is left out, and its version is 0."""
    return {row.provider: row for row in database.select(Choice, [("profile_id", "eq", profile_id)])}


def choose(database: Database, profile_id: UUID, provider: Provider, uses: Uses, version: int) -> int:
    """Say whose account the store uses; `version` is the one seen (0: none). Returns the new one.

    Raises `Conflict` when somebody chose meanwhile, `NotAllowed`, `NotFound`.
    """
    answer = database.call(
        "choose_account", p_profile_id=profile_id, p_provider=provider, p_uses=uses, p_version=version
    )
    return int(answer)


def save(
    database: Database,
    options: Settings,
    account_id: UUID,
    profile_id: UUID | None,
    provider: Provider,
    address: str | None,
    key: SecretStr | None,
    enabled: bool = True,
    shared: bool = False,
    version: int = 0,
    found: Found | None = None,
) -> UUID:
    """Save a credential; returns its id. `profile_id` None: the company's. `key` None keeps key and address.

    `version` is the one seen (0: none was there), `found` a test of exactly these values; without it the worker
    tests a new key. Address and key are expected as `services.connections` cleans them. Raises `InvalidInput`
    (fields `key`, `address`), `Conflict` when somebody saved meanwhile or this process seals with a key that is not
    in force, `SettingsInvalid` where it has none, `NotAllowed`, `NotFound`.
    """
    sealed = None
    if key is not None:
        place = Place(account_id=account_id, profile_id=profile_id, provider=provider)
        sealed = _sealed(database, options, place, Content(address=address, key=key))
    elif address is not None:
        raise InvalidInput("Type the key again: it is kept together with its address.", field="key")
    answer = database.call(
        "save_credential",
        p_id=uuid4(),
        p_account_id=account_id,
        p_profile_id=profile_id,
        p_provider=provider,
        p_version=version,
        p_enabled=enabled,
        p_shared=shared,
        p_sealed=sealed,
        p_found=found.model_dump(mode="json") if found else None,
    )
    log.info("%s saved the credential of %s", tag(profile_id), provider)
    queue.wake()
    return UUID(str(answer["id"]))


def remove(database: Database, credential_id: UUID, version: int) -> None:
    """Raises `Conflict` when somebody saved meanwhile, `NotAllowed`, `NotFound`."""
    database.call("remove_credential", p_credential_id=credential_id, p_version=version)


def retest(database: Database, credential_id: UUID) -> UUID:
    """Have the worker test what is saved; returns the job. Raises `NotAllowed`, `NotFound`."""
    job_id = UUID(str(database.call("retest_credential", p_credential_id=credential_id)))
    queue.wake()
    return job_id


def last4(key: SecretStr) -> str:
    """What may be shown of a key; of a short one nothing."""
    text = key.get_secret_value()
    return text[-SHOWN:] if len(text) >= SHORTEST_SHOWN else ""


def _sealed(database: Database, options: Settings, place: Place, content: Content) -> dict[str, Any]:
    vault.check_in_force(database, options)
    return _described(vault.seal(options, place, content), content)


def _described(ciphertext: str, content: Content) -> dict[str, Any]:
    return {"ciphertext": ciphertext, "last4": last4(content.key), "shown_address": host(content.address)}


def host(address: str | None) -> str | None:
    """What is shown of an address: its host, and its port where it has one."""
    return urlsplit(address).netloc.rpartition("@")[2] or None if address else None


# For the worker ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """What a call is made with. `credential_id` and `key_id` None: the environment's pair.

    `key_id` changes whenever another key or address is saved, `version` with every change; `place` is whose it is.
    `practice`: the demo company's account, which has neither key nor address.
    """

    place: Place
    credential_id: UUID | None
    version: int
    key_id: UUID | None
    address: str | None
    key: SecretStr = field(repr=False)
    practice: bool = False


def for_call(
    database: Database, options: Settings, account_id: UUID, profile_id: UUID | None, provider: Provider
) -> Opened | None:
    """What the next call of this store (None: of the company itself) is made with; None: nothing is connected.

    Read it right before each call. Raises `ProviderUnavailable` or `SettingsInvalid` where it cannot be opened.
    """
    answer = database.call("credential_for", p_account_id=account_id, p_profile_id=profile_id, p_provider=provider)
    place = Place(account_id=account_id, profile_id=None, provider=provider)
    return _open(options, answer, place)


def is_current(database: Database, opened: Opened, profile_id: UUID | None) -> bool:
    """Whether the next call of this store would still be made with the same key."""
    place = opened.place
    answer = database.call(
        "credential_for", p_account_id=place.account_id, p_profile_id=profile_id, p_provider=place.provider
    )
    key_id = answer.get("key_id") if answer else None
    return answer is not None and key_id == (str(opened.key_id) if opened.key_id else None)


def of_purchase(database: Database, options: Settings, purchase_id: UUID, account_id: UUID) -> Opened | None:
    """What that purchase's call was made with; None: it is gone. Raises as `for_call` does."""
    answer = database.call("key_of_purchase", p_purchase_id=purchase_id)
    place = Place(account_id=account_id, profile_id=None, provider="elevenlabs")
    return _open(options, answer, place)


def _open(options: Settings, answer: dict[str, Any] | None, place: Place) -> Opened | None:
    """`place` is where an environment's pair belongs."""
    if answer is None:
        return None
    if answer.get("environment"):
        return _environment(options, place)
    place = Place.model_validate(answer)
    saved = UUID(str(answer["id"])) if "id" in answer else None
    if answer.get("practice"):
        return Opened(place, saved, int(answer["version"]), None, None, SecretStr(""), practice=True)
    content = vault.unseal(options, place, answer["ciphertext"])
    address = content.address or _own_address(options, place)
    return Opened(place, saved, int(answer.get("version", 0)), UUID(str(answer["key_id"])), address, content.key)


def _own_address(options: Settings, place: Place) -> str | None:
    """Where the installation reaches a vendor that is always at one address: as the test of the key did."""
    return {"elevenlabs": options.elevenlabs_url, "gemini": options.gemini_url}.get(place.provider)


def _environment(options: Settings, place: Place) -> Opened | None:
    if place.provider != "elevenlabs" or not options.elevenlabs_api_key:
        return None
    return Opened(place, None, 0, None, options.elevenlabs_url, SecretStr(options.elevenlabs_api_key))


def saved(database: Database, options: Settings, credential_id: UUID) -> Opened | None:
    """A saved credential, whether stores use it or not; None: it is gone. Raises as `for_call` does."""
    answer = database.call("sealed_credential", p_credential_id=credential_id)
    return _open(options, answer, Place.model_validate(answer)) if answer else None


def adopt(database: Database, options: Settings) -> None:
    """Keep the environment's Postiz pair as the credential of the one company besides the demo, as long as it is set.

    Channels are pinned to a saved credential, so this one is saved as well. One that an admin typed wins. For the start
    of a worker and once a day; whatever hinders it is said in the log.
    """
    try:
        _adopt(database, options)
    except AppError as exc:
        log.warning("The Postiz pair of the environment was not taken: %s", exc)


def _adopt(database: Database, options: Settings) -> None:
    if not options.postiz_api_url or not options.postiz_api_key:
        if database.call("withdraw_environment"):
            log.warning("POSTIZ_API_URL and POSTIZ_API_KEY are set no more; their account is not used any longer.")
        return
    there = database.call("adoption")
    if there is None or there["typed"]:
        return
    address = connections.clean_address("postiz", options.postiz_api_url, options)
    content = Content(address=address, key=connections.clean_key("postiz", options.postiz_api_key.get_secret_value()))
    if there["sealed"] is not None and _holds(options, there["sealed"], content):
        return
    place = Place(account_id=there["account_id"], profile_id=None, provider="postiz")
    sealed = _described(vault.seal_in_worker(options, place, content), content)
    if database.call("adopt_environment", p_account_id=place.account_id, p_key_id=there["key_id"], p_sealed=sealed):
        log.info("%s took the Postiz pair of the environment for company %s", tag(None), place.account_id)
        queue.wake()


def _holds(options: Settings, sealed: dict[str, Any], content: Content) -> bool:
    """Whether that is what was sealed; what cannot be opened is sealed anew."""
    try:
        return vault.unseal(options, Place.model_validate(sealed), sealed["ciphertext"]) == content
    except AppError:
        return False


def test_one(context: Context) -> Outcome:
    """Test the credential that the job names, as it is saved now. A passing trouble tells nothing of it."""
    found = _test(context, UUID(context.job.input["credential_id"]))
    return {"ok": _told(found) if found else None}


def test_all(context: Context) -> Outcome:
    """Test every enabled credential, and forget replaced keys that no lost call needs any more."""
    context.database.call("forget_keys")
    adopt(context.database, context.options)
    ends = {True: 0, False: 0, None: 0}
    for row in context.database.call("enabled_credentials"):
        context.check()
        found = _test(context, UUID(str(row["id"])))
        if found:
            ends[_told(found)] += 1
    return {"working": ends[True], "failing": ends[False], "unknown": ends[None]}


def _told(found: Found) -> bool | None:
    """Whether the credential works; None where the test could not tell."""
    return None if found.passing else found.ok


def _test(context: Context, credential_id: UUID) -> Found | None:
    """None where it was removed meanwhile."""
    sealed = context.database.call("sealed_credential", p_credential_id=credential_id)
    if sealed is None:
        return None
    found = _found(context.options, sealed)
    context.database.call(
        "save_test_result",
        p_credential_id=credential_id,
        p_key_id=sealed["key_id"],
        p_ok=_told(found),
        p_message=found.message,
        p_facts=found.facts,
    )
    return found


def _found(options: Settings, sealed: dict[str, Any]) -> Found:
    """What cannot be opened or tried at all counts as a failed test."""
    if sealed.get("practice"):
        return Found(ok=True, message="Practice: nobody is billed, nothing leaves this machine.")
    try:
        content = vault.unseal(options, Place.model_validate(sealed), sealed["ciphertext"])
        return connections.test(sealed["provider"], content.address, content.key, options)
    except AppError as exc:
        return Found(ok=False, message=str(exc))
