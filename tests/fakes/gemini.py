"""A stand-in for the Gemini API on 127.0.0.1: the vendor's wire format, its refusals, and a bill of its own.

Point a client at it with `fake.url`. A charge is put on `fake.bill` in the moment the vendor accepts to generate,
whatever becomes of the answer: what the product books is compared with that list. What goes wrong before that is said
with `misbehave`, what is answered and what is lost after it with `say`.
"""

import json
import re
from typing import Any
from uuid import uuid4

from tests.fakes import gemini_wire as wire
from tests.fakes.gemini_wire import (
    Charge,
    Model,
    Turn,
    gave_up,
    internal,
    out_for_today,
    overloaded,
    refusal,
    throttled,
)
from tests.fakes.web import Reply, Request, Web, json_reply

__all__ = [
    "COUNT", "GENERATE", "Charge", "FakeGemini", "Model", "Turn", "gave_up", "internal", "out_for_today", "overloaded",
    "refusal", "throttled",
]  # fmt: skip

GENERATE, COUNT = r".*:generateContent", r".*:countTokens"
METHOD = re.compile(r"/(v1|v1beta)/models/([^/:]+):(generateContent|countTokens)")
FIELDS = frozenset({"contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig",
                    "cachedContent", "model"})  # fmt: skip
UNWANTED = ("temperature", "topP", "topK", "candidateCount")  # what models from 3.0 on may refuse


class FakeGemini(Web):
    """`keys` are let in; those of `limited` are right but may not use the API.

    `models` are listed; those of `unlisted` answer, too. `bill` is what was charged, in order.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.key = f"AQ.{uuid4().hex}"
        self.keys = {self.key}
        self.limited: set[str] = set()
        self.models = wire.default_models()
        self.unlisted = wire.unlisted_models()
        self.bill: list[Charge] = []
        self._turns: list[Turn] = []

    def say(self, *turns: Turn) -> None:
        """Answer the next calls so; later ones are filled in by the shape they ask for."""
        with self._lock:
            self._turns.extend(turns)

    def bodies(self) -> list[dict[str, Any]]:
        """What was asked to generate, whether it was refused or not."""
        return [wire.camel(json.loads(one.body)) for one in self.requests if re.fullmatch(GENERATE, one.path)]

    def billed(self) -> dict[str, int]:
        """All charges together, as a price book counts them."""
        return {
            "input_tokens": sum(charge.prompt - charge.cached for charge in self.bill),
            "cached_tokens": sum(charge.cached for charge in self.bill),
            "output_tokens": sum(charge.output for charge in self.bill),
        }

    def answer(self, request: Request) -> Reply:
        key = request.headers.get("x-goog-api-key") or request.query.get("key")
        if key in self.limited:
            return refusal(403, "PERMISSION_DENIED", "Generative Language API has not been used.", "SERVICE_DISABLED")
        if not key:
            return refusal(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
        if key not in self.keys:
            return refusal(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID")
        if (request.method, request.path) in (("GET", "/v1/models"), ("GET", "/v1beta/models")):
            return self._page(request)
        asked = METHOD.fullmatch(request.path)
        if asked is None or request.method != "POST":
            return refusal(404, "NOT_FOUND", f"{request.path} is not found.")
        return self._called(key, *asked.groups(), request.body)

    def _page(self, request: Request) -> Reply:
        size = min(int(request.query.get("pageSize") or 50), 1000)
        start = int(request.query.get("pageToken") or 0)
        more = len(self.models) > start + size
        page: dict[str, Any] = {"models": [wire.shown(model) for model in self.models[start : start + size]]}
        return json_reply({**page, "nextPageToken": str(start + size)} if more else page)

    def _called(self, key: str, version: str, model_id: str, method: str, body: bytes) -> Reply:
        model = next((one for one in (*self.models, *self.unlisted) if one.id == model_id), None)
        if model is None or method not in model.methods or (model.preview and version == "v1"):
            return refusal(404, "NOT_FOUND", f"models/{model_id} is not found for API version {version}.")
        try:
            asked = wire.camel(json.loads(body))
        except ValueError:
            return refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        prompt = wire.count(asked)
        if method == "countTokens":
            return _counted(asked, prompt)
        wrong = _wrong(model, asked, prompt)
        return refusal(400, "INVALID_ARGUMENT", wrong) if wrong else self._generated(key, model, asked, prompt)

    def _generated(self, key: str, model: Model, asked: dict[str, Any], prompt: int) -> Reply:
        """Billed from here on."""
        with self._lock:
            turn = self._turns.pop(0) if self._turns else Turn(pictures=(wire.PIXEL,) if model.draws else ())
            text, output, thinking = _written(turn, model, asked)
            charge = Charge(
                key, model.id, model.served_by or model.id, uuid4().hex, prompt + turn.tool_use,
                min(turn.cached, prompt), output + thinking,
            )  # fmt: skip
            self.bill.append(charge)
        return turn.lost(json_reply(wire.answer(turn, text, charge, thinking, turn.tool_use)))


def _counted(asked: dict[str, Any], prompt: int) -> Reply:
    if set(asked) - {"contents", "generateContentRequest"}:
        return refusal(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name.")
    return json_reply({"totalTokens": prompt, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}]})


def _wrong(model: Model, asked: dict[str, Any], prompt: int) -> str | None:
    """Why the vendor refuses it, if it does."""
    config = asked.get("generationConfig", {})
    thinking = config.get("thinkingConfig", {})
    limit = model.input_limit
    reasons = {
        "Invalid JSON payload received. Unknown name.": bool(set(asked) - FIELDS),
        "contents are required.": not asked.get("contents"),
        "This model does not take sampling parameters.": any(name in config for name in UNWANTED),
        "Only one of thinking level and budget can be set.": {"thinkingLevel", "thinkingBudget"} <= set(thinking),
        "Thinking level MINIMAL is not supported.": thinking.get("thinkingLevel") == "MINIMAL" and not model.minimal,
        "A response schema needs the mime type application/json.": "responseSchema" in config
        and config.get("responseMimeType") != "application/json",
        f"The input token count ({prompt}) exceeds the maximum number of tokens allowed ({limit}).": prompt > limit,
        "This model does not support the response modalities.": ("IMAGE" in config.get("responseModalities", []))
        is not model.draws,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _written(turn: Turn, model: Model, asked: dict[str, Any]) -> tuple[str, int, int]:
    """The text, and the tokens of the answer and of its thinking: together no more than the request allows."""
    config = asked.get("generationConfig", {})
    limit = int(config.get("maxOutputTokens") or 65_536)
    thinking = min(turn.thinking, limit)
    if turn.block:
        return "", 0, 0
    if model.draws:
        return turn.text or "", min(wire.PICTURE * len(turn.pictures), limit - thinking), thinking
    text = json.dumps(wire.filled(config.get("responseSchema"))) if turn.text is None else turn.text
    return text, min(wire.tokens(text), limit - thinking), thinking
