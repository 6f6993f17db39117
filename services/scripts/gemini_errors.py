"""What Gemini's refusals and failures mean: which error, and what an operator can do.

The vendor's own wording is never shown: it may quote what was sent.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from services.connections import gemini as told
from services.connections.calls import wait
from services.connections.causes import Cause
from services.connections.transport import PlaceForbidden
from services.errors import (
    AnswerLost,
    AppError,
    InvalidInput,
    Meaning,
    Overloaded,
    PermissionMissing,
    ProviderFailed,
    ProviderUnavailable,
    VendorBusy,
)

WRONG_KEY = Meaning(
    ProviderUnavailable, "Gemini does not accept the key any more. An admin can type a new one in the settings."
)
LIMITED_KEY = Meaning(PermissionMissing, told.SENTENCES[Cause.LIMITED_KEY])
NO_PLAN = Meaning(ProviderUnavailable, told.SENTENCES[Cause.NO_PLAN])
NO_CREDITS = Meaning(
    ProviderUnavailable,
    "The Gemini account has no prepaid credits left. Nothing was bought. Add credits in Google AI Studio.",
)
DAY_LIMIT = Meaning(
    ProviderUnavailable,
    "Gemini's limit of requests a day is used up for this key. Nothing was bought. "
    "Try again tomorrow, or raise the limit in Google AI Studio.",
)
MODEL_GONE = Meaning(
    InvalidInput, "Gemini does not offer this model to this key any more. Nothing was bought. Choose another.", "model"
)
TOO_LONG = Meaning(
    InvalidInput, "This is more than the Gemini model takes at once. Nothing was bought. Shorten it.", "prompt"
)
BAD_REQUEST = Meaning(
    InvalidInput, "Gemini cannot use this order as it stands. Nothing was bought. Change the text or the model."
)
NO_SUCH_ADDRESS = Meaning(
    ProviderUnavailable,
    "What answers at Gemini's address is not the Gemini API. Check GEMINI_URL and any proxy between.",
)
PRIVATE = Meaning(
    ProviderUnavailable,
    "Gemini's address leads to a private network, where Clipdesk does not call. "
    "Whoever runs this server can allow it with ALLOW_PRIVATE_ADDRESSES.",
)
CROWDED = Meaning(Overloaded, "Gemini got too many requests with this key. Nothing was bought; it is tried again.")
OVERLOADED = Meaning(Overloaded, "Gemini is overloaded right now. Nothing was bought; it is tried again.")

CAUSES: Mapping[Cause, Meaning] = {
    Cause.WRONG_KEY: WRONG_KEY,
    Cause.LIMITED_KEY: LIMITED_KEY,
    Cause.NO_PLAN: NO_PLAN,
    Cause.DAY_LIMIT: DAY_LIMIT,
}
# Of refusals in the vendor's own words that name no cause above. Its billing FAQ says that one that fails with 400
# or 500 is not charged (September 2026); 429 and 503 (“the model is overloaded”) are turned away at the door. What 408,
# 499 and 504 gave up on may have been done in part.
STATUSES: Mapping[int, Meaning] = {
    400: BAD_REQUEST,
    401: WRONG_KEY,
    402: NO_CREDITS,
    403: LIMITED_KEY,
    404: MODEL_GONE,
    413: TOO_LONG,
    429: CROWDED,
    500: OVERLOADED,
    503: OVERLOADED,
}
GAVE_UP = (408, 499)

BAD_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def paid_error(error: Exception) -> AppError:
    """What a failed paid call means: `AnswerLost` unless it is certain that nothing was bought.

    `Overloaded` where the vendor says that it did nothing and may be asked again.
    """
    return _certain(error) or AnswerLost(
        f"Gemini's answer was lost on its way ({_cause(error)}); it may have been billed, so it is not asked again."
    )


def free_error(error: Exception) -> AppError:
    """What a failed free call means: `VendorBusy` where trying again can help, else as the vendor says."""
    known = _certain(error)
    if known is not None:
        return known
    if isinstance(error, httpx.TransportError) or _status(error) >= 400:
        return VendorBusy(f"Gemini does not answer right now ({_cause(error)}). Try again in a few minutes.")
    return NO_SUCH_ADDRESS.error()


def asked_pause(error: Exception) -> float | None:
    """The seconds that the vendor asks to wait before the next call, if it does."""
    own = _own(error)
    return told.asked_pause(list(told.details(own))) if own else None


def too_late(refusal: AppError, seconds: float) -> AppError:
    """The same refusal, where waiting so long is more than the call has."""
    return type(refusal)(f"{refusal} Gemini asks to wait {wait(seconds)}, longer than this call may take.")


def _certain(error: Exception) -> AppError | None:
    """What it means where nothing can have been bought; None where that is not certain."""
    if isinstance(error, BAD_ADDRESS):
        return NO_SUCH_ADDRESS.error()
    if isinstance(error, PlaceForbidden):
        return PRIVATE.error()
    if isinstance(error, NOT_SENT):
        return VendorBusy(
            f"Gemini cannot be reached from this server ({_cause(error)}). Nothing was bought; it is tried again."
        )
    status = _status(error)
    own = _own(error)
    if own is not None:
        return _refusal(status, own)
    # Somebody between refused: a redirect, a proxy's page.
    return NO_SUCH_ADDRESS.error() if 300 <= status < 500 and status not in GAVE_UP else None


def _refusal(status: int, own: dict[str, Any]) -> AppError | None:
    if status in GAVE_UP:
        return None
    trouble = told.refusals(status, {"error": own})
    meaning = (CAUSES.get(trouble.cause) if trouble else None) or STATUSES.get(status)
    if meaning is BAD_REQUEST and "token count" in str(own.get("message")).lower():
        return TOO_LONG.error()
    if meaning is None and 300 <= status < 500:
        return ProviderFailed(f"Gemini refused the order (status {status}). Nothing was bought.")
    return meaning.error() if meaning else None


def _own(error: Exception) -> dict[str, Any] | None:
    """The vendor's own error object; None where a proxy or nobody answered."""
    body: Any = getattr(error, "details", None)
    own = body.get("error") if isinstance(body, dict) else None
    return own if isinstance(own, dict) and isinstance(own.get("status"), str) else None


def _status(error: Exception) -> int:
    """The HTTP status of the SDK's errors, 0 for all others."""
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else 0


def _cause(error: Exception) -> str:
    return f"status {_status(error)}" if _status(error) else type(error).__name__
