"""ElevenLabs through the vendor's SDK, against a stand-in that keeps its own bill."""

import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import httpx
import pytest

from services.errors import (
    AnswerLost,
    AppError,
    InvalidInput,
    ProviderFailed,
    ProviderUnavailable,
    VendorBusy,
)
from services.speech import elevenlabs, elevenlabs_http, elevenlabs_shapes
from services.speech.elevenlabs import ElevenLabs
from services.speech.elevenlabs_errors import MEANINGS, free_error, paid_error
from services.speech.provider import Line, Provider, Readiness, Recovers, VoiceSettings
from services.speech.slots import Slots, slots_of
from tests.fakes.elevenlabs import FakeElevenLabs, Model, Voice

HANNAH = "Ordinary1voice0Heart"
AGES = time.monotonic() + 3600
PATIENT = 20.0  # seconds: far beyond what any answer here takes
HANGING = 2.0  # seconds that a test waits for what never comes; a starved machine has sent its call by then
LINE = Line(text="Fresh bread at six.", voice=HANNAH, model="eleven_multilingual_v2")


@pytest.fixture
def fake() -> Iterator[FakeElevenLabs]:
    with FakeElevenLabs() as fake:
        yield fake


@pytest.fixture
def voices(fake: FakeElevenLabs) -> ElevenLabs:
    return ElevenLabs(fake.key, fake.url, PATIENT)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elevenlabs, "FIRST_PAUSE", 0.01)


def line(text: str = LINE.text, **values: object) -> Line:
    return Line(**{"text": text, "voice": LINE.voice, "model": LINE.model, **values})


def api_error(status: int, body: object = None) -> Exception:
    from elevenlabs.core.api_error import ApiError

    return ApiError(status_code=status, headers={}, body=body)


def test_it_is_a_provider_that_recovers(voices: ElevenLabs) -> None:
    provider: Provider = voices
    assert isinstance(provider, Recovers)
    assert (provider.name, provider.paid_outside, provider.local) == ("elevenlabs", True, False)


class TestState:
    def test_without_a_key_it_names_the_setting(self) -> None:
        state = ElevenLabs(None, None, 60).state()
        assert state.readiness is Readiness.NO_KEY
        assert "ELEVENLABS_API_KEY" in state.sentence

    def test_a_key_of_blanks_is_none(self) -> None:
        assert ElevenLabs(" \n", None, 60).state().readiness is Readiness.NO_KEY

    def test_a_key_that_no_header_takes_is_named_before_it_is_sent(self) -> None:
        state = ElevenLabs("sk_ключ", None, 60).state()
        assert state.readiness is Readiness.NO_KEY
        assert "ключ" not in state.sentence

    def test_with_a_key_it_is_ready_and_asks_nobody(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        assert voices.state().ready
        assert fake.requests == []

    def test_without_a_key_nothing_else_works(self) -> None:
        keyless = ElevenLabs(None, None, 60)
        now = datetime.now(UTC)
        asked = (
            keyless.models,
            keyless.voices,
            keyless.account,
            keyless.test,
            lambda: keyless.synthesize(LINE, 1),
            lambda: keyless.recover(LINE, sent_at=now, claimed=()),
        )
        for ask in asked:
            with pytest.raises(ProviderUnavailable, match="ELEVENLABS_API_KEY"):
                ask()

    def test_a_client_that_cannot_start_has_bought_nothing(
        self, voices: ElevenLabs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "nonsense://proxy")
        with pytest.raises(ProviderUnavailable, match="cannot start"):
            voices.synthesize(LINE, PATIENT)


class TestModels:
    def test_only_those_that_speak_with_the_default_first(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.models = dict(sorted(fake.models.items()))
        assert [model.id for model in voices.models()] == [
            "eleven_multilingual_v2",
            "eleven_flash_v2_5",
            "eleven_v3",
        ]

    def test_what_they_cost_take_and_speak(self, voices: ElevenLabs) -> None:
        default, flash, v3 = voices.models()
        assert (default.max_characters, flash.max_characters, v3.max_characters) == (10_000, 40_000, 5_000)
        assert (default.multiplier, flash.multiplier, flash.dearest) == (1, Decimal("0.5"), 3)
        assert (default.takes_context, flash.takes_context, v3.takes_context) == (True, True, False)
        assert default.languages == ("en", "de", "es")

    def test_a_new_model_appears_by_itself_and_gets_no_context(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.models["eleven_v4"] = Model("eleven_v4", "Eleven v4", Decimal("1.2"), 12_000)
        new = voices.models()[-1]
        assert (new.id, new.max_characters, new.takes_context) == ("eleven_v4", 12_000, False)

    @pytest.mark.parametrize(
        ("model", "longest"),
        [("eleven_flash_v2_5", 40_000), ("eleven_turbo_v2", 30_000), ("eleven_v3", 5_000), ("new", 5_000)],
    )
    def test_where_the_vendor_names_no_longest_text(self, model: str, longest: int) -> None:
        from elevenlabs import Model as VendorModel

        assert elevenlabs_shapes.model_of(VendorModel(model_id=model)).max_characters == longest

    @pytest.mark.parametrize(
        ("cost", "discount", "multiplier"),
        [(0.5, 0.6, "0.3"), (0.5, None, "0.5"), (0, None, "1"), (float("nan"), -1, "1")],
    )
    def test_the_discount_counts_and_nonsense_does_not(
        self, cost: float, discount: float | None, multiplier: str
    ) -> None:
        from elevenlabs import Model as VendorModel
        from elevenlabs.types import ModelRatesResponseModel

        rates = ModelRatesResponseModel.model_construct(
            character_cost_multiplier=cost, cost_discount_multiplier=discount
        )
        vendor = VendorModel(model_id="m", model_rates=rates)
        assert elevenlabs_shapes.model_of(vendor).multiplier == Decimal(multiplier)


class TestVoices:
    def test_language_description_and_preview(self, voices: ElevenLabs) -> None:
        hannah = voices.voices()[0]
        assert (hannah.id, hannah.name, hannah.language) == (HANNAH, "Hannah", "en-US")
        assert hannah.description == "American, female, middle aged, narration. A calm narrator"
        assert hannah.preview_url is not None

    def test_the_label_decides_between_several_languages(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.voices = {"v": Voice("v", "V", labels={"language": "de"}, languages=("en-US", "de-DE"))}
        assert voices.voices()[0].language == "de-DE"

    def test_a_language_that_is_no_tag_is_left_out(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.voices = {"v": Voice("v", "V", labels={"language": "any language"}, languages=())}
        assert voices.voices()[0].language == ""

    def test_what_they_cost_beside_an_ordinary_one(self, voices: ElevenLabs) -> None:
        assert [voice.multiplier for voice in voices.voices()] == [1, 2, None, 1]

    @pytest.mark.parametrize(
        ("sharing", "multiplier"),
        [
            ({"status": "copied", "rate": 2.5}, Decimal("2.5")),
            ({"status": "copied", "rate": 0}, None),
            ({"status": "copied"}, None),
            ({"status": "disabled"}, Decimal(1)),
            (None, Decimal(1)),
        ],
    )
    def test_only_the_vendor_says_what_a_shared_one_costs(
        self, sharing: dict[str, object] | None, multiplier: Decimal | None
    ) -> None:
        from elevenlabs import Voice as VendorVoice
        from elevenlabs.types import VoiceSharingResponse

        shared = VoiceSharingResponse(**sharing) if sharing else None
        vendor = VendorVoice(voice_id="v", sharing=shared)
        assert elevenlabs_shapes.voice_of(vendor).multiplier == multiplier

    def test_all_pages(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.voices = {f"v{n}": Voice(f"v{n}", f"Voice {n}") for n in range(201)}
        assert [voice.id for voice in voices.voices()] == list(fake.voices)
        assert [request.query["page_size"] for request in fake.requests] == ["100"] * 3

    def test_an_id_that_could_change_an_address_is_left_out(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.voices["../user"] = Voice("../user", "Trap")
        assert "../user" not in [voice.id for voice in voices.voices()]


class TestConnection:
    def test_it_says_what_is_left(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.accounts[fake.key].used = Decimal(1_234)
        assert voices.test() == (
            "Connected: plan creator, 1,234 of 100,000 credits used, new credits on 17 Mar 2030 17:46 UTC."
        )
        assert fake.bill == []

    def test_the_account_in_facts(self, voices: ElevenLabs) -> None:
        account = voices.account()
        assert (account.tier, account.used, account.limit) == ("creator", 0, 100_000)
        assert account.resets_at == datetime.fromtimestamp(1_900_000_000, UTC)

    def test_a_limited_key_is_connected_all_the_same(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.accounts[fake.key].permissions.remove("user_read")
        assert voices.test().startswith("Connected, limited: this key lists 3 models")

    def test_a_key_that_may_do_nothing_is_not(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.accounts[fake.key].permissions.clear()
        with pytest.raises(ProviderUnavailable, match="lacks a permission"):
            voices.test()

    def test_a_wrong_key(self, fake: FakeElevenLabs) -> None:
        with pytest.raises(ProviderUnavailable, match="does not accept the key"):
            ElevenLabs("sk_wrong", fake.url, PATIENT).test()

    @pytest.mark.parametrize("kind", ["lost", "error", "html", "system_busy"])
    def test_a_vendor_that_does_not_answer_is_unavailable_for_now(
        self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str
    ) -> None:
        fake.misbehave("subscription", kind)  # type: ignore[arg-type]  # one of its kinds
        with pytest.raises(ProviderUnavailable):
            voices.test()
        assert len(fake.requests) == 1  # no hidden retries

    def test_an_address_of_something_else(self, fake: FakeElevenLabs) -> None:
        with pytest.raises(ProviderUnavailable, match="ELEVENLABS_URL"):
            ElevenLabs(fake.key, f"{fake.url}/elsewhere", PATIENT).models()

    def test_a_port_where_nobody_listens(self) -> None:
        with pytest.raises(ProviderUnavailable, match="does not answer"):
            ElevenLabs("sk_any", "http://127.0.0.1:1", PATIENT).models()


class TestSpeaking:
    def test_audio_price_and_id_are_the_vendors(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        speech = voices.synthesize(LINE, PATIENT)
        (charge,) = fake.bill
        assert (speech.units, speech.vendor_id) == (charge.credits, charge.request_id)
        assert speech.data == fake.accounts[fake.key].history[0].audio

    def test_units_are_what_was_billed_not_what_was_announced(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.bill_factor = Decimal("1.5")
        units = voices.synthesize(line(model="eleven_flash_v2_5"), PATIENT).units
        assert units == fake.billed() == len(LINE.text) * Decimal("0.75")

    def test_what_is_sent(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        settings = VoiceSettings(speed=1.1, stability=0.25)
        voices.synthesize(line(settings=settings, before="Hello. ", after=" Bye."), PATIENT)
        request = fake.requests[-1]
        assert request.query == {"output_format": "mp3_44100_128"}
        assert request.body == {
            "text": LINE.text,
            "model_id": LINE.model,
            "voice_settings": {"speed": 1.1, "stability": 0.25},
            "previous_text": "Hello. ",
            "next_text": " Bye.",
        }

    def test_a_stability_that_nobody_chose_is_the_vendors(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        voices.synthesize(LINE, PATIENT)
        assert fake.requests[-1].body["voice_settings"] == {"speed": 1.0}

    def test_context_is_the_nearest_thousand_characters(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        voices.synthesize(line(before="x" * 500 + "b" * 1_000, after="a" * 1_000 + "x"), PATIENT)
        assert fake.requests[-1].body["previous_text"] == "b" * 1_000
        assert fake.requests[-1].body["next_text"] == "a" * 1_000

    def test_a_model_that_takes_no_context_gets_none(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        voices.synthesize(line(model="eleven_v3", before="Hello. ", after=" Bye."), PATIENT)
        assert len(fake.bill) == 1

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"text": " "}, "text"),
            ({"voice": "../models"}, "voice"),
            ({"voice": ""}, "voice"),
            ({"voice": HANNAH + "\n"}, "voice"),
            ({"settings": VoiceSettings(speed=0.6)}, "speed"),
            ({"settings": VoiceSettings(speed=1.3)}, "speed"),
        ],
    )
    def test_what_cannot_work_is_never_sent(
        self, voices: ElevenLabs, fake: FakeElevenLabs, values: dict[str, object], field: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            voices.synthesize(line(**values), PATIENT)  # type: ignore[arg-type]  # a field of Line each
        assert caught.value.field == field
        assert fake.requests == []

    def test_the_older_name_of_the_price(self) -> None:
        headers = {"content-type": "audio/mpeg", "x-character-count": "12"}
        assert elevenlabs._speech(headers, b"sound").units == 12

    @pytest.mark.parametrize("price", ["", "many", "-1", "NaN", "Infinity"])
    def test_a_price_that_is_none_leaves_the_truth_to_the_history(self, price: str) -> None:
        with pytest.raises(AnswerLost, match="what it cost"):
            elevenlabs._speech({"content-type": "audio/mpeg", "character-cost": price}, b"sound")

    def test_several_threads_share_one_client(
        self, voices: ElevenLabs, fake: FakeElevenLabs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []
        original = elevenlabs_http.connect
        monkeypatch.setattr(elevenlabs, "connect", lambda *args: made.append(args) or original(*args))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: voices.synthesize(line(f"Line {n}."), PATIENT), range(8)))
        assert len(made) == 1
        assert len(fake.bill) == 8


class TestLost:
    @pytest.mark.parametrize("kind", ["lost", "lost_before", "html", "html_before", "error", "cut", "empty", "no_cost"])
    def test_whatever_may_have_been_billed_is_lost_and_not_sent_again(
        self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str
    ) -> None:
        fake.misbehave("text-to-speech", kind)  # type: ignore[arg-type]  # one of its kinds
        with pytest.raises(AnswerLost):
            voices.synthesize(LINE, PATIENT)
        assert len(fake.requests) == 1

    @pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
    def test_server_errors(self, voices: ElevenLabs, fake: FakeElevenLabs, status: int) -> None:
        fake.misbehave("text-to-speech", "error", status=status)
        with pytest.raises(AnswerLost, match=str(status)):
            voices.synthesize(LINE, PATIENT)
        assert len(fake.bill) == 1

    def test_an_answer_that_takes_too_long(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        billed = threading.Event()
        fake.on_billed = lambda _: billed.set()
        fake.misbehave("text-to-speech", "delay", seconds=60)
        with pytest.raises(AnswerLost, match="ReadTimeout"):
            voices.synthesize(LINE, HANGING)
        assert billed.wait(PATIENT)
        assert len(fake.requests) == 1

    def test_a_body_that_drips_without_end(self) -> None:
        with Dripping() as vendor, pytest.raises(AnswerLost, match="ReadTimeout"):
            ElevenLabs("sk_any", vendor.url, PATIENT).synthesize(LINE, HANGING)

    @pytest.mark.parametrize("kind", ["silence", "garbage", "wrong_format"])
    def test_bad_sound_is_delivered_with_its_price(self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str) -> None:
        fake.misbehave("text-to-speech", kind)  # type: ignore[arg-type]  # one of its kinds
        assert voices.synthesize(LINE, PATIENT).units == fake.billed()

    def test_what_nobody_foresaw_counts_as_lost(self, voices: ElevenLabs, monkeypatch: pytest.MonkeyPatch) -> None:
        def break_down(*_: object) -> None:
            raise RuntimeError("odd")

        monkeypatch.setattr(elevenlabs, "_speech", break_down)
        with pytest.raises(AnswerLost, match="RuntimeError"):
            voices.synthesize(LINE, PATIENT)


class TestRefused:
    @pytest.mark.parametrize(
        ("status", "code", "kind", "words"),
        [
            (401, "invalid_api_key", ProviderUnavailable, "does not accept the key"),
            (401, "missing_permissions", ProviderUnavailable, "lacks a permission"),
            (401, "quota_exceeded", ProviderUnavailable, "too few credits"),
            (402, "quota_exceeded", ProviderUnavailable, "too few credits"),
            (401, "detected_unusual_activity", ProviderUnavailable, "VPN"),
            (402, "payment_required", ProviderUnavailable, "paid plan"),
            (402, "paid_plan_required", ProviderUnavailable, "paid plan"),
            (404, "voice_not_found", InvalidInput, "no longer in the ElevenLabs account"),
            (400, "unsupported_model", InvalidInput, "model"),
            (400, "model_not_found", InvalidInput, "model"),
            (400, "max_character_limit_exceeded", InvalidInput, "longer than"),
            (400, "invalid_voice_settings", InvalidInput, "as it stands"),
            (422, "anything", InvalidInput, "as it stands"),
            (404, "anything", ProviderUnavailable, "ELEVENLABS_URL"),
            (307, "anything", ProviderUnavailable, "ELEVENLABS_URL"),
            (418, "anything", ProviderFailed, "418"),
        ],
    )
    def test_each_says_what_to_do(
        self,
        voices: ElevenLabs,
        fake: FakeElevenLabs,
        status: int,
        code: str,
        kind: type[AppError],
        words: str,
    ) -> None:
        fake.misbehave("text-to-speech", "refuse", status=status, code=code)
        with pytest.raises(kind, match=words) as caught:
            voices.synthesize(LINE, PATIENT)
        assert not isinstance(caught.value, AnswerLost)
        assert (fake.bill, len(fake.requests)) == ([], 1)

    def test_answers_of_the_older_shape(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.error_fields = ("status", "message")
        del fake.voices[HANNAH]
        with pytest.raises(InvalidInput, match="Choose another one") as caught:
            voices.synthesize(LINE, PATIENT)
        assert caught.value.field == "voice"

    def test_a_schema_error_has_a_list(self) -> None:
        body = {"detail": [{"type": "missing", "loc": ["body", "text"]}]}
        assert isinstance(paid_error(api_error(422, body)), InvalidInput)

    @pytest.mark.parametrize("body", [None, "<html>", [], {"detail": "Not Found"}, {"detail": {"status": ["x"]}}])
    def test_bodies_of_any_shape(self, body: object) -> None:
        assert isinstance(paid_error(api_error(401, body)), ProviderUnavailable)

    def test_every_meaning_is_a_sentence_for_an_operator(self) -> None:
        for meaning in MEANINGS.values():
            error = meaning.error()
            assert type(error) is meaning.kind
            assert str(error).endswith(".")
            assert not isinstance(error, AnswerLost)

    def test_a_vendor_out_of_reach_has_billed_nothing(self) -> None:
        with pytest.raises(VendorBusy, match="cannot be reached"):
            ElevenLabs("sk_any", "http://127.0.0.1:1", PATIENT).synthesize(LINE, PATIENT)

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (httpx.ConnectError("x"), VendorBusy),
            (httpx.ConnectTimeout("x"), VendorBusy),
            (httpx.PoolTimeout("x"), VendorBusy),
            (httpx.UnsupportedProtocol("x"), ProviderUnavailable),
            (httpx.InvalidURL("x"), ProviderUnavailable),
            (httpx.ReadTimeout("x"), AnswerLost),
            (httpx.WriteTimeout("x"), AnswerLost),
            (httpx.ReadError("x"), AnswerLost),
            (httpx.WriteError("x"), AnswerLost),
            (httpx.RemoteProtocolError("x"), AnswerLost),
        ],
    )
    def test_which_failures_prove_that_nothing_was_bought(self, failure: Exception, kind: type[AppError]) -> None:
        assert type(paid_error(failure)) is kind

    def test_a_redirect_is_not_followed(self, fake: FakeElevenLabs) -> None:
        """The key would go along."""
        moved = f"HTTP/1.1 307 Moved\r\nlocation: {fake.url}/v1/models\r\ncontent-length: 0\r\n\r\n"
        with Answering(moved.encode()) as other, pytest.raises(ProviderUnavailable, match="ELEVENLABS_URL"):
            ElevenLabs(fake.key, other.url, PATIENT).models()
        assert fake.requests == []


class TestTurns:
    @pytest.mark.parametrize("kind", ["too_many_concurrent_requests", "system_busy"])
    @pytest.mark.parametrize("fields", [("code",), ("status",)])
    def test_both_kinds_of_busy_are_waited_for(
        self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str, fields: tuple[str, ...]
    ) -> None:
        fake.error_fields = fields
        fake.misbehave("text-to-speech", kind, times=3)  # type: ignore[arg-type]  # one of its kinds
        assert voices.synthesize(LINE, PATIENT).units == fake.billed()
        assert (len(fake.requests), len(fake.bill)) == (4, 1)

    @pytest.mark.parametrize("kind", ["too_many_concurrent_requests", "system_busy"])
    def test_but_not_for_ever(
        self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SkippingClock()
        monkeypatch.setattr(elevenlabs, "time", clock)
        monkeypatch.setattr(Slots, "wait", lambda _, seconds: clock.sleep(seconds))
        fake.misbehave("text-to-speech", kind, times=None)  # type: ignore[arg-type]  # one of its kinds
        with pytest.raises(VendorBusy, match="Nothing was bought"):
            voices.synthesize(LINE, PATIENT)
        assert clock.skipped <= PATIENT / 2
        assert len(fake.requests) > 5
        assert fake.bill == []

    def test_a_pause_that_would_end_too_late_is_not_begun(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(elevenlabs, "FIRST_PAUSE", 600.0)
            patch.setattr(elevenlabs, "LONGEST_PAUSE", 600.0)
            fake.misbehave("text-to-speech", "system_busy")
            with pytest.raises(VendorBusy):
                voices.synthesize(LINE, PATIENT)
        assert len(fake.requests) == 1

    def test_one_key_sends_no_more_at_once_than_its_plan_allows(self, fake: FakeElevenLabs) -> None:
        fake.accounts[fake.key].max_concurrency = 3
        fake.misbehave("text-to-speech", "delay", times=None, seconds=0.02)
        instances = [ElevenLabs(fake.key, fake.url, PATIENT) for _ in range(3)]
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(lambda n: instances[n % 3].synthesize(line(f"Line {n}."), PATIENT), range(12)))
        assert len(fake.bill) == 12
        assert slots_of(fake.key).limit == 3

    def test_a_place_that_never_comes_free(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        slots = slots_of(fake.key)
        slots.learn(1)
        with slots.admit(AGES), pytest.raises(VendorBusy, match="All 1 calls"):
            voices.synthesize(LINE, 0.1)
        assert fake.requests == []
        assert voices.synthesize(LINE, PATIENT).data

    def test_a_waiting_call_goes_as_soon_as_the_limit_rises(self) -> None:
        slots = Slots(limit=1)
        entered = threading.Event()

        def enter() -> None:
            with slots.admit(AGES):
                entered.set()

        with slots.admit(AGES):
            thread = threading.Thread(target=enter)
            thread.start()
            slots.learn(2)
            assert entered.wait(10)
        thread.join(10)

    def test_a_failed_call_gives_its_place_back(self) -> None:
        slots = Slots(limit=1)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="failed"), slots.admit(AGES):
                raise RuntimeError("failed")

    def test_a_limit_of_nothing_still_admits_one(self) -> None:
        slots = Slots()
        slots.learn(0)
        with slots.admit(AGES):
            assert slots.limit == 1

    def test_keys_have_their_own_and_are_not_kept(self) -> None:
        from services.speech import slots

        assert slots_of("sk_one") is slots_of("sk_one") is not slots_of("sk_two")
        assert "sk_one" not in repr(slots._registry)

    @pytest.mark.parametrize("limit", ["", "many", "²", "-4"])
    def test_an_odd_limit_is_ignored(self, limit: str) -> None:
        slots = Slots()
        elevenlabs._learn(slots, {"maximum-concurrent-requests": limit})
        assert slots.limit == 2


class TestRecovery:
    @pytest.mark.parametrize("kind", ["lost", "html", "error", "cut", "empty", "no_cost"])
    def test_what_was_lost_is_found_with_its_price(self, voices: ElevenLabs, fake: FakeElevenLabs, kind: str) -> None:
        fake.bill_factor = Decimal(2)
        sent_at = lose(voices, fake, kind)
        found = voices.recover(LINE, sent_at=sent_at, claimed=())
        (charge,) = fake.bill
        assert found is not None
        assert (found.units, found.vendor_id) == (charge.credits, charge.request_id)
        assert found.data == fake.accounts[fake.key].history[0].audio

    def test_what_never_arrived_is_not_there(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        sent_at = lose(voices, fake, "lost_before")
        assert voices.recover(LINE, sent_at=sent_at, claimed=()) is None

    def test_of_two_the_older_then_the_other_then_none(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        sent_at = now = datetime.now(UTC)
        for later in (0, 1):
            fake.clock = lambda later=later: now + timedelta(seconds=later)
            lose(voices, fake, "lost")
        fake.clock = lambda: now + timedelta(seconds=5)
        claimed: set[str] = set()
        for charge in fake.bill:
            found = voices.recover(LINE, sent_at=sent_at, claimed=claimed)
            assert found is not None
            assert found.vendor_id == charge.request_id
            claimed.add(charge.request_id)
        assert voices.recover(LINE, sent_at=sent_at, claimed=claimed) is None

    def test_an_item_claimed_by_its_own_id_is_taken(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        sent_at = lose(voices, fake, "lost")
        item = fake.accounts[fake.key].history[0]
        assert voices.recover(LINE, sent_at=sent_at, claimed={item.id}) is None

    @pytest.mark.parametrize(
        "other",
        [
            line("Fresh bread at seven."),
            line(voice="Own4cloned0Voice0000"),
            line(model="eleven_v3"),
        ],
    )
    def test_other_texts_voices_and_models_are_others(
        self, voices: ElevenLabs, fake: FakeElevenLabs, other: Line
    ) -> None:
        sent_at = lose(voices, fake, "lost")
        assert voices.recover(other, sent_at=sent_at, claimed=()) is None

    def test_the_vendors_clock_may_be_two_minutes_behind_but_no_more(
        self, voices: ElevenLabs, fake: FakeElevenLabs
    ) -> None:
        made_at = lose(voices, fake, "lost")
        assert voices.recover(LINE, sent_at=made_at + timedelta(seconds=100), claimed=()) is not None
        assert voices.recover(LINE, sent_at=made_at + timedelta(seconds=200), claimed=()) is None

    def test_it_looks_through_all_pages(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        sent_at = lose(voices, fake, "lost")
        account = fake.accounts[fake.key]
        (lost,) = account.history
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fake, "_sound", lambda *_: (b"sound", "audio/mpeg"))
            for n in range(150):
                voices.synthesize(line(f"Line {n}."), PATIENT)
        found = voices.recover(LINE, sent_at=sent_at, claimed=())
        assert found is not None
        assert found.vendor_id == lost.charge.request_id

    @pytest.mark.parametrize("kind", ["lost", "error", "system_busy"])
    @pytest.mark.parametrize("route", ["history", "history-audio"])
    def test_a_vendor_that_cannot_be_asked_is_asked_later(
        self, voices: ElevenLabs, fake: FakeElevenLabs, route: str, kind: str
    ) -> None:
        sent_at = lose(voices, fake, "lost")
        fake.misbehave(route, kind)  # type: ignore[arg-type]  # one of its kinds
        with pytest.raises(VendorBusy):
            voices.recover(LINE, sent_at=sent_at, claimed=())
        assert voices.recover(LINE, sent_at=sent_at, claimed=()) is not None

    def test_a_history_without_the_audio_is_asked_again(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        sent_at = lose(voices, fake, "lost")
        fake.misbehave("history-audio", "empty")
        with pytest.raises(VendorBusy, match="no audio"):
            voices.recover(LINE, sent_at=sent_at, claimed=())

    def test_an_answer_that_is_no_history(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.misbehave("history", "html")
        with pytest.raises(ProviderUnavailable, match="does not understand"):
            voices.recover(LINE, sent_at=datetime.now(UTC), claimed=())

    def test_a_key_that_may_not_read_the_history(self, voices: ElevenLabs, fake: FakeElevenLabs) -> None:
        fake.accounts[fake.key].permissions.remove("speech_history_read")
        with pytest.raises(ProviderUnavailable, match=r"History \(read\)"):
            voices.recover(LINE, sent_at=datetime.now(UTC), claimed=())

    def test_one_over_the_turn_of_the_month_has_no_known_price(self) -> None:
        item = SimpleNamespace(
            voice_id=HANNAH,
            model_id=None,
            text=LINE.text,
            history_item_id="h1",
            character_count_change_from=99_990,
            character_count_change_to=9,
        )
        assert elevenlabs._matches(item, LINE)  # type: ignore[arg-type]  # has what it reads
        with pytest.raises(ProviderUnavailable, match="credits were reset"):
            elevenlabs._kept(None, item)  # type: ignore[arg-type]  # likewise; nothing is asked for


class TestSecrecy:
    def test_the_key_is_in_no_log_error_or_representation(
        self, fake: FakeElevenLabs, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """At the most talkative level, in every way a call can go wrong."""
        caplog.set_level(logging.DEBUG)
        voices = ElevenLabs(fake.key, fake.url, PATIENT)
        told = [repr(voices), str(vars(voices)), voices.test(), str(voices.synthesize(LINE, PATIENT).vendor_id)]
        for kind in ("lost", "html", "error", "cut", "no_cost"):
            fake.misbehave("text-to-speech", kind)  # type: ignore[arg-type]  # one of its kinds
            told.append(failure(lambda: voices.synthesize(LINE, PATIENT)))
            fake.misbehave("models", kind)  # type: ignore[arg-type]  # one of its kinds
        fake.misbehave("text-to-speech", "refuse", status=401, code=fake.key)
        told.append(failure(lambda: voices.synthesize(LINE, PATIENT)))
        told.append(failure(lambda: voices.recover(LINE, sent_at=datetime.now(UTC), claimed=()) and voices.models()))
        told.append(failure(lambda: ElevenLabs(fake.key, "http://127.0.0.1:1", 1).models()))
        output = capfd.readouterr()
        everything = "\n".join([*told, caplog.text, output.out, output.err, *map(str, map(vars, caplog.records))])
        assert caplog.records
        assert fake.key not in everything

    def test_an_error_carries_nothing_of_the_answer(self) -> None:
        echoed = api_error(401, {"detail": {"code": "sk_echo", "message": "sk_echo"}})
        assert "sk_echo" not in str(paid_error(echoed)) + str(free_error(echoed))


def lose(voices: ElevenLabs, fake: FakeElevenLabs, kind: str) -> datetime:
    """Speak `LINE` so that its answer is lost; the instant just before."""
    sent_at = fake.clock()
    fake.misbehave("text-to-speech", kind)  # type: ignore[arg-type]  # one of its kinds
    with pytest.raises(AnswerLost):
        voices.synthesize(LINE, PATIENT)
    return sent_at


def failure(work: object) -> str:
    """The whole traceback of what `work` raises, chained errors included."""
    try:
        work()  # type: ignore[operator]  # a callable
    except AppError as error:
        chain = [error, error.__cause__, error.__context__]
        return "".join(traceback.format_exception(error)) + repr(chain)
    return ""


class SkippingClock:
    """The time of day, but for pauses: those are over at once."""

    def __init__(self) -> None:
        self.skipped = 0.0  # seconds

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


class Answering:
    """A server that gives its one caller these bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Answering":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(65_536)
            self._tell(connection)

    def _tell(self, connection: socket.socket) -> None:
        connection.sendall(self._answer)


class Dripping(Answering):
    """Sends audio, one byte every hundredth of a second, until nobody listens."""

    def __init__(self) -> None:
        super().__init__(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncharacter-cost: 19\r\n\r\n")

    def _tell(self, connection: socket.socket) -> None:
        super()._tell(connection)
        try:
            while not self._stop.wait(0.01):
                connection.sendall(b"x")
        except OSError:
            return
