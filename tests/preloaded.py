"""What worker processes under test are forked with: a worker's modules, the rare ones too, and the voice loaded.

A worker that starts as an operator's does spends 1.5 s of a processor on imports and 1.7 s on the voice.
"""

from importlib import import_module

from services.speech import hibari

MODULES = [
    "pytest",
    "elevenlabs.client",
    "google.genai",
    "services.jobs.worker",
    "services.clip_work",
    "services.publishing.publisher",
    "services.scripts.pipeline",
    "services.scripts.caption_work",
    "services.scripts.cover_work",
    "tests.costs.bidder",
]

for name in MODULES:
    import_module(name)
hibari.warm()
