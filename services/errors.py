"""Errors an operator can act on. Their text is shown as it stands; pages catch `AppError` and nothing wider.

AppError
├── InvalidInput            what was typed cannot be used; `field` names where
├── SignedOut               no live session
├── NotAllowed              the role does not cover it
├── NotFound                absent, archived or somebody else's: all alike
├── Conflict                said before with other values, or changed meanwhile
│   └── AttemptLost         a newer attempt of the same job has begun
├── QuotaExceeded           the month's money does not cover it; `refusal` holds the arithmetic
├── PriceMissing            no price in the price book, so nothing may be bought
├── ModelPaused             its vendor billed more than it announced; an admin must look
├── PurchaseUnclear         nobody can tell whether an earlier call was billed; a person decides
├── StoreSuspended          an admin has stopped the store
├── TooManyTries            wait `seconds`
├── ProviderFailed          the voice gave no usable answer
│   └── AnswerLost          its vendor may have billed the call all the same
├── ProviderUnavailable     the voice cannot run here
│   ├── PermissionMissing   its key is right but limited
│   └── PublishingMisconfigured  what answers at the publishing service's address is not it, or its key is wrong
├── PublishingRefused       the publishing service did not take it, for a reason that trying again does not mend
├── PublishingUnclear       nobody can tell whether the publishing service took it; only its list can
├── StorageFull             no room for the file
├── SettingsInvalid         a setting stops the start
├── SchemaMismatch          database and program are of different versions
├── EmbeddedUnavailable     the embedded database cannot run here
└── Unavailable             the database does not answer; trying again is safe
    ├── Busy                somebody held the rows for too long
    ├── TimedOut            the statement took too long
    ├── PublishingUnreachable  the publishing service cannot be reached; nothing was sent to it
    ├── PublishingLimited   the publishing service takes no more for `seconds`; nothing was taken
    └── VendorBusy          the voice's vendor cannot be reached or is busy; nothing was bought
        ├── KeyChanged      its account was changed just before the call
        ├── Crowded         the account has as many calls under way as its plan allows
        └── Overloaded      the vendor asks everybody to slow down
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict


class AppError(Exception):
    """Base class. Without a message the class's own sentence is used."""

    sentence = "Something went wrong. The details are in the server's log."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.sentence)


class InvalidInput(AppError):
    """`field` is the name of the input the message belongs beside, or None."""

    sentence = "That input cannot be used."

    def __init__(self, message: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Meaning:
    """What a vendor's refusal or failure is here, with a sentence that quotes nothing of the vendor's."""

    kind: type[AppError]
    sentence: str
    field: str | None = None  # the input that `InvalidInput` belongs to

    def error(self) -> AppError:
        return InvalidInput(self.sentence, self.field) if self.kind is InvalidInput else self.kind(self.sentence)


class SignedOut(AppError):
    sentence = "Your session has ended. Sign in again; what you typed is still here."


class NotAllowed(AppError):
    sentence = "Your role does not allow this. An admin of your company can do it or change your role."


class NotFound(AppError):
    sentence = "Not found. It may have been archived or belong to another store."


class Conflict(AppError):
    sentence = "This was changed or sent before. Reload the page to see its present state."


class AttemptLost(Conflict):
    sentence = "Another worker has taken over this job."


class Refusal(BaseModel):
    """Why a hold was refused; all amounts in US dollars of this calendar month, UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    error: str = "quota_exceeded"
    message: str
    scope: str  # "store" or "company": whose limit it was
    current_costs: Decimal
    held: Decimal
    estimate: Decimal
    monthly_quota: Decimal
    shortfall: Decimal
    at: datetime | None = None  # when, where the refusal is kept; None: just now


class QuotaExceeded(AppError):
    """The month's money does not cover the request; nothing was bought."""

    sentence = "This month's quota does not cover it. Nothing was bought."

    def __init__(self, message: str | None = None, refusal: Refusal | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class PriceMissing(AppError):
    sentence = "It has no price in the price book, so it cannot be used. An admin can add one."


class ModelPaused(AppError):
    sentence = "This voice model is paused: it billed more than announced. An admin can confirm the price."


class PurchaseUnclear(AppError):
    sentence = "It is unclear whether an earlier call was billed. Decide that on the Jobs page first."


class StoreSuspended(AppError):
    sentence = "This store is suspended. An admin can lift the suspension."


class TooManyTries(AppError):
    sentence = "Too many tries. Wait a few minutes, then try again."

    def __init__(self, message: str | None = None, seconds: int = 0) -> None:
        super().__init__(message)
        self.seconds = seconds


class ProviderFailed(AppError):
    sentence = "The voice gave no usable audio."


class AnswerLost(ProviderFailed):
    sentence = "The voice's answer was lost on its way; it may have been billed."


class ProviderUnavailable(AppError):
    sentence = "This voice cannot be used on this machine."


class PermissionMissing(ProviderUnavailable):
    sentence = "The voice service's key is right but limited. Allow it what is missing."


class PublishingMisconfigured(ProviderUnavailable):
    """Nothing is taken until somebody mends the connection; nothing was taken."""

    sentence = "Postiz cannot be used as it is connected. An admin can test the connection in the settings."


@dataclass(frozen=True)
class Allowance:
    """How many requests for posts the publishing service takes in its present window, which ends in `seconds`."""

    limit: int
    remaining: int
    seconds: float


class PublishingRefused(AppError):
    """Nothing was taken; `index` (an entry of the request, from 0) or `channel` (an id) is why, where that is said.

    `provider` and `channel_name` are the network and the channel as the refusal calls them. A refused request for posts
    counts too: `allowance` is what is left then.
    """

    sentence = "Postiz refused it."

    def __init__(
        self,
        message: str | None = None,
        *,
        provider: str | None = None,
        channel_name: str | None = None,
        channel: str | None = None,
        index: int | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.channel_name = channel_name
        self.channel = channel
        self.index = index
        self.allowance = allowance


class PublishingUnclear(AppError):
    """It may have been taken: never send it again before the service's list was read."""

    sentence = "Postiz gave no clear answer. Its list of posts shows whether it took this; it is not sent again before."

    def __init__(self, message: str | None = None, *, allowance: Allowance | None = None) -> None:
        super().__init__(message)
        self.allowance = allowance


class StorageFull(AppError):
    sentence = "The disk that holds the media is full. Free some space, then retry the job."


class SettingsInvalid(AppError):
    sentence = "A setting is wrong."


class SchemaMismatch(AppError):
    sentence = (
        "The database and this program are of different versions. "
        "Run `python -m services.database.migrate`, then start again."
    )


class EmbeddedUnavailable(AppError):
    sentence = "The embedded database cannot run here. Set DATABASE_URL to use a Postgres server instead."


class Unavailable(AppError):
    sentence = "The database does not answer right now. Nothing was lost; try again in a moment."


class Busy(Unavailable):
    sentence = "Somebody else is changing the same thing right now. Try again in a moment."


class TimedOut(Unavailable):
    sentence = "This took longer than allowed and was stopped. Try again, or choose a shorter range."


class PublishingUnreachable(Unavailable):
    """Nothing was taken."""

    sentence = "Postiz cannot be reached right now. Nothing was sent; it is tried again."


class PublishingLimited(Unavailable):
    """Nothing was taken; no request may follow within `seconds`, because each one prolongs the block."""

    sentence = "Postiz got too many requests. It is tried again when Postiz takes some again."

    def __init__(self, message: str | None = None, *, seconds: float = 3600.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class VendorBusy(Unavailable):
    sentence = "The voice service is busy or cannot be reached right now. Nothing was bought; it is tried again."


class Crowded(VendorBusy):
    sentence = (
        "The voice service has as many calls under way as its plan allows. It is tried again; nothing was bought."
    )


class KeyChanged(VendorBusy):
    sentence = "The account of this voice service was changed meanwhile. Nothing was bought; it is tried again."


class Overloaded(VendorBusy):
    sentence = "The voice service asks everybody to slow down. Nothing was bought; it is tried again."


# The one table from SQLSTATE to class. PT4xx are raised by our own functions (over REST: HTTP 4xx), PGRSTxxx by the
# cloud's REST layer.
BY_SQLSTATE: Mapping[str, type[AppError]] = {
    "PT400": InvalidInput,
    "PT401": SignedOut,
    "PT402": QuotaExceeded,
    "PT403": NotAllowed,
    "PT404": NotFound,
    "PT409": Conflict,
    "PT412": AttemptLost,
    "PT422": PriceMissing,
    "PT423": StoreSuspended,
    "PT424": ModelPaused,
    "PT428": PurchaseUnclear,
    "PT429": TooManyTries,
    "PT503": Unavailable,
    "22001": InvalidInput,  # string too long
    "22003": InvalidInput,  # number out of range
    "22007": InvalidInput,  # malformed date
    "22021": InvalidInput,  # a character the database cannot store
    "22P02": InvalidInput,  # malformed uuid or number
    "22P05": InvalidInput,  # NUL inside JSON text
    "23502": InvalidInput,  # null where a value is needed
    "23503": NotFound,  # foreign key
    "23505": Conflict,  # unique
    "23514": InvalidInput,  # check constraint
    "25006": NotAllowed,  # write inside a read-only call
    "40001": Busy,  # serialization failure
    "40P01": Busy,  # deadlock
    "3F000": SchemaMismatch,  # no such schema
    "42501": NotAllowed,  # row security or a missing grant
    "42703": SchemaMismatch,  # no such column
    "42883": SchemaMismatch,  # no such function
    "42P01": SchemaMismatch,  # no such table
    "53100": StorageFull,
    "53300": Unavailable,  # too many connections
    "55P03": Busy,  # lock time-out
    "57014": TimedOut,  # statement time-out
    "57P01": Unavailable,  # server is shutting down
    "57P02": Unavailable,  # server crashed
    "57P03": Unavailable,  # server is starting
    "PGRST000": Unavailable,  # the REST layer has no connection to the database
    "PGRST001": Unavailable,
    "PGRST002": Unavailable,  # it is reading the schema
    "PGRST003": Unavailable,  # all its connections are in use
    "PGRST106": SchemaMismatch,  # schema not offered
    "PGRST202": SchemaMismatch,  # no such function
    "PGRST203": SchemaMismatch,  # several such functions
    "PGRST204": SchemaMismatch,  # no such column
    "PGRST205": SchemaMismatch,  # no such table
    "PGRST301": SignedOut,  # a token that is none
    "PGRST303": SignedOut,  # a token that has run out
}


def from_sqlstate(sqlstate: str | None, message: str, detail: str | None) -> AppError:
    """The error of a failed statement; unknown states become `AppError`, connection losses `Unavailable`.

    Only messages of our own functions (PT…) are shown; the server's own wording stays in the log.
    """
    if sqlstate is None or sqlstate.startswith("08"):
        return Unavailable()
    kind = BY_SQLSTATE.get(sqlstate, AppError)
    own = message if sqlstate.startswith("PT") else None
    facts = _facts(detail) if own else {}
    if kind is QuotaExceeded:
        return QuotaExceeded(own, Refusal.model_validate(facts) if facts.get("error") else None)
    if kind is InvalidInput:
        return InvalidInput(own, facts.get("field"))
    if kind is TooManyTries:
        return TooManyTries(own, int(facts.get("seconds", 0)))
    return kind(own)


def _facts(detail: str | None) -> dict[str, Any]:
    try:
        facts = json.loads(detail or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
