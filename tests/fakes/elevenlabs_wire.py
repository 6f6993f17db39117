"""What ElevenLabs has and keeps (voices, models, accounts, history), and how its wire shows each."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

PERMISSIONS = frozenset({"text_to_speech", "user_read", "voices_read", "models_read", "speech_history_read"})
CONCURRENCY = {"free": 2, "starter": 3, "creator": 5, "pro": 10, "scale": 15, "business": 15}


class Charge(NamedTuple):
    """What the vendor billed, in credits."""

    key: str
    request_id: str
    voice: str
    model: str
    text: str
    credits: Decimal
    at: datetime


@dataclass
class Voice:
    """A voice. `multiplier` is what is billed, `rate` what is announced of it; only `shared` voices announce any."""

    id: str
    name: str
    multiplier: Decimal = Decimal(1)
    rate: float | None = None
    shared: bool = True
    paid_only: bool = False
    category: str = "professional"
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en-US",)


@dataclass
class Model:
    """A model. `max_characters` counts Unicode code points of one request."""

    id: str
    name: str
    multiplier: Decimal
    max_characters: int
    takes_context: bool = True
    speaks: bool = True
    languages: tuple[tuple[str, str], ...] = (("en", "English"), ("de", "German"), ("es", "Spanish"))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of an account's history."""

    id: str
    charge: Charge
    voice_name: str
    category: str
    used_before: Decimal
    audio: bytes
    content_type: str
    output_format: str
    visible_at: datetime


@dataclass
class Account:
    """What a key opens. `credits` is the limit of the period, `used` what is gone of it; history is oldest first."""

    key: str
    tier: str = "creator"
    credits: Decimal = Decimal(100_000)
    permissions: set[str] = field(default_factory=lambda: set(PERMISSIONS))
    max_concurrency: int | None = None  # None = the tier's
    unusual_activity: bool = False
    used: Decimal = Decimal(0)
    running: int = 0
    history: list[Item] = field(default_factory=list)

    @property
    def concurrency(self) -> int:
        return CONCURRENCY[self.tier] if self.max_concurrency is None else self.max_concurrency


def default_voices() -> list[Voice]:
    """An ordinary voice, one at twice the price, one whose price nobody announces (billed at 1.5), and an own one."""
    return [
        Voice(
            "Ordinary1voice0Heart",
            "Hannah",
            rate=1.0,
            description="A calm narrator",
            labels={"accent": "american", "gender": "female", "age": "middle_aged", "use_case": "narration"},
            languages=("en-US", "de-DE"),
        ),
        Voice(
            "Double2rate0Voice000",
            "Rupert",
            multiplier=Decimal(2),
            rate=2.0,
            paid_only=True,
            description="A stage actor",
            labels={"accent": "british", "gender": "male"},
            languages=("en-GB",),
        ),
        Voice("Unknown3rate0Voice00", "Nia", multiplier=Decimal("1.5"), description="A lively presenter"),
        Voice("Own4cloned0Voice0000", "Our shop", shared=False, category="cloned", labels={"accent": "american"}),
    ]


def default_models() -> list[Model]:
    """Three that speak, and one that only converts."""
    return [
        Model("eleven_multilingual_v2", "Eleven Multilingual v2", Decimal("1.0"), 10_000),
        Model("eleven_flash_v2_5", "Eleven Flash v2.5", Decimal("0.5"), 40_000),
        Model("eleven_v3", "Eleven v3", Decimal("1.0"), 5_000, takes_context=False),
        Model("eleven_multilingual_sts_v2", "Eleven Multilingual STS v2", Decimal("1.0"), 10_000, speaks=False),
    ]


def subscription_json(account: Account) -> dict[str, Any]:
    return {
        "tier": account.tier,
        "character_count": int(account.used),
        "character_limit": int(account.credits),
        "max_character_limit_extension": None,
        "max_credit_limit_extension": 0,
        "can_extend_character_limit": False,
        "allowed_to_extend_character_limit": False,
        "next_character_count_reset_unix": 1_900_000_000,
        "voice_slots_used": 1,
        "professional_voice_slots_used": 0,
        "professional_voice_slots_used_in_workspace": 0,
        "voice_limit": 30,
        "voice_add_edit_counter": 0,
        "professional_voice_limit": 1,
        "can_extend_voice_limit": False,
        "can_use_instant_voice_cloning": account.tier != "free",
        "can_use_professional_voice_cloning": False,
        "currency": None if account.tier == "free" else "usd",
        "current_overage": {"amount": "0", "currency": "usd"},
        "status": "free" if account.tier == "free" else "active",
        "billing_period": "monthly_period",
        "character_refresh_period": "monthly_period",
        "next_invoice": None,
        "open_invoices": [],
        "has_open_invoices": False,
    }


def model_json(model: Model) -> dict[str, Any]:
    return {
        "model_id": model.id,
        "name": model.name,
        "can_be_finetuned": True,
        "can_do_text_to_speech": model.speaks,
        "can_do_voice_conversion": not model.speaks,
        "can_use_style": True,
        "can_use_speaker_boost": True,
        "serves_pro_voices": False,
        "token_cost_factor": float(model.multiplier),
        "description": f"{model.name}.",
        "requires_alpha_access": False,
        "max_characters_request_free_user": min(2_500, model.max_characters),
        "max_characters_request_subscribed_user": model.max_characters,
        "maximum_text_length_per_request": model.max_characters,
        "languages": [{"language_id": code, "name": name} for code, name in model.languages],
        "model_rates": {"character_cost_multiplier": float(model.multiplier), "cost_discount_multiplier": 1.0},
        "concurrency_group": "standard",
    }


def voice_json(voice: Voice) -> dict[str, Any]:
    preview = f"https://storage.example.com/voices/{voice.id}.mp3"
    sharing = {"status": "copied", "rate": voice.rate, "fiat_rate": None, "free_users_allowed": not voice.paid_only}
    return {
        "voice_id": voice.id,
        "name": voice.name,
        "samples": None,
        "category": voice.category,
        "fine_tuning": None,
        "labels": voice.labels,
        "description": voice.description,
        "preview_url": preview,
        "available_for_tiers": [],
        "settings": None,
        "sharing": sharing if voice.shared else None,
        "high_quality_base_model_ids": ["eleven_multilingual_v2"],
        "verified_languages": [
            {
                "language": locale.split("-")[0],
                "model_id": "eleven_multilingual_v2",
                "accent": voice.labels.get("accent"),
                "locale": locale,
                "preview_url": preview,
            }
            for locale in voice.languages
        ],
        "is_owner": not voice.shared,
        "is_legacy": False,
    }


def item_json(item: Item) -> dict[str, Any]:
    charge = item.charge
    return {
        "history_item_id": item.id,
        "request_id": charge.request_id,
        "voice_id": charge.voice,
        "model_id": charge.model,
        "voice_name": item.voice_name,
        "voice_category": item.category,
        "text": charge.text,
        "date_unix": int(charge.at.timestamp()),
        "character_count_change_from": number(item.used_before),
        "character_count_change_to": number(item.used_before + charge.credits),
        "content_type": item.content_type,
        "state": "created",
        "settings": {"stability": 0.5, "similarity_boost": 0.75},
        "share_link_id": None,
        "source": "TTS",
        "alignments": None,
        "dialogue": None,
        "output_format": item.output_format,
    }


def number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def plain(value: Decimal) -> str:
    return str(number(value))
