"""A stand-in for the Coqui package, which takes 6 GB: same names, same folders, and its known ways to fail."""

from pathlib import Path
from typing import Literal

import pytest

from services.config import settings
from services.speech import local_engine

Trouble = Literal["", "broken", "hang", "hang on import", "prompt", "crash", "silence"]


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, model: str = "tts_models/en/ljspeech/vits") -> None:
    """Put the package on the paths of this process and its children, its model and espeak-ng into `folder`."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    monkeypatch.setenv("PYTHONPATH", here)
    monkeypatch.setenv("TTS_HOME", str(folder))
    monkeypatch.setenv("COQUI_MODEL", model)
    put_model(folder, model)
    put_program(monkeypatch, folder / "bin")
    forget()


def put_model(folder: Path, model: str) -> None:
    place = folder / "tts" / model.replace("/", "--")
    place.mkdir(parents=True)
    (place / "model_file.pth").write_bytes(b"weights")
    (place / "speaker_ids.json").write_text('{"ED\\n": 0, "p226": 2, "p225": 1}', "utf-8")


def put_program(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    folder.mkdir()
    program = folder / "espeak-ng"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def misbehave(monkeypatch: pytest.MonkeyPatch, trouble: Trouble) -> None:
    monkeypatch.setenv("FAKE_COQUI", trouble)
    forget()


def forget() -> None:
    """As in a new process."""
    settings.cache_clear()
    local_engine.forget()
