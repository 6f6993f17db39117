"""ElevenLabs: its account, its models, and what the key may do. Costs nothing."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from services.config import Settings
from services.connections.calls import Caller
from services.connections.causes import Cause, Trouble
from services.connections.found import Found
from services.connections.shapes import VendorShape, Word, counted

HEADER = "xi-api-key"
ADDRESS = "https://api.elevenlabs.io"

SENTENCES: Mapping[Cause, str] = {
    Cause.LIMITED_KEY: "The key is right but may not make speech. In ElevenLabs, under API keys, allow it "
    "Text to Speech, Voices (read), Models, User (read) and History (read).",
    Cause.BLOCKED: "ElevenLabs has blocked this account's free plan: it suspects a VPN or a shared address. "
    "Use a paid plan or ask ElevenLabs' support.",
}

# A code (`detail.code`, before 2026 `detail.status`) says more than the status.
CODES: Mapping[str, Cause] = {
    "invalid_api_key": Cause.WRONG_KEY,
    "needs_authorization": Cause.WRONG_KEY,
    "missing_permissions": Cause.LIMITED_KEY,
    "detected_unusual_activity": Cause.BLOCKED,
    "payment_required": Cause.NO_PLAN,
    "paid_plan_required": Cause.NO_PLAN,
}

# Orders without a text and for no voice: the vendor can only refuse them, but says first if the key may not order.
EMPTY_ORDER = "/v1/text-to-speech/none"


class Subscription(VendorShape):
    tier: Word
    character_count: int
    character_limit: int
    next_character_count_reset_unix: Annotated[int, Field(ge=0, lt=253_402_300_800)] | None = None  # to the year 9999


class Model(VendorShape):
    model_id: Word
    name: Word | None = None
    can_do_text_to_speech: bool | None = None


class Models(VendorShape):
    models: list[Model]


def own_address(options: Settings) -> str:
    return options.elevenlabs_url or ADDRESS


def find(caller: Caller, address: str) -> Found:
    """Raises `Trouble`."""
    missing: list[str] = []

    def ask(permission: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except Trouble as trouble:
            if trouble.cause is not Cause.LIMITED_KEY:
                raise
        missing.append(permission)
        return None

    account = ask("User (read)", lambda: Subscription.read(caller.get(f"{address}/v1/user/subscription", refusals)))
    models = ask("Models", lambda: Models.read({"models": caller.get(f"{address}/v1/models", refusals)}))
    ask("Voices (read)", lambda: caller.get(f"{address}/v2/voices", refusals, page_size=1))
    ask("History (read)", lambda: caller.get(f"{address}/v1/history", refusals, page_size=1))
    ask("Text to Speech", lambda: _order_nothing(caller, address))
    return _found(account, models, missing)


def refusals(status: int, body: Any) -> Trouble | None:
    known = (CODES[code] for code in _codes(body) if code in CODES)
    return next((Trouble(cause, status=status) for cause in known), None)


def _codes(body: Any) -> Iterator[str]:
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, dict):
        yield from (str(detail[name]) for name in ("code", "status") if name in detail)


def _order_nothing(caller: Caller, address: str) -> None:
    try:
        caller.post(f"{address}{EMPTY_ORDER}", refusals, {})
    except Trouble as trouble:
        if trouble.values.get("status") not in (400, 404, 422) or trouble.cause in CODES.values():
            raise


def _found(account: Subscription | None, models: Models | None, missing: list[str]) -> Found:
    if "Text to Speech" in missing:
        raise Trouble(Cause.LIMITED_KEY)
    facts = {"missing": missing, **(_account_facts(account) if account else {})}
    if models:
        facts["models"] = [
            {"id": model.model_id, "name": model.name or model.model_id}
            for model in models.models
            if model.can_do_text_to_speech
        ]
    return Found(ok=True, message=_message(account, missing), facts=facts)


def _account_facts(account: Subscription) -> dict[str, Any]:
    reset = _reset(account)
    return {
        "tier": account.tier,
        "credits_used": account.character_count,
        "credits_limit": account.character_limit,
        "resets_at": reset.isoformat() if reset else None,
    }


def _message(account: Subscription | None, missing: list[str]) -> str:
    told = _credits(account) if account else "the account may not be read"
    if not missing:
        return f"Connected: {told}."
    count = counted(len(missing), "permission")
    return f"Connected, limited: {told}. The key lacks {count}, which it gets in ElevenLabs: {', '.join(missing)}."


def _credits(account: Subscription) -> str:
    used = f"{account.character_count:,} of {account.character_limit:,} credits used"
    reset = _reset(account)
    ending = f", resets {reset.day} {reset:%b %Y}" if reset else ""
    return f"{account.tier.capitalize()} plan, {used}{ending}"


def _reset(account: Subscription) -> datetime | None:
    seconds = account.next_character_count_reset_unix
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
