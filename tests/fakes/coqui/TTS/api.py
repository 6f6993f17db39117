"""The part of Coqui's interface that is used. FAKE_COQUI names the trouble."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np

RATE = 22_050
TROUBLE = os.environ.get("FAKE_COQUI", "")

if TROUBLE == "broken":
    raise RuntimeError("PyTorch has CUDA version 13.2 whereas\nTorchAudio has CUDA version 13.0.")
if TROUBLE == "hang on import":
    time.sleep(30)
assert "ELEVENLABS_API_KEY" not in os.environ
assert "COQUI_TOS_AGREED" not in os.environ


class TTS:
    def __init__(self, model_name="", *, progress_bar=True):
        sys.stdout.write(f" > Loading {model_name}\n")
        assert not progress_bar
        if TROUBLE == "prompt":
            input(" > I agree to the terms [y/n] ")
        self.multi_speaker = "vctk" in model_name
        self.synthesizer = SimpleNamespace(tts_model=SimpleNamespace(length_scale=1.0), output_sample_rate=RATE)

    def tts(self, text, speaker=None):
        if self.multi_speaker != (speaker is not None):
            raise ValueError("Model is not multi-speaker but `speaker` is provided.")
        if TROUBLE == "hang":
            child = subprocess.Popen(["sleep", "60"])
            sys.stderr.write(f"waiting for {child.pid}\n")
            with open(os.environ["FAKE_COQUI_CHILD"], "w") as file:
                file.write(str(child.pid))
            child.wait()
        if TROUBLE == "crash":
            os.abort()
        seconds = 0.06 * len(text) * self.synthesizer.tts_model.length_scale
        wave = 0.3 * np.sin(np.arange(int(seconds * RATE)) * (2 * np.pi * 220 / RATE))
        return list(wave * (TROUBLE != "silence"))
