"""Edge against its stand-in: what is sent, and what its failures become."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.errors import InvalidInput, ProviderFailed, ProviderUnavailable, VendorBusy
from services.speech import edge
from services.speech.edge import Edge
from services.speech.provider import Line, Readiness, VoiceSettings
from tests.fakes.edge import FakeEdge, entry


@pytest.fixture
def fake(monkeypatch):
    with FakeEdge() as running:
        running.redirect(monkeypatch)
        yield running


def speak(text="Fresh bread at six.", seconds=10, speed=1.0, voice=edge.DEFAULT, service=None):
    line = Line(text=text, voice=voice, model="edge", settings=VoiceSettings(speed=speed))
    return (service or Edge()).synthesize(line, seconds)


class TestVoices:
    def test_begin_with_a_plain_american_one(self, fake):
        ids = [voice.id for voice in Edge().voices()]
        assert ids[0] == "en-US-AriaNeural"
        assert ids[-2:] == ["af-ZA-AdriNeural", "ru-RU-DmitryNeural"]

    def test_are_named_for_people(self, fake):
        voice = next(voice for voice in Edge().voices() if voice.id == "ru-RU-DmitryNeural")
        assert (voice.name, voice.language, voice.description) == ("Dmitry", "ru-RU", "Male, Friendly, Positive")

    def test_that_are_multilingual_have_no_language(self, fake):
        voice = next(voice for voice in Edge().voices() if "Multilingual" in voice.id)
        assert (voice.name, voice.language) == ("Emma, multilingual", "")

    def test_of_a_dialect_keep_its_tag(self, fake):
        fake.voices = [entry("zh-CN-liaoning-XiaobeiNeural")]
        voice = Edge().voices()[0]
        assert (voice.name, voice.language) == ("Xiaobei", "zh-CN-liaoning")

    def test_are_listed_once_an_hour_and_at_each_test(self, fake, monkeypatch):
        service = Edge()
        for _ in range(3):
            service.voices()
        assert fake.listings == 1
        assert "5 voices" in service.test()
        assert fake.listings == 2
        monkeypatch.setattr(edge, "LIST_LIFE", -1.0)
        service.voices()
        assert fake.listings == 3

    def test_are_listed_once_by_many_threads(self, fake):
        service = Edge()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: service.voices(), range(8)))
        assert fake.listings == 1

    def test_that_are_none_make_it_unavailable(self, fake):
        fake.voices = []
        with pytest.raises(ProviderUnavailable, match="offers no voice"):
            Edge().voices()


class TestSpeech:
    @pytest.mark.parametrize(("speed", "rate"), [(0.5, -50), (1.0, 0), (1.25, 25), (2.0, 100)])
    def test_is_asked_for_at_its_pace(self, fake, speed, rate):
        speak(speed=speed)
        assert [order.rate for order in fake.orders] == [rate]

    def test_is_asked_for_as_typed_but_for_control_characters(self, fake):
        speak("Bread <b>&\x07 “six” \ud800\uffff'é'")
        assert [order.text for order in fake.orders] == ["Bread <b>&  “six”   'é'"]
        assert "AriaNeural" in fake.orders[0].voice

    def test_of_a_long_text_comes_in_one_piece(self, fake):
        text = "Свежий хлеб. " * 200  # 4,600 bytes: more than one message takes
        speech = speak(text)
        assert speech.units == len(text)
        assert len(fake.orders) == 2
        assert len(speech.data) == pytest.approx(6_000 * sum(order.seconds for order in fake.orders), rel=0.05)

    def test_in_an_unknown_voice_is_not_asked_for(self, fake):
        with pytest.raises(InvalidInput, match="no voice called “nobody”"):
            speak(voice="nobody")
        assert fake.orders == []


class TestFailures:
    @pytest.mark.parametrize(
        ("trouble", "error", "sentence"),
        [
            ("no sound", ProviderFailed, "gave no sound for this text"),
            ("hang up", ProviderFailed, "gave no sound for this text"),
            ("cut", VendorBusy, "was cut off"),
            ("strange", ProviderUnavailable, r"UnknownResponse.*pip install --upgrade"),
        ],
    )
    def test_of_the_answer(self, fake, trouble, error, sentence):
        fake.trouble = trouble
        with pytest.raises(error, match=sentence):
            speak()

    @pytest.mark.parametrize(("status", "error"), [(403, ProviderUnavailable), (429, VendorBusy), (503, VendorBusy)])
    def test_of_the_service(self, fake, status, error):
        service = Edge()
        service.voices()
        fake.status = status
        with pytest.raises(error, match=str(status)):
            speak(service=service)

    @pytest.mark.parametrize("status", [403, 503])
    def test_of_the_list_is_unavailable_to_a_page_but_busy_to_a_job(self, fake, status):
        fake.status = status
        for ask in (Edge().voices, Edge().test):
            with pytest.raises(ProviderUnavailable, match=str(status)):
                ask()
        with pytest.raises(VendorBusy if status == 503 else ProviderUnavailable):
            speak()

    def test_to_answer_in_time(self, fake):
        service = Edge()
        service.voices()
        fake.trouble = "hang"
        with pytest.raises(VendorBusy, match=r"did not answer within 0\.2 seconds"):
            speak(seconds=0.2, service=service)

    def test_to_reach_it(self, fake, monkeypatch):
        monkeypatch.setattr("edge_tts.voices.VOICE_LIST", "http://127.0.0.1:9/voices/list?trustedclienttoken=T")
        with pytest.raises(ProviderUnavailable, match="cannot be reached"):
            Edge().test()
        with pytest.raises(VendorBusy, match="cannot be reached"):
            speak()


class TestState:
    def test_names_the_command_that_installs_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "edge_tts", None)
        state = Edge().state()
        assert state.readiness is Readiness.NOT_INSTALLED
        assert f'pip install "{edge.REQUIREMENT}"' in state.sentence
        with pytest.raises(ProviderUnavailable, match="not installed"):
            speak()

    @pytest.mark.parametrize("error", ["ImportError", "RuntimeError", "SyntaxError"])
    def test_is_broken_whatever_the_import_raises(self, monkeypatch, tmp_path, error):
        (tmp_path / "edge_tts.py").write_text(f"raise {error}")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "edge_tts", raising=False)
        state = Edge().state()
        assert state.readiness is Readiness.BROKEN
        assert f"({error})" in state.sentence

    def test_label_says_that_it_is_unofficial(self):
        assert "unofficial: for personal use and testing" in Edge.label

    def test_command_asks_for_what_the_extras_do(self):
        assert edge.REQUIREMENT in Path("requirements-extras.txt").read_text("utf-8")
