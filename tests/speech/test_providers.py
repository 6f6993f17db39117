"""What every provider promises, then what is special about the embedded voice."""

import io
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from pocketsphinx import Decoder
from pydantic import ValidationError

from services import audio
from services.errors import InvalidInput, ProviderFailed, ProviderUnavailable
from services.speech import hibari, registry
from services.speech.hibari import Hibari
from services.speech.provider import VoiceSettings, validate_text

LINE = "Fresh bread at six, every day of the week."
NORMAL = VoiceSettings()


@pytest.fixture(params=registry.providers(), ids=lambda provider: provider.name)
def provider(request):
    return request.param


@pytest.fixture
def speak(provider):
    """Speak with the provider's first voice and model."""

    def spoken(text, **chosen):
        usual = {"voice": provider.voices()[0].id, "model": provider.models[0], "settings": NORMAL}
        return provider.synthesize(text, **(usual | chosen))

    return spoken


class TestEveryProvider:
    def test_says_what_it_is(self, provider):
        assert registry.provider(provider.name) is provider
        assert provider.label
        assert len(set(provider.models)) == len(provider.models) > 0
        assert provider.max_characters >= 1_000

    def test_lists_voices_with_ids_of_their_own(self, provider):
        ids = [voice.id for voice in provider.voices()]
        assert len(set(ids)) == len(ids) > 0

    def test_says_that_it_is_ready(self, provider):
        assert provider.test().startswith("Ready: ")

    def test_gives_mono_float_samples_that_are_not_silent(self, speak):
        speech = speak(LINE)
        assert speech.samples.dtype == np.float32
        assert speech.samples.ndim == 1
        assert 0.05 < np.abs(speech.samples).max() <= 1.0
        assert 1.5 < len(speech.samples) / speech.sample_rate < 5.0

    @pytest.mark.parametrize("text", [LINE, "Hi 👋!", "cafe\u0301", "  padded  "])
    def test_counts_the_characters_as_they_were_typed(self, speak, text):
        assert speak(text).characters == len(text)

    def test_a_higher_speed_is_shorter(self, speak):
        slow, fast = (speak(LINE, settings=VoiceSettings(speed=speed)) for speed in (0.5, 2.0))
        assert len(slow.samples) > 1.5 * len(fast.samples)

    @pytest.mark.parametrize("field", ["voice", "model"])
    def test_refuses_an_unknown_voice_or_model(self, speak, field):
        with pytest.raises(InvalidInput, match="called “nobody”") as refused:
            speak(LINE, **{field: "nobody"})
        assert refused.value.field == field

    @pytest.mark.parametrize("text", ["", " \n\t ", "\x07\x1b", "\u200b\u202e", "👋🎉"])
    def test_refuses_text_with_nothing_to_speak(self, provider, speak, text):
        for attempt in (provider.check, speak):
            with pytest.raises(InvalidInput) as refused:
                attempt(text)
            assert refused.value.field == "text"

    def test_says_by_how_much_a_text_is_too_long(self, provider, speak):
        longest = ("bread " * provider.max_characters)[: provider.max_characters - 1] + "!"
        provider.check(longest)
        for attempt in (provider.check, speak):
            with pytest.raises(InvalidInput, match="is 2 characters too long"):
                attempt(longest + "!!")

    def test_serves_several_threads_at_once(self, speak):
        with ThreadPoolExecutor(4) as pool:
            lengths = {len(speech.samples) for speech in pool.map(speak, [LINE] * 4)}
        assert len(lengths) == 1


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
    def test_is_understood_after_levelling_and_mp3(self):
        line = "We open at six in the morning and the bread is still warm"
        speech = _speak(f"{line}.")
        heard = _recognize(audio.finish(speech.samples, speech.sample_rate, "mp3").data)
        words = line.lower().split()
        assert sum(word in heard for word in words) >= 0.75 * len(words), heard

    def test_the_same_text_gives_the_same_samples(self):
        assert np.array_equal(_speak(LINE).samples, _speak(LINE).samples)

    def test_control_characters_inside_a_text_are_not_heard(self):
        assert np.array_equal(_speak("Fresh\tbread\x07 at six.").samples, _speak("Fresh bread at six.").samples)

    def test_practice_premium_sounds_the_same_and_calls_itself_practice(self):
        practice = registry.provider("practice")
        speech = practice.synthesize(LINE, voice="premium", model="premium", settings=NORMAL)
        assert np.array_equal(speech.samples, _speak(LINE).samples)
        assert "nobody is billed" in practice.label

    def test_needs_no_network(self, fresh_engine, monkeypatch):
        def refuse(*_):
            raise AssertionError("the embedded voice went to the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        assert len(_speak(LINE).samples) > 0

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
        assert 25 < len(speech.samples) / speech.sample_rate < 60


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
    return Hibari().synthesize(text, voice="heart", model="heart", settings=NORMAL)


def _recognize(mp3):
    """The words that a small offline recognizer hears in a file."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(io.BytesIO(mp3)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(b"".join(frame.to_ndarray().tobytes() for frame in frames), full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr.split()
