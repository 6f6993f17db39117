"""Kokoro and Coqui: what they need, and processes of their own that cannot hang, ask or leave anything behind."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.errors import InvalidInput, ProviderFailed, ProviderUnavailable, VendorBusy
from services.speech import coqui, kokoro, local_engine
from services.speech.coqui import Coqui
from services.speech.kokoro import Kokoro
from services.speech.provider import Line, Readiness, VoiceSettings
from tests.fakes import coqui as fake_coqui
from tests.fakes import kokoro as real_kokoro
from tests.speech import hearing

VITS = "tts_models/en/ljspeech/vits"
VCTK = "tts_models/en/vctk/vits"
EXTRAS = Path("requirements-extras.txt").read_text("utf-8")


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No engine is set up, and nothing is remembered."""
    for name in ("KOKORO_MODEL", "KOKORO_VOICES", "COQUI_MODEL", "TTS_HOME", "COQUI_TOS_AGREED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local_engine, "PATIENCE", 30)
    fake_coqui.forget()
    yield
    fake_coqui.forget()


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Coqui's stand-in with its default model."""
    fake_coqui.install(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def files():
    """Kokoro's real ones."""
    with real_kokoro.files() as found:
        yield found


def speak(text="Fresh bread at six.", seconds=20.0, voice="ljspeech", model=VITS, speed=1.0):
    return Coqui().synthesize(Line(text=text, voice=voice, model=model, settings=VoiceSettings(speed=speed)), seconds)


class TestCoquiState:
    def test_names_the_command_that_installs_it(self):
        state = Coqui().state()
        assert state.readiness is Readiness.NOT_INSTALLED
        assert coqui.INSTALL in state.sentence
        assert "coqui" not in [line.partition("-")[0] for line in EXTRAS.splitlines()]

    def test_names_the_model_and_the_command_that_downloads_it(self, installed):
        model = installed / "tts" / "tts_models--en--ljspeech--vits" / "model_file.pth"
        assert Coqui().state().ready
        model.write_bytes(b"")
        state = Coqui().state()
        assert state.readiness is Readiness.MODEL_MISSING
        assert str(model.parent) in state.sentence
        assert f"tts --model_name {VITS}" in state.sentence
        with pytest.raises(ProviderUnavailable, match="Download it once"):
            speak()

    @pytest.mark.parametrize(
        ("variables", "folder"),
        [
            ({"TTS_HOME": "/models", "XDG_DATA_HOME": "/data"}, "/models/tts"),
            ({"XDG_DATA_HOME": "/data"}, "/data/tts"),
            ({"HOME": "/home/ann"}, "/home/ann/.local/share/tts"),
        ],
    )
    def test_looks_where_the_package_keeps_its_models(self, monkeypatch, variables, folder):
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        monkeypatch.setattr("sys.platform", "linux")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert str(coqui._folder(VITS)) == f"{folder}/tts_models--en--ljspeech--vits"

    def test_names_the_program_it_reads_with(self, installed):
        (installed / "bin" / "espeak-ng").unlink()
        state = Coqui().state()
        assert state.readiness is Readiness.MODEL_MISSING
        assert "apt install espeak-ng" in state.sentence

    @pytest.mark.parametrize(
        ("model", "reason"),
        [
            ("tts_models/multilingual/multi-dataset/xtts_v2", r"CPML.*forbids commercial use.*company.*is gone"),
            ("tts_models/multilingual/multi-dataset/your_tts", "CC BY-NC-ND.*forbids commercial use"),
            ("tts_models/eng/fairseq/vits", r"CC BY-NC\).*forbids commercial use"),
            ("tts_models/de/thorsten/vits", "not known to allow commercial use"),
            ("../../etc", "not known to allow commercial use"),
        ],
    )
    def test_refuses_by_name_what_may_not_be_used(self, installed, monkeypatch, model, reason):
        monkeypatch.setenv("COQUI_MODEL", model)
        fake_coqui.forget()
        state = Coqui().state()
        assert state.readiness is Readiness.BROKEN
        assert f"“{model}”" in state.sentence
        assert VITS in state.sentence
        for ask in (Coqui().models, Coqui().voices, Coqui().test, lambda: speak(model=model)):
            with pytest.raises(ProviderUnavailable, match=reason):
                ask()

    def test_is_broken_when_its_parts_do_not_fit_together(self, installed, monkeypatch, caplog):
        fake_coqui.misbehave(monkeypatch, "broken")
        state = Coqui().state()
        assert state.readiness is Readiness.BROKEN
        assert coqui.INSTALL in state.sentence
        assert "CUDA" not in state.sentence
        assert "RuntimeError: PyTorch has CUDA version 13.2 whereas TorchAudio has CUDA version 13.0." in caplog.text
        with pytest.raises(ProviderUnavailable, match="cannot be imported"):
            speak()

    def test_is_asked_once_and_again_by_a_test(self, installed, monkeypatch):
        fake_coqui.misbehave(monkeypatch, "broken")
        assert not Coqui().state().ready
        monkeypatch.setenv("FAKE_COQUI", "")
        assert Coqui().state().readiness is Readiness.BROKEN
        assert "Ready" in Coqui().test()
        assert Coqui().state().ready

    def test_does_not_wait_for_a_slow_import(self, installed, monkeypatch):
        monkeypatch.setattr(local_engine, "PATIENCE", 0.05)
        monkeypatch.setattr(local_engine, "IMPORTING", 0.5)
        fake_coqui.misbehave(monkeypatch, "hang on import")
        assert Coqui().state().ready
        assert local_engine._importing("coqui").result(10) != 0
        assert Coqui().state().readiness is Readiness.BROKEN


class TestCoquiVoices:
    def test_of_the_model_with_one_speaker(self, installed):
        assert [(voice.id, voice.language) for voice in Coqui().voices()] == [("ljspeech", "en-US")]
        assert [model.id for model in Coqui().models()] == [VITS]

    def test_of_the_model_with_many_speakers(self, tmp_path, monkeypatch):
        fake_coqui.install(monkeypatch, tmp_path, VCTK)
        assert [voice.id for voice in Coqui().voices()] == ["p225", "p226"]
        assert speak(voice="p226", model=VCTK).units == 19
        with pytest.raises(InvalidInput, match="no voice called “ljspeech”"):
            speak(model=VCTK)

    def test_that_are_not_listed_make_it_unavailable(self, tmp_path, monkeypatch):
        fake_coqui.install(monkeypatch, tmp_path, VCTK)
        next(tmp_path.rglob("speaker_ids.json")).write_text("{")
        with pytest.raises(ProviderUnavailable, match="missing or damaged"):
            Coqui().voices()


class TestProcess:
    def test_that_hangs_is_killed_with_what_it_started(self, installed, monkeypatch, tmp_path):
        child = tmp_path / "child"
        monkeypatch.setenv("FAKE_COQUI_CHILD", str(child))
        fake_coqui.misbehave(monkeypatch, "hang")
        with pytest.raises(ProviderFailed, match=r"took longer than 5 seconds and was stopped.*ENGINE_SECONDS"):
            speak(seconds=5)
        assert _ended(int(child.read_text()))

    def test_that_asks_a_question_gets_no_answer(self, installed, monkeypatch, caplog):
        fake_coqui.misbehave(monkeypatch, "prompt")
        with pytest.raises(ProviderUnavailable, match="cannot be loaded on this machine"):
            speak()
        assert "EOFError" in caplog.text

    def test_that_crashes_is_a_failure(self, installed, monkeypatch, caplog):
        fake_coqui.misbehave(monkeypatch, "crash")
        with pytest.raises(ProviderFailed, match="could not speak this text"):
            speak()
        assert "coqui ended with -6" in caplog.text

    def test_that_gives_silence_is_a_failure(self, installed, monkeypatch, caplog):
        fake_coqui.misbehave(monkeypatch, "silence")
        with pytest.raises(ProviderFailed, match="could not speak this text"):
            speak()
        assert "only silence came out" in caplog.text

    def test_knows_no_secret_and_agrees_to_no_terms(self, installed, monkeypatch):
        monkeypatch.setenv("ELEVENLABS_API_KEY", "sk_secret")
        monkeypatch.setenv("COQUI_TOS_AGREED", "1")
        assert speak().units == 19

    def test_waits_for_its_turn_and_no_longer(self, installed):
        with local_engine._one, pytest.raises(VendorBusy, match="still speaking something else"):
            speak(seconds=0.1)
        assert not local_engine._one.locked()

    def test_ends_itself_when_its_parent_is_gone(self, installed, monkeypatch, tmp_path):
        monkeypatch.setenv("FAKE_COQUI_CHILD", str(tmp_path / "child"))
        fake_coqui.misbehave(monkeypatch, "hang")
        script = (
            "import json, signal, sys; from services.speech import engine; engine.GRACE = 0;"
            "sys.exit(engine.main('coqui'))"
        )
        request = {"task": "speak", "model": VITS, "text": "a", "voice": None, "speed": 1, "seconds": 2}
        ended = _python(script, json.dumps(request | {"file": str(tmp_path / "x.wav")}))
        os.kill(int((tmp_path / "child").read_text()), 9)
        assert ended == -14  # SIGALRM

    def test_leaves_no_file_behind(self, installed, monkeypatch, tmp_path):
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        speak()
        fake_coqui.misbehave(monkeypatch, "silence")
        with pytest.raises(ProviderFailed):
            speak()
        assert list(folder.iterdir()) == []


class TestKokoroState:
    @pytest.fixture
    def damaged(self, monkeypatch, tmp_path):
        pytest.importorskip("kokoro_onnx")
        model, voices = tmp_path / "model.onnx", tmp_path / "voices.bin"
        model.write_bytes(b"no model")
        voices.write_bytes(b"no voices")
        real_kokoro.install(monkeypatch, (model, voices))
        return model, voices

    def test_names_the_command_that_installs_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "kokoro_onnx", None)
        state = Kokoro().state()
        assert state.readiness is Readiness.NOT_INSTALLED
        assert f'pip install "{kokoro.REQUIREMENT}"' in state.sentence
        assert f'{kokoro.REQUIREMENT}; python_version < "3.14"' in EXTRAS

    @pytest.mark.parametrize(
        ("setting", "file"), [("KOKORO_MODEL", "kokoro-v1.0.onnx"), ("KOKORO_VOICES", "voices-v1.0.bin")]
    )
    def test_names_the_setting_and_the_file_that_are_missing(self, damaged, monkeypatch, tmp_path, setting, file):
        monkeypatch.delenv(setting)
        fake_coqui.forget()
        assert _sentence(Readiness.MODEL_MISSING).startswith(f"Download {file} from ")
        for place in (tmp_path / "nowhere", tmp_path, _empty(tmp_path)):
            monkeypatch.setenv(setting, str(place))
            fake_coqui.forget()
            assert _sentence(Readiness.MODEL_MISSING).startswith(f"{setting} names {place}, which is missing or empty")
            with pytest.raises(ProviderUnavailable, match=setting):
                Kokoro().voices()

    def test_is_broken_when_the_import_fails(self, damaged, monkeypatch, tmp_path, caplog):
        (tmp_path / "kokoro_onnx.py").write_text("raise OSError('libespeak-ng.so: cannot open')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        assert kokoro.REQUIREMENT in _sentence(Readiness.BROKEN)
        assert "OSError: libespeak-ng.so: cannot open" in caplog.text

    def test_says_that_files_are_damaged(self, damaged):
        with pytest.raises(ProviderUnavailable, match=r"voices\.bin, which is damaged"):
            Kokoro().voices()
        with pytest.raises(ProviderUnavailable, match=r"voices\.bin, which is damaged"):
            Kokoro().test()


class TestKokoro:
    def test_is_understood(self, files, monkeypatch):
        real_kokoro.install(monkeypatch, files)
        line = "We open at six in the morning"
        speech = Kokoro().synthesize(Line(text=f"{line}.", voice="am_kumo", model="kokoro"), 120)
        heard = hearing.words(speech.data)
        words = line.lower().split()
        assert sum(word in heard for word in words) >= 0.6 * len(words), heard

    def test_offers_the_voices_it_can_read_with(self, files, monkeypatch):
        real_kokoro.install(monkeypatch, files)
        assert [(v.id, v.name, v.language, v.description) for v in Kokoro().voices()] == [
            ("am_kumo", "Kumo", "en-US", "Male")
        ]

    def test_with_a_damaged_model_is_unavailable(self, files, monkeypatch, tmp_path, caplog):
        (tmp_path / "model.onnx").write_bytes(b"no model")
        real_kokoro.install(monkeypatch, (tmp_path / "model.onnx", files[1]))
        with pytest.raises(ProviderUnavailable, match="Kokoro cannot be loaded"):
            Kokoro().test()
        assert "InvalidProtobuf" in caplog.text


def _sentence(readiness):
    state = Kokoro().state()
    assert state.readiness is readiness
    return state.sentence


def _empty(folder):
    (folder / "empty").touch()
    return folder / "empty"


def _python(script, asked):

    return subprocess.run([sys.executable, "-c", script], input=asked.encode(), timeout=20, check=False).returncode


def _ended(pid, seconds=5.0):
    """Whether a process is gone, or will be in a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or ") Z " in status.read_text():
            return True
        time.sleep(0.02)
    return False
