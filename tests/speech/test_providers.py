"""What every provider promises, then what is special about the embedded voice."""

import functools
import io
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import av
import numpy as np
import pytest
from pydantic import ValidationError

from services.config import settings
from services.errors import InvalidInput, ProviderFailed, ProviderUnavailable
from services.speech import hibari, registry
from services.speech.hibari import Hibari
from services.speech.provider import LONGEST_TEXT, Line, Readiness, VoiceSettings, validate_text
from tests.fakes import coqui as fake_coqui
from tests.fakes import kokoro as real_kokoro
from tests.fakes.edge import FakeEdge
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.speech import hearing

LINE = "Fresh bread at six, every day of the week."
SHORT = "Fresh bread at six."
PATIENCE = 120  # seconds, on a machine that has other things to do
NAMES = ["hibari", "practice", "elevenlabs", "kokoro", "coqui", "edge"]
# Kokoro computes for seconds; it and Coqui speak in processes of the same kind.
ALL_BUT_SLOW = [pytest.param(name, marks=pytest.mark.full) if name == "kokoro" else name for name in NAMES]


@pytest.fixture(params=NAMES)
def provider(request):
    """Each service in turn, set up; those that would leave this machine speak to a stand-in."""
    if request.param not in ("hibari", "practice"):
        request.getfixturevalue(request.param)
    return registry.provider(request.param)


@pytest.fixture
def fresh_settings():
    """The settings are read anew in this test, and again after it."""
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def elevenlabs(monkeypatch, fresh_settings):
    with FakeElevenLabs() as fake:
        monkeypatch.setenv("ELEVENLABS_API_KEY", fake.key)
        monkeypatch.setenv("ELEVENLABS_URL", fake.url)
        yield fake


@pytest.fixture(scope="module")
def kokoro_files():
    with real_kokoro.files() as files:
        yield files


@pytest.fixture
def kokoro(monkeypatch, kokoro_files, fresh_settings):
    real_kokoro.install(monkeypatch, kokoro_files)


@pytest.fixture
def coqui(monkeypatch, tmp_path, fresh_settings):
    fake_coqui.install(monkeypatch, tmp_path)


@pytest.fixture
def edge(monkeypatch):
    with FakeEdge() as fake:
        fake.redirect(monkeypatch)
        registry.provider("edge").test()  # forgets the voices of another test's server
        yield fake


class TestEveryProvider:
    def test_says_what_it_is(self, provider):
        assert registry.provider(provider.name) is provider
        assert provider.label
        slowest, fastest = provider.speeds
        assert 0.5 <= slowest <= 1 <= fastest <= 2
        assert provider.state().readiness is Readiness.READY
        assert provider.paid_outside == (provider.name == "elevenlabs")
        assert provider.local == (provider.name not in ("elevenlabs", "edge"))

    def test_lists_models_and_voices_with_ids_of_their_own(self, provider):
        for listed in (provider.models(), provider.voices()):
            ids = [each.id for each in listed]
            assert len(set(ids)) == len(ids) > 0
        assert all(model.max_characters >= 500 for model in provider.models())

    def test_says_what_works(self, provider):
        assert provider.test().endswith(".")

    def test_gives_a_file_whose_sound_is_of_the_usual_pace(self, provider):
        samples, rate = _decoded(_spoken(provider, SHORT).data)
        assert 0.05 < np.abs(samples).max() <= 1.0
        assert 0.8 < len(samples) / rate < 2.5

    @pytest.mark.parametrize("provider", ALL_BUT_SLOW, indirect=True)
    @pytest.mark.parametrize("text", [SHORT, " Hi 👋! A cafe\u0301 at 6"])
    def test_counts_the_characters_as_they_were_typed(self, provider, text):
        usual = provider.models()[0].multiplier * provider.voices()[0].multiplier
        assert _spoken(provider, text).units == len(text) * usual

    @pytest.mark.parametrize("provider", ALL_BUT_SLOW, indirect=True)
    def test_a_higher_speed_is_shorter(self, provider):
        if provider.name == "elevenlabs":
            pytest.skip("its stand-in has one pace; its own tests look at the speed it is asked for")
        lengths = [_seconds(_spoken(provider, SHORT, speed)) for speed in provider.speeds]
        slowest, fastest = provider.speeds
        assert lengths[0] / lengths[1] > 0.75 * fastest / slowest

    @pytest.mark.parametrize("field", ["voice", "model"])
    def test_refuses_an_unknown_voice_or_model(self, provider, field):
        with pytest.raises(InvalidInput) as refused:
            provider.synthesize(replace(_line(provider, LINE), **{field: "nobody"}), 30)
        assert refused.value.field == field

    @pytest.mark.parametrize("text", ["", " \n\t ", "\x07\x1b", "\u200b\u202e", "👋🎉"])
    def test_refuses_text_with_nothing_to_speak(self, provider, text):
        for attempt in (provider.check, lambda text: provider.synthesize(_line(provider, text), 30)):
            with pytest.raises(InvalidInput) as refused:
                attempt(text)
            assert refused.value.field == "text"

    def test_takes_orders_up_to_the_longest_text(self, provider):
        longest = _long(LONGEST_TEXT)
        provider.check(longest)
        with pytest.raises(InvalidInput, match="is 2 characters too long"):
            provider.check(longest + "!!")

    def test_takes_no_line_longer_than_its_model_does(self, provider):
        limit = provider.models()[0].max_characters
        with pytest.raises(InvalidInput) as refused:
            provider.synthesize(_line(provider, _long(limit + 1)), 30)
        assert refused.value.field == "text"

    @pytest.mark.parametrize("provider", ALL_BUT_SLOW, indirect=True)
    def test_serves_several_threads_at_once(self, provider):
        line = _line(provider, SHORT)
        with ThreadPoolExecutor(2) as pool:
            seconds = [_seconds(speech) for speech in pool.map(lambda _: provider.synthesize(line, PATIENCE), range(2))]
        assert seconds[0] == seconds[1] > 0


def _line(provider, text, speed=1.0):
    """In the default voice and model."""
    voice, model = provider.voices()[0].id, provider.models()[0].id
    return Line(text=text, voice=voice, model=model, settings=VoiceSettings(speed=speed))


def _spoken(provider, text, speed=1.0):
    """Kokoro takes seconds for a line, so what it said once is not asked for again."""
    speak = _remembered if provider.name == "kokoro" else _speak_now
    return speak(provider, text, speed)


def _speak_now(provider, text, speed):
    return provider.synthesize(_line(provider, text, speed), PATIENCE)


_remembered = functools.cache(_speak_now)


def _long(length):
    return ("bread " * length)[: length - 1] + "!"


def _decoded(data):
    """Mono samples and their rate."""
    resampler = av.AudioResampler(format="flt", layout="mono")
    with av.open(io.BytesIO(data)) as container:
        rate = container.streams.audio[0].rate
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]), rate


def _seconds(speech):
    samples, rate = _decoded(speech.data)
    return len(samples) / rate


class TestRegistry:
    def test_offers_the_embedded_voice_first_and_the_unofficial_one_last(self):
        assert [provider.name for provider in registry.providers()] == NAMES

    def test_keeps_one_elevenlabs_until_key_or_address_change(self, monkeypatch, fresh_settings):
        first = registry.provider("elevenlabs")
        assert registry.provider("elevenlabs") is first
        monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_another")
        settings.cache_clear()
        second = registry.provider("elevenlabs")
        assert second is not first
        monkeypatch.setenv("ELEVENLABS_URL", "https://api.eu.residency.elevenlabs.io")
        settings.cache_clear()
        assert registry.provider("elevenlabs") is not second


@pytest.mark.parametrize("speed", [0.49, 2.01, float("nan"), "fast"])
def test_a_speed_out_of_bounds_is_no_setting(speed):
    with pytest.raises(ValidationError):
        VoiceSettings(speed=speed)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError):
        VoiceSettings(pitch=2)


def test_an_unknown_provider_is_named():
    with pytest.raises(InvalidInput, match="“nobody”"):
        registry.provider("nobody")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "nothing to speak yet"),
        (" \n", "nothing to speak yet"),
        ("\x07 \u200b", "only invisible characters"),
        ("x" * 11, "is 1 character too long: it has 11, and 10 fit"),
    ],
)
def test_validation_says_what_is_wrong(text, sentence):
    with pytest.raises(InvalidInput, match=sentence) as refused:
        validate_text(text, 10)
    assert refused.value.field == "text"


def test_ten_code_points_fit_into_ten_whatever_their_bytes():
    validate_text("🥖" * 10, 10)


class TestEmbeddedVoice:
    def test_is_understood(self):
        line = "We open at six in the morning and the bread is still warm"
        speech = _speak(f"{line}.")
        heard = hearing.words(speech.data)
        words = line.lower().split()
        assert sum(word in heard for word in words) >= 0.75 * len(words), heard

    def test_the_same_text_gives_the_same_samples(self):
        assert _speak(LINE).data == _speak(LINE).data

    def test_control_characters_inside_a_text_are_not_heard(self):
        assert _speak("Fresh\tbread\x07 at six.").data == _speak("Fresh bread at six.").data

    def test_practice_premium_sounds_the_same_and_calls_itself_practice(self):
        practice = registry.provider("practice")
        assert _spoken(practice, LINE).data == _speak(LINE).data
        assert "nobody is billed" in practice.label

    def test_needs_no_network(self, fresh_engine, monkeypatch):
        def refuse(*_):
            raise AssertionError("the embedded voice went to the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        assert _seconds(_speak(LINE)) > 1

    def test_many_threads_load_one_engine(self, fresh_engine, monkeypatch):
        import hibari as package

        loads = []
        load = package.Hibari
        monkeypatch.setattr(package, "Hibari", lambda **options: loads.append(options) or load(**options))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: hibari.warm(), range(8)))
        assert len(loads) == 1

    def test_a_broken_installation_is_unavailable_and_recovers(self, fresh_engine, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setitem(sys.modules, "hibari", None)
            with pytest.raises(ProviderUnavailable, match="cannot be loaded on this machine"):
                Hibari().test()
            with pytest.raises(ProviderUnavailable):
                _speak(LINE)
        assert Hibari().test().startswith("Ready")

    def test_a_missing_package_is_said_with_the_command(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "hibari", None)
        state = Hibari().state()
        assert state.readiness is Readiness.NOT_INSTALLED
        assert "pip install -r requirements.txt" in state.sentence

    def test_silence_for_an_answer_is_a_failure(self, monkeypatch):
        monkeypatch.setattr(hibari._engine(), "phonemize", lambda text: [])
        with pytest.raises(ProviderFailed, match="English letters and digits only"):
            _speak(LINE)

    def test_a_crash_of_the_engine_is_a_failure_with_a_sentence(self, monkeypatch):
        def crash(text):
            raise IndexError("list index out of range")

        monkeypatch.setattr(hibari._engine(), "phonemize", crash)
        with pytest.raises(ProviderFailed, match=r"stumbled over this text \(IndexError\)"):
            _speak(LINE)
        assert not hibari._lock.locked()

    def test_a_sentence_without_an_end_is_spoken_in_bounded_pieces(self, monkeypatch):
        said = []
        engine = hibari._engine()
        speak = engine.from_phonemes
        monkeypatch.setattr(
            engine, "from_phonemes", lambda sounds, **options: said.append(len(sounds)) or speak(sounds, **options)
        )
        speech = _speak("fresh bread every single day " * 25)
        assert len(said) > 1
        assert max(said) <= hibari.LONGEST_PIECE
        assert 25 < _seconds(speech) < 60


def test_pieces_are_cut_between_words_and_lose_nothing():
    sounds = "abcd " * 30 + "x" * 25
    cut = list(hibari.pieces(sounds, longest=12))
    assert max(map(len, cut)) <= 12
    assert "".join(cut).replace(" ", "") == sounds.replace(" ", "")
    assert cut[0] == "abcd abcd"


def test_pieces_join_without_a_gap_or_a_click():
    quiet = np.zeros(7_000, np.float32)
    tone = 0.4 * np.sin(np.arange(12_000) * (2 * np.pi * 200 / hibari.SAMPLE_RATE)).astype(np.float32)
    part = np.concatenate([quiet, tone, quiet])
    joined = hibari.join([part, part])
    loud = np.flatnonzero(np.abs(joined) > hibari.SILENCE)
    assert np.diff(loud).max() <= 2 * hibari.MARGIN + 200  # at most 28 ms of silence inside
    assert np.abs(np.diff(joined)).max() <= np.abs(np.diff(tone)).max() * 1.2
    assert len(joined) == pytest.approx(2 * len(tone) + 2 * len(quiet), abs=4 * hibari.MARGIN)


def test_a_silent_piece_vanishes_from_a_joint():
    tone = np.full(1_000, 0.3, np.float32)
    assert len(hibari.join([tone, np.zeros(5_000, np.float32), tone])) == 2_000


@pytest.fixture
def fresh_engine():
    """As in a new process."""
    hibari._engine.cache_clear()


def _speak(text):
    return _spoken(Hibari(), text)
