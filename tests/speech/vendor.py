"""A shop that speaks with a fake ElevenLabs: settings, the list of voices, prices, and what must hold afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services import config
from services.jobs import attempt
from services.media.folder import Folder
from services.speech import catalogue, generation
from services.speech.generation import SpeechOrder
from tests import kill
from tests.builders import World
from tests.fakes.elevenlabs import FakeElevenLabs

ORDINARY = "Ordinary1voice0Heart"
UNKNOWN = "Unknown3rate0Voice00"
MODEL = "eleven_multilingual_v2"
PRICE = "0.10"  # US dollars a thousand credits
SECONDS = 1.0  # of a call's time-out: an answer that is lost is given up after 1.5 s


@contextmanager
def connected(fake: FakeElevenLabs, spool: Path, **values: Any) -> Iterator[dict[str, str]]:
    """Settings of this process and of workers started from it; yields them as environment."""
    wanted = {"ELEVENLABS_API_KEY": fake.key, "ELEVENLABS_URL": fake.url, "ELEVENLABS_SECONDS": str(SECONDS),
              "SPOOL_DIR": str(spool), **{k.upper(): str(v) for k, v in values.items()}}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wanted.items():
            patch.setenv(name, value)
        config.settings.cache_clear()
        yield wanted
    config.settings.cache_clear()


def options(spool: Path) -> dict[str, Any]:
    """The same for a worker inside the test's process."""
    return {"elevenlabs_seconds": SECONDS, "spool_dir": spool}


def set_up(world: World, folder: Folder, account: UUID) -> None:
    """List the vendor's voices as the worker does, and price its models."""
    for model in (MODEL, "eleven_flash_v2_5", "eleven_v3"):
        world.price(account, "elevenlabs", model, PRICE)
    world.job("voices", status="pending")
    context = kill.claim(world, folder, "voices")
    attempt.run(context, catalogue.list_voices)
    assert kill.job_row(world, context.job.id)["status"] == "completed"


def wanted(text: str, **values: Any) -> SpeechOrder:
    return SpeechOrder(**{"text": text, "provider": "elevenlabs", "model": MODEL, "voice": ORDINARY, **values})


def order(world: World, store: UUID, person: UUID, text: str, **values: Any) -> UUID:
    return generation.order_speech(world.as_person(person), store, wanted(text, **values), uuid4())


def booked(world: World) -> Decimal:
    return Decimal(world.value("select coalesce(sum(cost_usd), 0) from public.cost_entries"))


def assert_books_equal_the_bill(world: World, fake: FakeElevenLabs) -> None:
    """To the sixth decimal: what the ledger says and what the vendor charged."""
    billed = sum((charge.credits for charge in fake.bill), Decimal(0)) * Decimal(PRICE) / 1000
    assert booked(world) == billed
    assert world.money_differences() == []
