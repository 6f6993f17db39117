"""A played Gemini, a writer that speaks to it, and orders for them."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from services.scripts import gemini, phases
from services.scripts.gemini import Gemini, open_writer
from services.scripts.phases import Assistant, Draft
from services.scripts.writer import Request
from tests.fakes.gemini import FakeGemini
from tests.jobs.fixtures import (  # noqa: F401 - pytest finds fixtures by their names here
    database,
    folder,
    shared_world,
    shop,
    world,
)

BRIEFING = "Our bakery opens at six. The bread is baked with old grains. Two rolls cost one dollar."


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def writer(fake: FakeGemini) -> Gemini:
    return open_writer(SecretStr(fake.key), fake.url, private=True)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "FIRST_PAUSE", 0.01)


@pytest.fixture
def assistant() -> Assistant:
    return Assistant(name="Ann", tone="warm", banned_words=("cheap",))


@pytest.fixture
def order(assistant: Assistant) -> Request[Draft]:
    return phases.generation(BRIEFING, assistant)
