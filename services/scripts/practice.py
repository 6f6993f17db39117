"""The practice writer: scripts by fixed rules. It is no AI, costs nothing and asks nobody, so all can be tried offline.

The same request always gets the same answer. A draft takes the briefing's own sentences as they stand; what they lack
is found by the review and mended by the improvement, as it would be with a model.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from services.errors import InvalidInput
from services.scripts import captions, practice_captions, practice_pictures
from services.scripts import practice_rules as rules
from services.scripts.phases import Draft, Improved, Material, Phase, Review
from services.scripts.writer import NOTHING, Answer, Drawing, Order, Picture, Request, Units

T = TypeVar("T", bound=BaseModel)

MODEL = "practice"
PLAINLY = "Practice: written by fixed rules, not by AI. Nobody is billed, nothing leaves this machine."
DRAWN_PLAINLY = PLAINLY.replace("written", "drawn")


class Practice:
    """A `Writer` without an outside. It fulfils scripts' phases and captions, whatever model they name, and draws."""

    name = "practice"
    label = "Practice writer (fixed rules, not AI: nobody is billed, nothing leaves this machine)"
    paid_outside = False

    def estimate(self, order: Order) -> Units:
        if isinstance(order, Request):
            _material(order)
        return NOTHING

    def write(self, request: Request[T]) -> Answer[T]:
        started = time.monotonic()
        answer = _answered(_material(request))
        parsed = request.answer_schema.model_validate(answer.model_dump())
        text = answer.model_dump_json()
        return Answer(parsed=parsed, text=text, **_served(text, time.monotonic() - started))

    def draw(self, drawing: Drawing) -> Picture:
        """A ground and circles as the prompt decides, marked as practice."""
        started = time.monotonic()
        data = practice_pictures.png(drawing.prompt, drawing.ratio)
        return Picture(
            data=data, mime="image/png", **_served(drawing.prompt, time.monotonic() - started, DRAWN_PLAINLY)
        )


def _material(request: Request[Any]) -> Material | captions.Material:
    if not isinstance(request.material, Material | captions.Material):
        raise InvalidInput("The practice writer can only write, review and improve scripts, and captions.", "model")
    return request.material


def _answered(material: Material | captions.Material) -> BaseModel:
    if isinstance(material, captions.Material):
        return practice_captions.written(material, PLAINLY)
    return _BY_PHASE[material.phase](material)


def _served(content: str, seconds: float, sentence: str = PLAINLY) -> dict[str, Any]:
    digest = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
    return {
        "usage": NOTHING,
        "finish": "done",
        "sentence": sentence,
        "model_version": MODEL,
        "billed_model": MODEL,
        "response_id": f"practice-{digest[:16]}",
        "seconds": seconds,
    }


# Phases -----------------------------------------------------------------------------------------------------------


def _generate(material: Material) -> Draft:
    lines = rules.lines_of(material.briefing)
    chosen = rules.fitting(lines, material.assistant.max_characters)
    script = " ".join([*rules.opening(material.assistant), *chosen])
    notes = f"{PLAINLY} Taken from the briefing: {len(chosen)} of {len(lines)} sentences."
    return Draft(title=rules.title(lines, material.assistant), script=script, notes=notes)


def _analyse(material: Material) -> Review:
    faults = rules.faults(material.script, material.assistant)
    return Review(
        score=max(100 - sum(fault.points for fault in faults), 0),
        findings=[fault.finding for fault in faults],
        language=material.assistant.language,
    )


def _improve(material: Material) -> Improved:
    script, changes = rules.mended(material.script, material.assistant)
    return Improved(script=script, changes=changes)


_BY_PHASE: Mapping[Phase, Callable[[Material], BaseModel]] = {
    "prompt_generation": _generate,
    "prompt_analysis": _analyse,
    "prompt_improvement": _improve,
}
