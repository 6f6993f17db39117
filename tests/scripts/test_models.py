"""The list of models: who may be used when, and what is said of those that go."""

from datetime import date, timedelta

import pytest

from services.errors import InvalidInput
from services.scripts import models
from services.scripts.models import BY_ID, DEFAULT, DEFAULT_DRAWER, MODELS, Model

TODAY = date(2026, 11, 21)


def test_the_defaults_come_first_and_are_in_service() -> None:
    assert models.usable(TODAY)[0].id == DEFAULT
    assert models.usable(TODAY, draws=True)[0].id == DEFAULT_DRAWER


def test_nobody_is_listed_twice_and_every_successor_is_listed() -> None:
    assert len(BY_ID) == len(MODELS)
    assert {model.successor for model in MODELS if model.successor} <= set(BY_ID)
    assert all(model.successor for model in MODELS if model.retires_on)


def test_each_either_writes_or_draws() -> None:
    assert all(model.writes is not model.draws for model in MODELS)
    assert {model.id for model in models.usable(TODAY)}.isdisjoint(
        model.id for model in models.usable(TODAY, draws=True)
    )


def test_one_is_used_until_the_day_before_it_retires() -> None:
    last = date(2026, 11, 30)
    assert models.require("gemini-2.5-pro", last).id == "gemini-2.5-pro"
    with pytest.raises(InvalidInput, match=r"retired since 1 December 2026.*gemini-3\.8-flash") as caught:
        models.require("gemini-2.5-pro", last + timedelta(days=1))
    assert caught.value.field == "model"


@pytest.mark.parametrize("unknown", ["", "gpt-7", "gemini-3.8", "models/gemini-3.8-flash", "../files", "x" * 10_000])
def test_an_unknown_one_is_refused_with_another(unknown: str) -> None:
    with pytest.raises(InvalidInput, match=r"gemini-3\.8-flash") as caught:
        models.require(unknown, TODAY)
    assert len(str(caught.value)) < 300


def test_one_for_another_purpose_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"make pictures.*image"):
        models.require("gemini-3.8-flash", TODAY, draws=True)
    with pytest.raises(InvalidInput, match=r"write texts.*gemini-3\.8-flash"):
        models.require("gemini-3-pro-image", TODAY)


@pytest.mark.parametrize(
    ("model", "day", "says"),
    [
        ("gemini-2.5-flash", date(2026, 10, 31), None),
        ("gemini-2.5-flash", date(2026, 11, 1), "will be retired on 1 December 2026. Choose Gemini 3.5 Flash-Lite"),
        ("gemini-2.5-flash", date(2026, 12, 1), "has been retired since 1 December 2026"),
        ("gemini-3.8-flash", date(2036, 1, 1), None),
        ("gpt-7", TODAY, None),
    ],
)
def test_warnings_begin_thirty_days_ahead(model: str, day: date, says: str | None) -> None:
    told = models.warning(model, day)
    assert (told is None) if says is None else (told is not None and says in told)


def test_a_successor_that_is_gone_gives_way_to_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"retires_on": date(2026, 1, 1)}
    chain = {
        "a": Model(id="a", title="A", successor="b", **gone),
        "b": Model(id="b", title="B", successor="c", **gone),
        "c": Model(id="c", title="C"),
    }
    monkeypatch.setattr(models, "BY_ID", chain)
    with pytest.raises(InvalidInput, match="Choose C"):
        models.require("a", TODAY)


@pytest.mark.parametrize(
    ("asked", "version", "billed"),
    [
        ("gemini-3.8-flash", "gemini-3.8-flash", "gemini-3.8-flash"),
        ("gemini-3.8-flash", "models/gemini-3.8-flash-001", "gemini-3.8-flash"),
        ("gemini-3.8-flash", "gemini-3.8-flash-preview-09-2026", "gemini-3.8-flash"),
        ("gemini-3.8-flash", "", "gemini-3.8-flash"),
        ("gemini-3.5-flash", "gemini-3.5-flash-lite", "gemini-3.5-flash-lite"),
        ("gemini-2.5-pro", "gemini-3.8-flash-002", "gemini-3.8-flash"),
        ("gemini-2.5-pro", "gemini-9-ultra", "gemini-9-ultra"),
    ],
)
def test_who_answered_is_whose_price_is_billed(asked: str, version: str, billed: str) -> None:
    assert models.billed(asked, version) == billed
