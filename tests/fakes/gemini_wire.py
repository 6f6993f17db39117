"""What Gemini has, how its wire shows each, and what an answer is that a test asks for."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.fakes.web import Reply, json_reply

DOMAIN = "googleapis.com"
FRAME = 280  # tokens of an image
PICTURE = 1_120  # tokens of an image that was drawn
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@dataclass
class Model:
    """`minimal`: it takes that thinking level. `served_by`: it is retired, and another answers in its place."""

    name: str
    title: str
    methods: tuple[str, ...] = ("generateContent", "countTokens")
    minimal: bool = True
    preview: bool = False  # on v1beta only
    draws: bool = False
    served_by: str | None = None
    input_limit: int = 1_048_576

    @property
    def id(self) -> str:
        return self.name.removeprefix("models/")


class Charge(NamedTuple):
    """What the vendor billed, in tokens; `prompt` includes the cached ones, `output` the thinking."""

    key: str
    model: str
    served_by: str
    response_id: str
    prompt: int
    cached: int
    output: int


@dataclass(frozen=True)
class Turn:
    """One answer that a test asks for. `text` None: filled in by the asked shape.

    `usage` replaces the counts as the wire tells them (a None leaves one out), not what is billed. `lost` makes the
    reply to a call that was billed another one.
    """

    text: str | None = None
    finish: str | None = "STOP"
    block: str | None = None  # the prompt's block reason: no candidate then
    thoughts: tuple[str, ...] = ()  # parts of thinking before the text
    thinking: int = 0  # tokens
    cached: int = 0  # tokens
    tool_use: int = 0  # tokens
    pictures: tuple[bytes, ...] = ()
    usage: dict[str, int | None] | None = field(default_factory=dict)  # None: no usage at all
    version: str | None = None  # the model that the answer names
    lost: Callable[[Reply], Reply] = lambda reply: reply


def default_models() -> list[Model]:
    return [
        Model("models/gemini-3.8-flash", "Gemini 3.8 Flash", minimal=False),
        Model("models/gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite"),
        Model("models/gemini-embedding-001", "Gemini Embedding 001", ("embedContent",)),
    ]


def unlisted_models() -> list[Model]:
    """Those that answer as well, although tests of the list do not need them."""
    return [
        Model("models/gemini-3.1-pro-preview", "Gemini 3.1 Pro", minimal=False, preview=True),
        Model("models/gemini-2.5-pro", "Gemini 2.5 Pro", minimal=False),
        Model("models/gemini-3.1-flash-image", "Gemini 3.1 Flash Image", minimal=False, draws=True, input_limit=65_536),
    ]


def camel(value: Any) -> Any:
    """Names as the vendor documents them: its parser takes snake case as well, and its own SDK mixes both."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): camel(one) for name, one in value.items()}


def tokens(text: str) -> int:
    return len(text.encode()) // 4 + 1 if text else 0


def count(body: dict[str, Any]) -> int:
    """Tokens of contents and instructions; of a shape, too."""
    config = body.get("generationConfig", {})
    shape = config.get("responseSchema") or config.get("responseJsonSchema")
    contents = [*body.get("contents", []), body.get("systemInstruction", {})]
    parts = [part for content in contents for part in content.get("parts", [])]
    return sum(map(_part_tokens, parts)) + (tokens(json.dumps(shape)) if shape else 0)


def _part_tokens(part: dict[str, Any]) -> int:
    return FRAME if "inlineData" in part else tokens(part.get("text", ""))


def filled(shape: dict[str, Any] | None) -> Any:
    """The smallest value of a shape, as the vendor writes shapes."""
    kind = str((shape or {}).get("type", "STRING"))
    if kind == "OBJECT":
        return {name: filled(inner) for name, inner in (shape or {}).get("properties", {}).items()}
    if kind == "ARRAY":
        return [filled((shape or {}).get("items"))]
    return {"NUMBER": 80.5, "INTEGER": 80, "BOOLEAN": True}.get(kind, "Fresh bread at six. Come in today!")


def shown(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": "001",
        "displayName": model.title,
        "inputTokenLimit": model.input_limit,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": list(model.methods),
    }


def answer(turn: Turn, text: str, charge: Charge, thinking: int, tool_use: int) -> dict[str, Any]:
    body: dict[str, Any] = {"modelVersion": turn.version or charge.served_by, "responseId": charge.response_id}
    if turn.block:
        body["promptFeedback"] = {"blockReason": turn.block}
    else:
        body["candidates"] = [_candidate(turn, text)]
    usage = _usage(charge, thinking, tool_use)
    if turn.usage is not None:
        changed = {**usage, **turn.usage}
        body["usageMetadata"] = {name: value for name, value in changed.items() if value is not None}
    return body


def _candidate(turn: Turn, text: str) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if turn.finish:
        candidate["finishReason"] = turn.finish
    parts: list[dict[str, Any]] = [{"text": thought, "thought": True} for thought in turn.thoughts]
    parts += [_picture(data) for data in turn.pictures]
    parts += [{"text": text}] if text else []
    if parts:
        candidate["content"] = {"role": "model", "parts": parts}
    return candidate


def _picture(data: bytes) -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}


def _usage(charge: Charge, thinking: int, tool_use: int) -> dict[str, int | None]:
    """As the vendor does: counts of nothing are left out."""
    candidates = charge.output - thinking
    prompt = charge.prompt - tool_use
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": charge.cached or None,
        "candidatesTokenCount": candidates or None,
        "thoughtsTokenCount": thinking or None,
        "toolUsePromptTokenCount": tool_use or None,
        "totalTokenCount": charge.prompt + charge.output,
    }


def refusal(status: int, state: str, message: str, reason: str = "", *details: dict[str, Any]) -> Reply:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN}
    told = [info, *details] if reason else list(details)
    return json_reply({"error": {"code": status, "message": message, "status": state, "details": told}}, status)


def throttled(delay: str = "17s", quota: str = "GenerateRequestsPerMinutePerProjectPerModel") -> Reply:
    """429 with the pause that is asked for, and the quota that ran out."""
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return refusal(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", "", failure, retry)


def out_for_today() -> Reply:
    return throttled("38s", "GenerateRequestsPerDayPerProjectPerModel-FreeTier")


def internal() -> Reply:
    return refusal(500, "INTERNAL", "An internal error has occurred.")


def overloaded() -> Reply:
    return refusal(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")


def gave_up() -> Reply:
    return refusal(504, "DEADLINE_EXCEEDED", "The request timed out.")
