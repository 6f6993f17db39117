"""ElevenLabs' models, voices and account in Clipdesk's shapes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from services.speech.provider import Model, Voice

if TYPE_CHECKING:
    from elevenlabs import Model as VendorModel
    from elevenlabs import Subscription
    from elevenlabs import Voice as VendorVoice

DEFAULT_MODEL = "eleven_multilingual_v2"
DEAREST = Decimal(3)  # the dearest multiplier the vendor documents for voices of its library: 1, 2 or 3

# Characters of one request where the vendor's list does not say, in November 2026.
LONGEST: Mapping[str, int] = {
    "eleven_multilingual_v2": 10_000,
    "eleven_flash_v2_5": 40_000,
    "eleven_turbo_v2_5": 40_000,
    "eleven_flash_v2": 30_000,
    "eleven_turbo_v2": 30_000,
    "eleven_v3": 5_000,
    "eleven_v4": 10_000,
    "eleven_v4_turbo": 10_000,
}
LONGEST_OTHERWISE = 5_000  # the shortest of them

# eleven_v3 answers 400 to text before and after; newer models are not known to take it.
TAKES_CONTEXT = re.compile(r"eleven_(multilingual_v2|(flash|turbo)_v2(_5)?)")

VOICE_ID = re.compile(r"[A-Za-z0-9]+")  # it becomes part of an address, unescaped
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the vendor says about the account; credits of the present period."""

    tier: str
    used: int
    limit: int
    resets_at: datetime | None


def takes_context(model: str) -> bool:
    return TAKES_CONTEXT.fullmatch(model) is not None


def model_of(vendor: "VendorModel") -> Model:
    return Model(
        id=vendor.model_id,
        name=vendor.name or vendor.model_id,
        max_characters=vendor.maximum_text_length_per_request or LONGEST.get(vendor.model_id, LONGEST_OTHERWISE),
        multiplier=_cost(vendor),
        dearest=DEAREST,
        takes_context=takes_context(vendor.model_id),
        languages=tuple(language.language_id for language in vendor.languages or ()),
    )


def voice_of(vendor: "VendorVoice") -> Voice:
    return Voice(
        id=vendor.voice_id,
        name=vendor.name or vendor.voice_id,
        language=_language(vendor),
        description=_description(vendor),
        preview_url=vendor.preview_url or None,
        multiplier=_rate(vendor),
    )


def account_of(vendor: "Subscription") -> Account:
    reset = vendor.next_character_count_reset_unix
    return Account(
        tier=vendor.tier,
        used=vendor.character_count,
        limit=vendor.character_limit,
        resets_at=datetime.fromtimestamp(reset, UTC) if reset else None,
    )


def _cost(vendor: "VendorModel") -> Decimal:
    """Units a character; 1 where the vendor does not say or says something that no price is."""
    rates = vendor.model_rates
    return (_factor(rates.character_cost_multiplier) * _factor(rates.cost_discount_multiplier)) if rates else Decimal(1)


def _factor(value: float | None) -> Decimal:
    return Decimal(str(value)) if value is not None and 0 < value < 1000 else Decimal(1)


def _rate(vendor: "VendorVoice") -> Decimal | None:
    sharing = vendor.sharing
    if sharing is None:
        return Decimal(1)
    if sharing.rate is None or not 0 < sharing.rate < 1000:
        return Decimal(1) if sharing.status == "disabled" else None
    return Decimal(str(sharing.rate))


def _language(vendor: "VendorVoice") -> str:
    """The tag of its label, with the country where the vendor has verified one."""
    label = (vendor.labels or {}).get("language", "").lower()
    locales = [verified.locale or verified.language for verified in vendor.verified_languages or ()]
    tags = [locale for locale in locales if locale.startswith(label)] + [label]
    return next((tag for tag in tags if LANGUAGE.fullmatch(tag)), "")


def _description(vendor: "VendorVoice") -> str:
    labels = (value for name, value in (vendor.labels or {}).items() if name != "language")
    words = ", ".join(str(label).replace("_", " ") for label in labels if label)
    return ". ".join(part for part in (words.capitalize(), (vendor.description or "").strip()) if part)
