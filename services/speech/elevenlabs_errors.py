"""What ElevenLabs' refusals and failures mean: which error, and what an operator can do.

The vendor's own wording is never shown: it may quote what was sent.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from services.errors import (
    AnswerLost,
    AppError,
    Crowded,
    InvalidInput,
    Meaning,
    Overloaded,
    PermissionMissing,
    ProviderFailed,
    ProviderUnavailable,
    VendorBusy,
)

WRONG_KEY = Meaning(
    ProviderUnavailable, "ElevenLabs does not accept the key. Set ELEVENLABS_API_KEY to a key that is in force."
)
LIMITED_KEY = Meaning(
    PermissionMissing,
    "The ElevenLabs key lacks a permission for this. In ElevenLabs, under API keys, allow it Text to Speech, "
    "Voices (read), Models, User (read) and History (read).",
)
NO_CREDITS = Meaning(
    ProviderUnavailable,
    "The ElevenLabs account has too few credits left for this. Nothing was bought. "
    "Buy credits there, wait for the new month, or use a free voice.",
)
UNUSUAL = Meaning(
    ProviderUnavailable,
    "ElevenLabs has blocked this account's free plan: it suspects a VPN or a shared address. "
    "Use a paid plan or ask ElevenLabs' support.",
)
PAID_PLAN = Meaning(
    ProviderUnavailable,
    "ElevenLabs wants a paid plan for this voice or model. Choose another voice or upgrade the plan.",
)
VOICE_GONE = Meaning(InvalidInput, "This voice is no longer in the ElevenLabs account. Choose another one.", "voice")
MODEL_GONE = Meaning(
    InvalidInput, "ElevenLabs no longer offers this model, or not for this. Choose another one.", "model"
)
TOO_LONG = Meaning(InvalidInput, "The text is longer than this ElevenLabs model takes. Shorten it.", "text")
BAD_REQUEST = Meaning(
    InvalidInput, "ElevenLabs cannot use this order as it stands. Change the text, the voice or its settings."
)
CROWDED = Meaning(
    Crowded,
    "The ElevenLabs account has as many calls under way as its plan allows. Nothing was bought; it is tried again.",
)
OVERLOADED = Meaning(Overloaded, "ElevenLabs is overloaded right now. Nothing was bought; it is tried again.")
NO_SUCH_ADDRESS = Meaning(
    ProviderUnavailable, "ELEVENLABS_URL does not lead to the ElevenLabs API. Correct it, or unset it."
)

# The one table. A code (`detail.code`, before 2026 `detail.status`) says more than the status: it comes first.
MEANINGS: Mapping[str | int, Meaning] = {
    "invalid_api_key": WRONG_KEY,
    "missing_permissions": LIMITED_KEY,
    "quota_exceeded": NO_CREDITS,  # 401 or 402
    "detected_unusual_activity": UNUSUAL,  # 401
    "payment_required": PAID_PLAN,
    "paid_plan_required": PAID_PLAN,
    "voice_not_found": VOICE_GONE,  # 400 or 404
    "model_not_found": MODEL_GONE,
    "unsupported_model": MODEL_GONE,
    "max_character_limit_exceeded": TOO_LONG,
    "text_too_long": TOO_LONG,
    "too_many_concurrent_requests": CROWDED,
    "concurrent_limit_exceeded": CROWDED,
    "system_busy": OVERLOADED,
    "rate_limit_exceeded": OVERLOADED,
    301: NO_SUCH_ADDRESS,
    302: NO_SUCH_ADDRESS,
    307: NO_SUCH_ADDRESS,
    308: NO_SUCH_ADDRESS,
    400: BAD_REQUEST,
    401: WRONG_KEY,
    402: PAID_PLAN,
    403: LIMITED_KEY,
    404: NO_SUCH_ADDRESS,
    405: NO_SUCH_ADDRESS,
    413: TOO_LONG,
    422: BAD_REQUEST,
    429: OVERLOADED,
}

BAD_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def paid_error(error: Exception) -> AppError:
    """What a failed paid call means: `AnswerLost` unless it is certain that nothing was bought."""
    if isinstance(error, BAD_ADDRESS):
        return NO_SUCH_ADDRESS.error()
    if isinstance(error, NOT_SENT):
        return VendorBusy(
            f"ElevenLabs cannot be reached from this server ({_cause(error)}). Nothing was bought; it is tried again."
        )
    if _refused(error):
        return _meaning(error).error()
    return AnswerLost(f"ElevenLabs' answer was lost on its way ({_cause(error)}); it may have been billed.")


def free_error(error: Exception) -> AppError:
    """What a failed free call means: `VendorBusy` where trying again can help, else `ProviderUnavailable`."""
    if isinstance(error, BAD_ADDRESS):
        return NO_SUCH_ADDRESS.error()
    if _refused(error):
        return _unavailable(_meaning(error).error())
    if isinstance(error, httpx.TransportError) or _status(error) >= 400:
        return VendorBusy(f"ElevenLabs does not answer right now ({_cause(error)}). Try again in a few minutes.")
    return ProviderUnavailable(
        "ElevenLabs answered in a way that Clipdesk does not understand. Check ELEVENLABS_URL and any proxy between."
    )


def _unavailable(error: AppError) -> AppError:
    return error if isinstance(error, ProviderUnavailable | VendorBusy) else ProviderUnavailable(str(error))


def _refused(error: Exception) -> bool:
    """Whether the vendor said no. 408 is not that: it gave up waiting, after an unknown part of the work."""
    status = _status(error)
    return 300 <= status < 500 and status != 408


def _meaning(error: Exception) -> Meaning:
    status = _status(error)
    names: list[str | int] = [*_codes(error), status]
    for name in names:
        if name in MEANINGS:
            return MEANINGS[name]
    return Meaning(ProviderFailed, f"ElevenLabs refused the order (status {status}). Nothing was bought.")


def _codes(error: Exception) -> Iterator[str]:
    body: Any = getattr(error, "body", None)
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, dict):
        yield from (str(detail[name]) for name in ("code", "status") if name in detail)


def _status(error: Exception) -> int:
    """The HTTP status of the SDK's errors, 0 for all others."""
    return getattr(error, "status_code", None) or 0


def _cause(error: Exception) -> str:
    return f"status {_status(error)}" if _status(error) else type(error).__name__
