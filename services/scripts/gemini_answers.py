"""Gemini's answers in Clipdesk's shapes: what they used, how they ended, and what an operator should know of that."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from services.errors import AnswerLost
from services.scripts import models
from services.scripts.writer import Answer, Drawing, Finish, Picture, Request, Units

if TYPE_CHECKING:
    from google.genai.types import Blob, Candidate, GenerateContentResponse, Part

T = TypeVar("T", bound=BaseModel)

LONGEST_NAME = 80  # characters of a model's or an answer's name
SAFETY = "Gemini judged it unsafe"
REASONS: Mapping[str, str] = {
    "SAFETY": SAFETY,
    "IMAGE_SAFETY": SAFETY,
    "PROHIBITED_CONTENT": "Gemini found forbidden content",
    "IMAGE_PROHIBITED_CONTENT": "Gemini found forbidden content",
    "BLOCKLIST": "Gemini found a word of its block list",
    "SPII": "Gemini found personal data such as account numbers",
    "RECITATION": "it came too close to a protected work",
    "IMAGE_RECITATION": "it came too close to a protected work",
    "LANGUAGE": "Gemini does not write this language",
    "JAILBREAK": "Gemini took the text for an attempt to change its rules",
    "MODEL_ARMOR": "a filter of the Gemini account stopped it",
}
ENDED = ("STOP", "FINISH_REASON_UNSPECIFIED", "")
CUT = ("MAX_TOKENS", "CONTINUATION")
BLOCKED = (*REASONS, "OTHER", "IMAGE_OTHER", "NO_IMAGE", "ESCALATION", "PUP_LIMITED_DISABLED")

BILLED = "It was billed all the same."
CUT_OFF = f"Gemini's answer was cut off: it reached the most tokens that were allowed. {BILLED}"
UNREADABLE = f"Gemini's answer does not have the asked shape. {BILLED} Try again."
UNFINISHED = f"Gemini ended its answer in an unusual way. {BILLED} Try again."
EMPTY = f"Gemini's answer is empty. {BILLED} Try again."
REWRITE = "Change the briefing or the instructions."  # what can be done about a block
REDRAW = "Describe the picture in other words."


class End(NamedTuple):
    finish: Finish
    sentence: str


DONE = End("done", "")


def answer_of(vendor: "GenerateContentResponse", request: Request[T], seconds: float) -> Answer[T]:
    """Raises `AnswerLost` where the answer does not say what it used."""
    text = "".join(part.text or "" for part in _parts(vendor) if not part.thought)
    end = _end(vendor, REWRITE)
    parsed = _parsed(text, request.answer_schema) if end == DONE else None
    if end == DONE and parsed is None:
        end = End("unreadable", UNREADABLE if text.strip() else EMPTY)
    return Answer(parsed=parsed, text=text.replace("\0", ""), **_served(vendor, request.model, end, seconds))


def picture_of(vendor: "GenerateContentResponse", drawing: Drawing, seconds: float) -> Picture:
    """As `answer_of`."""
    end = _end(vendor, REDRAW)
    blob = _blob(vendor) if end == DONE else None
    if end == DONE and blob is None:
        end = End("unreadable", f"Gemini's answer holds no picture. {BILLED} {REDRAW}")
    served = _served(vendor, drawing.model, end, seconds)
    return Picture(data=blob.data if blob else None, mime=blob.mime_type if blob else None, **served)


def units_of(vendor: "GenerateContentResponse") -> Units:
    """What is billed; every count may be missing. Raises `AnswerLost` where that of the prompt is, too."""
    told = vendor.usage_metadata
    if told is None or (told.prompt_token_count is None and told.total_token_count is None):
        raise AnswerLost("Gemini's answer does not say what it used; it was billed all the same.")
    thinking = told.thoughts_token_count or 0
    output = (told.candidates_token_count or 0) + thinking
    tools = told.tool_use_prompt_token_count or 0
    prompt = told.prompt_token_count
    if prompt is None:
        prompt = max((told.total_token_count or 0) - output - tools, 0)
    cached = min(told.cached_content_token_count or 0, prompt)
    return Units(
        input_tokens=prompt - cached + tools, cached_tokens=cached, output_tokens=output, thinking_tokens=thinking
    )


def _served(vendor: "GenerateContentResponse", asked: str, end: End, seconds: float) -> dict[str, Any]:
    version = _plain(vendor.model_version)
    sentences = (end.sentence, _other(asked, version))
    return {
        "usage": units_of(vendor),
        "finish": end.finish,
        "sentence": " ".join(sentence for sentence in sentences if sentence),
        "model_version": version,
        "billed_model": models.billed(asked, version),
        "response_id": _plain(vendor.response_id),
        "seconds": seconds,
    }


def _plain(name: str | None) -> str:
    """A name as it can be kept and shown, whatever was sent."""
    return "".join(filter(str.isprintable, name or ""))[:LONGEST_NAME]


def _other(asked: str, version: str) -> str:
    """Retired models are served by others without a word; their prices differ."""
    if not version or models.same(asked, version):
        return ""
    return f"Gemini answered with {version} instead of {asked}, at that model's price. Choose one that is in service."


def _end(vendor: "GenerateContentResponse", advice: str) -> End:
    """How it ended; `advice`: what to do where it was blocked."""
    feedback = vendor.prompt_feedback
    if feedback is not None and feedback.block_reason is not None:
        return _blocked("the prompt", str(feedback.block_reason.value), advice)
    candidate = _candidate(vendor)
    if candidate is None:
        return _blocked("the prompt", "OTHER", advice)
    reason = str(candidate.finish_reason.value) if candidate.finish_reason else ""
    if reason in ENDED:
        return DONE
    if reason in CUT:
        return End("cut_off", CUT_OFF)
    return _blocked("its answer", reason, advice) if reason in BLOCKED else End("unreadable", UNFINISHED)


def _blocked(what: str, reason: str, advice: str) -> End:
    why = f": {REASONS[reason]}" if reason in REASONS else ""
    return End("blocked", f"Gemini blocked {what}{why}. {BILLED} {advice}")


def _candidate(vendor: "GenerateContentResponse") -> "Candidate | None":
    return vendor.candidates[0] if vendor.candidates else None


def _parts(vendor: "GenerateContentResponse") -> "list[Part]":
    candidate = _candidate(vendor)
    return (candidate.content.parts or []) if candidate and candidate.content else []


def _parsed(text: str, schema: type[T]) -> T | None:
    try:
        return schema.model_validate_json(text)
    except ValidationError:
        return None


def _blob(vendor: "GenerateContentResponse") -> "Blob | None":
    """The last picture that is no thought: drafts come before it."""
    blobs = [part.inline_data for part in _parts(vendor) if part.inline_data and not part.thought]
    pictures = [blob for blob in blobs if blob.data and (blob.mime_type or "").startswith("image/")]
    return pictures[-1] if pictures else None
