"""Gemini: the models a key may use. Costs no tokens.

One plain GET through the same guarded call as the other vendors; the vendor's SDK would add a second family of network
errors and does not validate what it reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.config import Settings
from services.connections.calls import Caller, wait
from services.connections.causes import Cause, Trouble
from services.connections.found import Found
from services.connections.shapes import VendorShape, Word, counted

HEADER = "x-goog-api-key"
ADDRESS = "https://generativelanguage.googleapis.com"
GENERATES = "generateContent"

SENTENCES: Mapping[Cause, str] = {
    Cause.LIMITED_KEY: "The key is right but may not use the Gemini API from here. In Google's console, enable that "
    "API for its project and allow the key that API and this server.",
    Cause.NO_PLAN: "Gemini serves this account only with billing, or not in this server's country. "
    "Set up billing in Google AI Studio.",
}

REASONS: Mapping[str, Cause] = {
    "API_KEY_INVALID": Cause.WRONG_KEY,  # with status 400
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": Cause.LIMITED_KEY,  # 401: a new-style key whose service account lacks the API
}
STATES: Mapping[str, Cause] = {
    "FAILED_PRECONDITION": Cause.NO_PLAN,
    "PERMISSION_DENIED": Cause.LIMITED_KEY,
    "UNAUTHENTICATED": Cause.WRONG_KEY,
}


class Model(VendorShape):
    name: Word
    displayName: Word | None = None
    supportedGenerationMethods: tuple[str, ...] = ()


class Models(VendorShape):
    models: list[Model]


def own_address(options: Settings) -> str:
    return options.gemini_url or ADDRESS


def find(caller: Caller, address: str) -> Found:
    """Raises `Trouble`."""
    listed = Models.read(caller.get(f"{address}/v1/models", refusals, pageSize=1000)).models
    usable = [model for model in listed if GENERATES in model.supportedGenerationMethods]
    models = [
        {"id": model.name.removeprefix("models/"), "name": model.displayName or model.name.removeprefix("models/")}
        for model in usable
    ]
    return Found(ok=True, message=f"Connected: {counted(len(models), 'model')} can be used.", facts={"models": models})


def refusals(status: int, body: Any) -> Trouble | None:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    if status == 429:
        return _limit(list(details(error)))
    reasons = [str(detail.get("reason")) for detail in details(error)]
    causes = [*(REASONS.get(reason) for reason in reasons), STATES.get(str(error.get("status")))]
    return next((Trouble(cause, status=status) for cause in causes if cause), None)


def details(error: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the vendor tells besides the message, of its `error` object."""
    told = error.get("details")
    if isinstance(told, list):
        yield from (detail for detail in told if isinstance(detail, dict))


def is_day_limit(told: Sequence[dict[str, Any]]) -> bool:
    return any("PerDay" in str(detail.get("violations")) for detail in told)


def asked_pause(told: Sequence[dict[str, Any]]) -> float | None:
    """The seconds that the vendor asks to wait, such as 17s; None if it does not tell."""
    delays = [str(detail["retryDelay"]).removesuffix("s") for detail in told if "retryDelay" in detail]
    return next((float(delay) for delay in delays if delay.replace(".", "", 1).isdecimal()), None)


def _limit(told: list[dict[str, Any]]) -> Trouble | None:
    """A limit of a day, or the pause that the vendor asks for; None if it tells neither."""
    if is_day_limit(told):
        return Trouble(Cause.DAY_LIMIT)
    seconds = asked_pause(told)
    return Trouble(Cause.RATE_LIMIT, wait=wait(seconds)) if seconds else None
