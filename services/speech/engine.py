"""A local voice engine in a process of its own: `python -m services.speech.engine kokoro|coqui`.

Reads one `Request` as JSON from standard input. Task "import" imports the engine's package, "load" loads the model
as well, "speak" writes a WAV file too. Ends with 0, `BROKEN` if the engine cannot be imported or loaded, or
`FAILED` if it cannot speak the text; the last line on standard error says why.
"""

import json
import math
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from services.speech import wav

BROKEN = 3
FAILED = 4
GRACE = 5  # seconds after which it ends itself, should its parent be gone

Task = Literal["import", "load", "speak"]
Samples = npt.NDArray[np.float32]


class Request(TypedDict):
    """`model` is a file or a model's name, as the engine has it."""

    task: NotRequired[Task]
    seconds: NotRequired[float]  # until the parent gives up
    file: NotRequired[str]  # where the WAV goes
    model: str
    voices: NotRequired[str]  # file
    text: NotRequired[str]
    voice: NotRequired[str | None]
    language: NotRequired[str]
    speed: NotRequired[float]


Speak = Callable[[Request], tuple[Samples, int]]  # samples and their rate in hertz


def main(engine: str) -> int:
    request: Request = json.load(sys.stdin)
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - as long as the process: a prompt gets no answer
    signal.alarm(math.ceil(request["seconds"]) + GRACE)
    try:
        speak = _ENGINES[engine](request)
    except Exception as error:
        return _ended(BROKEN, error)
    try:
        if request["task"] == "speak":
            _write(request["file"], *speak(request))
    except Exception as error:
        return _ended(FAILED, error)
    return 0


def _ended(code: int, error: Exception) -> int:
    sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}\n")
    return code


def _write(file: str, samples: Samples, sample_rate: int) -> None:
    if not np.any(samples):
        raise ValueError("only silence came out")
    with open(file, "wb") as target:
        target.write(wav.encode(samples, sample_rate))


def _kokoro(request: Request) -> Speak:
    package = import_module("kokoro_onnx")
    engine: Any = package.Kokoro(request["model"], request["voices"]) if request["task"] != "import" else None

    def speak(request: Request) -> tuple[Samples, int]:
        samples, rate = engine.create(
            request["text"], voice=request["voice"], speed=request["speed"], lang=request["language"]
        )
        return samples, rate

    return speak


def _coqui(request: Request) -> Speak:
    package = import_module("TTS.api")
    engine: Any = package.TTS(request["model"], progress_bar=False) if request["task"] != "import" else None

    def speak(request: Request) -> tuple[Samples, int]:
        synthesizer = engine.synthesizer
        synthesizer.tts_model.length_scale = 1 / request["speed"]  # the VITS models' own measure of pace
        samples = engine.tts(text=request["text"], speaker=request["voice"])
        return np.asarray(samples, np.float32), int(synthesizer.output_sample_rate)

    return speak


_ENGINES: dict[str, Callable[[Request], Speak]] = {"kokoro": _kokoro, "coqui": _coqui}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
