"""Voice: the price before the button, the order, the result, and every refusal beside its cause."""

from uuid import uuid4

import pytest

from services.errors import Unavailable
from services.speech import generation
from services.speech.generation import SpeechOrder
from tests.builders import World, speech
from tests.pages.conftest import slug, texts

LINE = "Fresh bread at six, every morning on the quay."


@pytest.fixture
def voice(desk: World, open_page):
    """The Voice page of a manager of a store with this quota; `open(quota)` → (test, store, person)."""

    def opened(quota: str = "0", **store):
        account = desk.company()
        profile = desk.store(account, quota=quota, **store)
        person = desk.person(account, "manager", profile)
        return open_page(person, "voice", slug(desk, profile)), profile, person

    return opened


def type_text(test, text: str, provider: str = "practice"):
    test.radio(key="voice_provider").set_value(provider)
    test.text_area(key="voice_text").set_value(text)
    return test.run()


def test_price_and_rest_stand_before_the_button(desk: World, voice):
    test, _, _ = voice("10")
    type_text(test, "x" * 100)
    assert test.button(key="voice_generate").label == "Generate · $0.0300"
    numbers = {metric.label: metric.value for metric in test.metric}
    assert numbers["Characters"] == "100"
    assert numbers["Left after"] == "$9.97"
    assert numbers["More like it this month"] == "about 332"


def test_generate_hear_and_reuse(desk: World, voice, work):
    test, store, person = voice("10")
    type_text(test, LINE)
    test.button(key="voice_generate").click().run()
    assert not test.exception
    work(desk)
    test.run()
    assert LINE in texts(test)
    assert "use it for nothing" in texts(test)
    assert test.button(key="voice_generate").label.startswith("Generate again")
    (entry,) = desk.rows("select * from public.cost_entries")
    assert entry["user_id"] == person
    assert entry["profile_id"] == store
    assert desk.money_differences() == []


def test_a_second_click_finds_the_button_busy(desk: World, voice):
    test, _, _ = voice("10")
    type_text(test, LINE)
    test.button(key="voice_generate").click().run()
    assert test.button(key="voice_generate").disabled
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 1


def test_two_tabs_with_the_same_text_make_it_once(desk: World, voice, open_page):
    first, store, person = voice("10")
    type_text(first, LINE)
    second = open_page(person, "voice", slug(desk, store))
    type_text(second, LINE)
    first.button(key="voice_generate").click().run()
    second.button(key="voice_generate").click().run()
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 1
    assert desk.value("select sum(held_usd) from public.cost_holds") == desk.value(
        "select estimate_usd from public.cost_holds"
    )


def test_a_text_changed_with_the_click_is_not_bought_unseen(desk: World, voice):
    test, _, _ = voice("10")
    type_text(test, "x" * 10)
    test.text_area(key="voice_text").set_value("word " * 900)
    test.button(key="voice_generate").click().run()
    assert "Press again to generate" in texts(test)
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 0


def test_a_refusal_explains_itself_in_arithmetic(desk: World, voice):
    test, store, _ = voice("0.05")
    desk.spend(store, "0.04")
    type_text(test, "x" * 100)
    table = test.table[0].value
    assert list(table["Amount"]) == ["$0.0500", "$0.0400", "$0.00", "$0.0300", "$0.0200"]
    assert "33 of its 100 characters fit" in texts(test)
    assert "Ask an admin to raise the quota" in texts(test)
    assert test.button(key="voice_generate").disabled
    assert test.text_area(key="voice_text").value == "x" * 100


def test_what_exists_is_offered_beyond_the_quota(desk: World, voice, work):
    test, store, _ = voice("10")
    type_text(test, LINE)
    test.button(key="voice_generate").click().run()
    work(desk)
    desk.execute("update public.profiles set monthly_quota_usd = 0.01 where id = %s", store)
    test.run()
    assert "use it for nothing" in texts(test)
    assert "does not cover it" not in texts(test)
    type_text(test, "Another line, which would have to be bought.")
    assert "does not cover it" in texts(test)


def test_a_lost_answer_does_not_block_the_next_text(desk: World, voice, monkeypatch):
    test, _, _ = voice("10")
    type_text(test, LINE)
    ordered = generation.order_speech

    def lost(*args):
        ordered(*args)
        raise Unavailable

    monkeypatch.setattr(generation, "order_speech", lost)
    test.button(key="voice_generate").click().run()
    monkeypatch.setattr(generation, "order_speech", ordered)
    type_text(test, "Another line, after the lost answer.")
    test.button(key="voice_generate").click().run()
    assert not test.error
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 2


def test_the_same_click_after_a_lost_answer_buys_nothing_more(desk: World, voice, monkeypatch):
    test, store, _ = voice("10")
    type_text(test, LINE)
    ordered = generation.order_speech

    def lost(*args):
        monkeypatch.setattr(generation, "order_speech", ordered)
        ordered(*args)
        raise Unavailable

    monkeypatch.setattr(generation, "order_speech", lost)
    test.button(key="voice_generate").click().run()
    test.run()
    assert test.button(key="voice_generate").disabled
    assert "being made right now" in texts(test)
    assert desk.value("select count(*) from public.cost_holds where profile_id = %s", store) == 1


def test_a_company_limit_names_what_all_stores_hold(desk: World, open_page):
    account = desk.company(quota="1")
    here, there = desk.store(account), desk.store(account)
    desk.as_worker().call(
        "hold_cost", p_request_id=uuid4(), p_profile_id=there, p_estimate_usd="0.9999", p_service="practice"
    )
    test = open_page(desk.person(account, "manager", here), "voice", slug(desk, here))
    type_text(test, "x" * 100)
    assert list(test.table[0].value["Amount"]) == ["$1.00", "$0.00", "$0.9999", "$0.0300", "$0.0299"]
    assert "count all stores of the company" in texts(test)


def test_a_quota_spent_by_somebody_else_meanwhile_refuses_the_click(desk: World, voice, monkeypatch):
    test, store, person = voice("0.05")
    type_text(test, "x" * 100)
    order = SpeechOrder.model_validate(speech("x" * 100, voice="premium"))
    seen = generation.quote(desk.as_person(person), store, order)
    monkeypatch.setattr(generation, "quote", lambda *_: seen)
    desk.spend(store, "0.04")
    test.button(key="voice_generate").click().run()
    assert "does not cover it" in texts(test)
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("   \n ", "Type what should be said"),
        ("🥐🎉", "emoji and symbols are silent"),
        ("خبز طازج كل صباح", "English"),
        ("x" * 40_001, "1 character too long"),
        ("\u200b\u0001", "invisible"),
    ],
)
def test_bad_text_is_said_beside_the_text(desk: World, voice, text: str, sentence: str):
    test, _, _ = voice()
    type_text(test, text, "hibari")
    assert sentence in texts(test)
    assert test.text_area(key="voice_text").value == text
    assert not test.exception


def test_control_characters_inside_a_text_do_no_harm(desk: World, voice, work):
    test, _, _ = voice()
    type_text(test, "Fresh\x00 bread\x07 at six.", "hibari")
    test.button(key="voice_generate").click().run()
    work(desk)
    assert desk.value("select status from public.jobs where kind = 'speech'") == "completed"


def test_a_missing_price_is_said(desk: World, voice):
    test, _store, _ = voice()
    type_text(test, LINE, "practice")
    desk.execute("delete from public.prices where provider = 'practice'")
    test.text_area(key="voice_text").set_value(LINE + " Come early.").run()
    assert "The price book has no price" in texts(test)
    assert not test.exception


def test_a_suspended_store_cannot_generate(desk: World, voice):
    test, _, _ = voice(suspended_at="2026-01-01T00:00:00Z", suspended_reason="stocktaking")
    type_text(test, LINE)
    assert "stocktaking" in texts(test)
    assert test.button(key="voice_generate").disabled


def test_without_a_store_the_page_asks_for_one(desk: World, open_page):
    account = desk.company()
    store = desk.store(account, "Quay")
    test = open_page(desk.person(account, "admin"), "voice")
    assert "Choose which" in texts(test)
    test.button(key=f"choose_{slug(desk, store)}").click().run()
    assert test.text_area(key="voice_text")
