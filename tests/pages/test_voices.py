"""Choosing a voice: services, models, voices, their prices, what cannot be used, drafts and the dictionary."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services.speech import dictionary, generation
from services.speech.generation import SpeechOrder
from services.speech.provider import Voice
from tests.builders import World, speech
from tests.pages.conftest import half_a_minute_later, slug, texts
from ui import voice_picker

LINE = "Fresh bread at six, every morning on the quay."
V3 = {"id": "v3", "name": "Eleven v3", "dearest": "3", "languages": ["en", "de"]}
FLASH = {"id": "flash", "name": "Eleven Flash", "multiplier": "0.5", "dearest": "3"}


@pytest.fixture
def eleven(desk: World, shop):
    """The company's ElevenLabs with two priced models and three voices."""
    account = shop[0]
    desk.service("elevenlabs", V3, FLASH, account_id=account)
    desk.price(account, "elevenlabs", "v3", "0.10")
    desk.price(account, "elevenlabs", "flash", "0.10")
    desk.voice("elevenlabs", "anna", account, description="Calm and low", preview_url="https://a.test/x.mp3?a=1&b=2")
    desk.voice("elevenlabs", "bert", account, language="de-DE", multiplier=2)
    desk.voice("elevenlabs", "cleo", account, multiplier=None)


@pytest.fixture
def page(desk: World, shop, open_page):
    """The Voice page of the shop's manager, with this service chosen and this text typed."""

    def opened(provider: str = "elevenlabs", text: str = LINE):
        test = open_page(shop[2], "voice", slug(desk, shop[1]))
        test.radio(key="voice_provider").set_value(provider)
        if text:
            test.text_area(key="voice_text").set_value(text)
        return test.run()

    return opened


def metrics(test) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def html(test) -> str:
    return "\n".join(element.proto.body for element in test.get("html"))


class TestServices:
    def test_the_embedded_voice_comes_first_and_paid_ones_show_their_rate(self, eleven, page):
        options = page("hibari", "").radio(key="voice_provider").options
        assert options[0].startswith("Embedded voice")
        assert r"ElevenLabs · from \$0.0500 per 1,000 characters" in options

    @pytest.mark.parametrize(
        ("readiness", "message"),
        [("not installed", "Run: pip install -r requirements-extras.txt"), ("no key", "Set ELEVENLABS_API_KEY.")],
    )
    def test_what_cannot_be_used_says_what_to_do(self, desk: World, shop, page, readiness: str, message: str):
        desk.service("kokoro", readiness=readiness, message=message)
        test = page("hibari", "")
        assert len(test.radio(key="voice_provider").options) == 2
        assert f"**Kokoro** · {readiness}" in texts(test)
        assert message in texts(test)

    def test_without_a_price_an_admin_is_named(self, desk: World, shop, page):
        desk.service("kokoro", {"id": "kokoro"})
        test = page("hibari", "")
        assert "**Kokoro** · no price" in texts(test)
        assert "An admin sets its price on the Admin page." in texts(test)

    def test_practice_is_not_mentioned_where_it_has_no_price(self, desk: World, shop, page):
        desk.execute("delete from public.prices where provider = 'practice'")
        test = page("hibari", "")
        assert "ractice" not in texts(test) + "".join(test.radio(key="voice_provider").options)

    def test_the_demo_never_speaks_with_a_vendor(self, desk: World, shop, eleven, page):
        desk.execute("update public.accounts set is_demo = true")
        test = page("hibari", "")
        assert "ElevenLabs" not in "".join(test.radio(key="voice_provider").options)
        assert "**ElevenLabs**" not in texts(test)

    def test_refresh_asks_the_worker_once(self, desk: World, shop, page):
        test = page("hibari", "")
        assert "Last looked: never" in texts(test)
        test.button(key="voices_refresh").click().run()
        assert "Looking for voices" in texts(test)
        assert desk.value("select count(*) from public.jobs where kind = 'voices'") == 1
        desk.service("edge", {"id": "edge"}, readiness="broken", message="No network.")
        test.run()
        assert "No network." in texts(test)
        assert test.button(key="voices_refresh")

    def test_a_service_that_went_away_is_said_and_nothing_is_chosen(self, desk: World, eleven, page):
        test = page()
        desk.execute("delete from public.voice_services")
        half_a_minute_later()
        test.run()
        assert "ElevenLabs" in test.warning[0].value
        assert "no longer offered here" in test.warning[0].value
        assert not [button for button in test.button if button.key == "voice_generate"]
        test.radio(key="voice_provider").set_value("hibari").run()
        assert test.button(key="voice_generate").label == "Generate · free"
        assert "no longer offered" not in texts(test)


class TestModelsAndVoices:
    def test_models_show_factor_and_price(self, eleven, page):
        assert page().selectbox(key="voice_model_elevenlabs").options == [
            "Eleven v3 · $0.1000 per 1,000 characters",
            "Eleven Flash · ×0.5 · $0.0500 per 1,000 characters",
        ]

    def test_the_price_follows_model_and_voice(self, eleven, page):
        test = page(text="x" * 100)
        assert metrics(test)["Price"] == "$0.0100"
        test.selectbox(key="voice_voice_elevenlabs").set_value("bert").run()
        assert metrics(test)["Price"] == "$0.0200"
        assert "This voice counts ×2." in texts(test)
        test.selectbox(key="voice_model_elevenlabs").set_value("flash").run()
        assert metrics(test)["Price"] == "$0.0100"

    def test_an_unknown_factor_is_held_at_the_dearest_and_said(self, eleven, page):
        test = page(text="x" * 100)
        test.selectbox(key="voice_voice_elevenlabs").set_value("cleo").run()
        assert metrics(test)["Price"] == "at most $0.0300"
        assert metrics(test)["Left after"] == "at least $9.97"
        assert test.button(key="voice_generate").label == "Generate · at most $0.0300"
        assert "held at the dearest, ×3" in texts(test)

    def test_a_sample_is_played_from_a_safe_address_only(self, desk: World, eleven, page):
        assert 'src="https://a.test/x.mp3?a=1&amp;b=2"' in html(page())
        for address in ("http://a.test/x.mp3", "javascript:alert(1)", None):
            voice = Voice(id="a", name="A", language="en", preview_url=address)
            assert voice_picker.preview(voice) == ""
        spiked = Voice(id="a", name='"><b>', language="en", preview_url='https://a.test/"><b>')
        assert "<b>" not in voice_picker.preview(spiked)

    def test_search_and_language_narrow_the_list_and_keep_the_choice(self, desk: World, shop, eleven, page):
        for number in range(10):
            desk.voice("elevenlabs", f"fred{number}", shop[0], language="fr-FR", description="Bright")
        test = page()
        test.selectbox(key="voice_voice_elevenlabs").set_value("bert").run()
        test.text_input(key="voice_search_elevenlabs").set_value("bright").run()
        assert test.selectbox(key="voice_voice_elevenlabs").value == "bert"
        assert len(test.selectbox(key="voice_voice_elevenlabs").options) == 11
        test.text_input(key="voice_search_elevenlabs").set_value("")
        test.selectbox(key="voice_language_elevenlabs").set_value("fr-FR").run()
        assert len(test.selectbox(key="voice_voice_elevenlabs").options) == 11
        test.text_input(key="voice_search_elevenlabs").set_value("nobody").run()
        assert "No voice matches" in texts(test)
        assert test.selectbox(key="voice_voice_elevenlabs").value == "bert"

    def test_a_voice_that_vanished_is_said_and_no_other_is_bought(self, desk: World, eleven, page):
        test = page()
        test.selectbox(key="voice_voice_elevenlabs").set_value("bert").run()
        desk.execute("delete from public.voices where voice = 'bert'")
        desk.execute("update public.voice_services set checked_at = now()")
        half_a_minute_later()
        for _ in range(2):
            test.run()
            assert "Bert · de-DE · ×2 is no longer offered here" in texts(test)
            assert test.selectbox(key="voice_voice_elevenlabs").value is None
            assert not [button for button in test.button if button.key == "voice_generate"]
        test.selectbox(key="voice_voice_elevenlabs").set_value("anna").run()
        assert test.button(key="voice_generate").label == "Generate · $0.0046"

    def test_speed_stays_within_the_services_limits(self, eleven, page):
        test = page("hibari")
        test.slider(key="voice_speed").set_value(2.0).run()
        test.radio(key="voice_provider").set_value("elevenlabs").run()
        assert (test.slider(key="voice_speed").max, test.slider(key="voice_speed").value) == (1.2, 1.2)
        assert not test.exception

    def test_stability_is_asked_only_where_it_is_taken_and_unset_unless_chosen(self, desk: World, shop, eleven, page):
        assert not page("hibari").select_slider
        test = page()
        test.button(key="voice_generate").click().run()
        assert desk.value("select input -> 'settings' from public.jobs where kind = 'speech'") == {"speed": 1.0}
        test.select_slider(key="voice_stability").set_value(0.5).run()
        test.button(key="voice_generate").click().run()
        settings = desk.rows(
            "select input -> 'settings' as s from public.jobs where kind = 'speech' order by created_at"
        )
        assert settings[-1]["s"] == {"speed": 1.0, "stability": 0.5}

    def test_the_choice_survives_another_page(self, eleven, page):
        test = page()
        test.selectbox(key="voice_voice_elevenlabs").set_value("bert").run()
        test.switch_page("../pages/jobs.py").run()
        test.switch_page("../pages/voice.py").run()
        assert test.selectbox(key="voice_voice_elevenlabs").value == "bert"
        assert test.text_area(key="voice_text").value == LINE

    def test_a_script_the_voice_cannot_read_is_said_before(self, eleven, page):
        assert "Arabic" in texts(page(text="خبز طازج كل صباح"))
        assert "Arabic" not in texts(page())


class TestPrice:
    def test_a_long_text_is_priced_as_a_whole(self, eleven, page):
        text = "\n".join(f"Paragraph {number} of the long text." for number in range(8))
        test = page(text=text)
        assert metrics(test)["Passages"] == "8"
        assert not test.exception

    def test_passages_bought_before_cost_nothing_and_what_that_saved_is_shown(self, desk: World, shop, eleven, page):
        first, second = "The first paragraph stays.", "The second one is new."
        buy(desk, shop, first)
        test = page(text=f"{first}\n{second}")
        assert "1 of 2 passages were bought before: reusing saves" in texts(test)
        assert metrics(test)["Price"] == "$0.0022"
        desk.execute("update public.purchases set saved_usd = 1.25")
        half_a_minute_later()
        assert r"Reusing passages saved \$1.25 this month" in texts(test.run())

    def test_a_paused_model_shows_its_bill_and_who_can_end_it(self, desk: World, shop, eleven, page):
        desk.pause(shop[0], "elevenlabs", "v3", 100, 400)
        test = page()
        assert "100 units were announced for 100 characters, and 400 were billed (×4)" in texts(test).replace("\\", "")
        assert "An admin can confirm its price" in texts(test)
        assert not [button for button in test.button if button.key == "voice_generate"]
        test.selectbox(key="voice_model_elevenlabs").set_value("flash").run()
        assert test.button(key="voice_generate")


def buy(desk: World, shop, text: str) -> UUID:
    """A paid passage as ElevenLabs' v3 and Anna spoke it, its file kept."""
    _, store, person = shop
    order = SpeechOrder.model_validate(speech(text, provider="elevenlabs", model="v3", voice="anna"))
    job = generation.order_speech(desk.as_person(person), store, order, uuid4())
    part = desk.value("select private.part_hash(input, input -> 'chunks' ->> 0) from public.jobs where id = %s", job)
    desk.execute("update public.jobs set status = 'completed' where id = %s", job)
    return desk.purchase(job, "settled", part_hash=part, media_path=f"parts/{job}.mp3", cost_usd=Decimal("0.0026"))


class TestDraft:
    def test_a_paid_voice_comes_with_a_free_draft(self, desk: World, shop, eleven, page, work):
        test = page()
        test.button(key="voice_draft").click().run()
        work(desk)
        test.run()
        (made,) = desk.rows("select provider, voice, cost_usd from public.speech_assets")
        assert (made["provider"], made["voice"], made["cost_usd"]) == ("hibari", "heart", 0)
        assert test.button(key="voice_generate").label == "Generate · $0.0046"
        test.button(key="voice_draft").click().run()
        assert "This text's draft:" in texts(test)
        assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 1

    def test_a_free_voice_needs_none(self, page):
        assert not [button for button in page("hibari").button if button.key == "voice_draft"]

    def test_what_the_embedded_voice_cannot_read_is_said(self, desk: World, eleven, page):
        test = page(text="خبز طازج كل صباح")
        test.button(key="voice_draft").click().run()
        assert "English" in texts(test)
        assert not test.exception


class TestDictionary:
    def test_a_word_is_added_changed_counted_and_removed_by_one_click(self, desk: World, shop, page):
        test = page("practice", "Quay rolls.")
        before = metrics(test)["Characters"]
        say(test, "Quay", "the key")
        assert [(w.term, w.say) for w in dictionary.words(desk.as_person(shop[2]), shop[1])] == [("Quay", "the key")]
        assert metrics(test)["Characters"] == str(int(before) + 3)
        say(test, "quay", "key")
        assert [w.say for w in dictionary.words(desk.as_person(shop[2]), shop[1])] == ["key"]
        test.button(key="forget_quay").click().run()
        assert dictionary.words(desk.as_person(shop[2]), shop[1]) == []
        assert "No word yet" in texts(test)

    def test_an_error_stands_beside_its_field_and_keeps_what_was_typed(self, page):
        test = page("hibari", "")
        say(test, "Quay", " ")
        assert "Type how it is said" in texts(test)
        assert test.text_input(key="word_term").value == "Quay"

    def test_many_words_are_turned_by_page(self, desk: World, shop, page):
        for number in range(45):
            dictionary.say(desk.as_person(shop[2]), shop[1], f"Word{number:02}", "word")
        test = page("hibari", "")
        assert len([button for button in test.button if button.label == "Remove"]) == 20


def say(test, term: str, said: str) -> None:
    test.text_input(key="word_term").set_value(term)
    test.text_input(key="word_say").set_value(said)
    next(button for button in test.button if button.label == "Save word").click().run()


def test_speech_that_was_billed_above_its_price_is_marked(desk: World, shop, eleven, page):
    _, store, _ = shop
    bought = buy(desk, shop, LINE)
    desk.pause(shop[0], "elevenlabs", "v3", 46, 184, id=bought, confirmed_at=datetime.now(UTC))
    job = desk.value("select job_id from public.purchases")
    desk.insert(
        "public.speech_assets", id=uuid4(), account_id=shop[0], profile_id=store, job_id=job, text=LINE,
        content_hash="x", provider="elevenlabs", model="v3", voice="anna", settings={}, format="mp3", characters=46,
        duration_seconds=2, bytes=10, media_path="x.mp3", cost_usd=Decimal("0.0184"), saved_usd=Decimal("0.5"),
    )  # fmt: skip
    test = page(text="")
    assert "Billed ×4 of what was announced" in texts(test)
    assert r"reuse saved \$0.5000" in texts(test)
