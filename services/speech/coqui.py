"""Coqui: free, offline English; an optional, heavy package and a model that the operator downloads."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from services.config import settings
from services.errors import ProviderUnavailable
from services.speech import local_engine
from services.speech.checks import (
    is_installed,
    require_ready,
    validate_letters,
    validate_line,
    without_controls,
)
from services.speech.engine import Request
from services.speech.provider import Line, Model, Readiness, Speech, State, Voice

# With any newer PyTorch the package cannot be imported, and six it forgets to ask for.
INSTALL = 'pip install "coqui-tts[codec]~=0.28.0" "torch==2.11.*" "torchaudio==2.11.*" six'


@dataclass(frozen=True)
class _Allowed:
    name: str
    voice: Voice | None  # None: the model's folder lists its speakers


# Licensed Apache 2.0, as their makers say. Others may not be used in trade, or nobody says whether they may.
_ALLOWED = {
    "tts_models/en/ljspeech/vits": _Allowed(
        "LJ Speech", Voice(id="ljspeech", name="LJ", language="en-US", description="Female")
    ),
    "tts_models/en/vctk/vits": _Allowed("VCTK", None),
}
_REASONS = {
    "xtts": "its licence (CPML) forbids commercial use, and the company that could sell another is gone",
    "your_tts": "its licence (CC BY-NC-ND) forbids commercial use",
    "fairseq": "its licence (CC BY-NC) forbids commercial use",
}
_UNKNOWN = "its licence is not known to allow commercial use"
MAX_CHARACTERS = 1_000  # 70 s of speech; loading the model takes the greater part of a call


class Coqui:
    name = "coqui"
    label = "Coqui (free, offline)"
    paid_outside = False
    local = True
    speeds = (0.5, 2.0)
    takes_stability = False

    def state(self) -> State:
        if refused := _refusal():
            return State(Readiness.BROKEN, refused)
        if not is_installed("TTS"):
            return State(Readiness.NOT_INSTALLED, f"Coqui is not installed. It takes about 6 GB: {INSTALL}")
        if missing := _missing():
            return State(Readiness.MODEL_MISSING, missing)
        if local_engine.cannot_import("coqui"):
            return State(
                Readiness.BROKEN,
                "Coqui is installed but cannot be imported; the server's log says why. Often its versions do not "
                f"fit together. Install it again: {INSTALL}",
            )
        return State(Readiness.READY, "Ready: speaks on this machine, offline and free.")

    def models(self) -> Sequence[Model]:
        """The one that COQUI_MODEL names."""
        chosen = _chosen()
        return (
            Model(id=chosen, name=f"Coqui {_ALLOWED[chosen].name}", max_characters=MAX_CHARACTERS, languages=("en",)),
        )

    def voices(self) -> Sequence[Voice]:
        own = _ALLOWED[_chosen()].voice
        return (own,) if own else _speakers()

    def test(self) -> str:
        local_engine.forget()
        require_ready(self.state())
        local_engine.load("coqui", "Coqui", {"model": _chosen()}, settings().engine_seconds)
        return f"Ready: Coqui speaks on this machine with {_chosen()}, offline."

    def check(self, text: str) -> None:
        validate_letters(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        self.check(line.text)
        require_ready(self.state())
        validate_line(line, self.voices(), self.models())
        request: Request = {
            "model": line.model,
            "text": without_controls(line.text),
            "voice": None if _ALLOWED[line.model].voice else line.voice,
            "speed": line.settings.speed,
        }
        return Speech(
            data=local_engine.speak("coqui", "Coqui", request, seconds),
            units=Decimal(len(line.text)),
        )


def _chosen() -> str:
    """COQUI_MODEL. Raises `ProviderUnavailable` if it is not allowed."""
    if refused := _refusal():
        raise ProviderUnavailable(refused)
    return settings().coqui_model


def _refusal() -> str | None:
    chosen = settings().coqui_model
    if chosen in _ALLOWED:
        return None
    reason = next((reason for part, reason in _REASONS.items() if part in chosen), _UNKNOWN)
    return f"COQUI_MODEL is “{chosen}”, which is not used: {reason}. Set it to {' or '.join(_ALLOWED)}."


def _missing() -> str | None:
    """What to download. The package would do so by itself, in the midst of a job."""
    chosen = _chosen()
    if not any(file.stat().st_size > 0 for file in _folder(chosen).glob("*.pth")):
        return (
            f"The model is not in {_folder(chosen)}. Download it once: "
            f'tts --model_name {chosen} --text "Ready." --out_path ready.wav'
        )
    if not (shutil.which("espeak-ng") or shutil.which("espeak")):
        return "Coqui reads words with the program espeak-ng, which is missing. Install it: apt install espeak-ng"
    return None


def _folder(model: str) -> Path:
    """Where the package keeps a model."""
    return _data_folder() / "tts" / model.replace("/", "--")


def _data_folder() -> Path:
    if told := os.environ.get("TTS_HOME") or os.environ.get("XDG_DATA_HOME"):
        return Path(told).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path.home() / ".local" / "share"


def _speakers() -> tuple[Voice, ...]:
    file = _folder(_chosen()) / "speaker_ids.json"
    try:
        names = sorted(name for name in json.loads(file.read_text(encoding="utf-8")) if name.isalnum())
    except (OSError, ValueError) as error:
        raise ProviderUnavailable(
            f"The model's list of voices, {file}, is missing or damaged. Delete its folder and download it again."
        ) from error
    return tuple(Voice(id=name, name=name, language="en") for name in names)
