"""One line of a cost log, checked: a call of a prompt builder's phase, or the older form of any paid service.

Amounts are US dollars, taken as they were logged; nothing is priced again.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, NoReturn
from uuid import UUID, uuid5

from services.scripts.phases import PHASES

Said = Mapping[str, Any]

LONGEST_NAME = 200  # characters of a model, run or assistant
LONGEST_PREVIEW = 103  # as the older form cuts it: 100 and three dots
DEAREST = Decimal(99_999_999)
MOST_UNITS = 10**12
MICRO = Decimal("0.000001")
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCKS = timedelta(minutes=5)  # that another machine's may be ahead
OPERATIONS = {name: phase for phase in PHASES for name in (phase, phase.removeprefix("prompt_"))}
SERVICES = {"gemini": "gemini", "claude": "anthropic", "gpt": "openai", "o1": "openai", "o3": "openai"}
VOICES = {"elevenlabs", "edge", "kokoro", "coqui", "hibari", "tts"}
WRITERS = {"gemini", "anthropic", "openai", "llm"}
UNITS = {"tts": "characters", "frame_analysis": "frames", "video_analysis": "frames", "analysis": "frames"}
WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9 _.-]{0,59}")


class Unfit(Exception):
    """Why something cannot be taken, as a sentence."""


@dataclass(frozen=True)
class Line:
    """A paid call. `zoned`: its time named a zone; `seconds`: how long it took, 0 where nobody said."""

    at: datetime
    zoned: bool
    run: str | None
    assistant: str | None
    service: str
    operation: str
    model: str
    category: str
    units: Mapping[str, int]
    usd: Decimal
    seconds: Decimal
    preview: str

    def id(self, company: UUID) -> UUID:
        """The same for the same call, whatever file it stands in."""
        units = sorted(self.units.items())
        said = (self.at.isoformat(), self.run, self.service, self.operation, self.model, units, str(self.usd))
        return uuid5(company, f"cost log line {said}")


def read(raw: bytes, now: datetime) -> Line:
    """Raises `Unfit`."""
    said = snake(parsed(raw))
    return _older(said, now) if "input_units" in said else _call(said, now)


def parsed(raw: bytes) -> Any:
    """JSON with exact numbers. Raises `Unfit`."""
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_number)
    except UnicodeDecodeError as exc:
        raise Unfit("This is no UTF-8 text.") from exc
    except (ValueError, RecursionError) as exc:
        raise Unfit("This is no JSON.") from exc


def snake(said: Any) -> Said:
    """An object by its names in snake_case. Raises `Unfit` for anything else."""
    if not isinstance(said, dict):
        raise Unfit("This is no JSON object.")
    return {_snake(name): value for name, value in said.items()}


@lru_cache(maxsize=1_000)
def _snake(name: str) -> str:
    return WORDS.sub("_", name).lower()


def moment(said: Said, *names: str, now: datetime) -> tuple[datetime, bool]:
    """A time in UTC, and whether it named a zone. Raises `Unfit`."""
    try:
        found = datetime.fromisoformat(str(first(said, *names)))
        at = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        at = found = datetime.min.replace(tzinfo=UTC)
    if at < OLDEST:
        raise Unfit(f"It has no usable time ({names[0]}), such as 2026-03-01T12:00:00Z.")
    if at > now + CLOCKS:
        raise Unfit("Its time lies in the future.")
    return at, found.tzinfo is not None


def number(said: Said, *names: str, most: Decimal, what: str) -> Decimal | None:
    """A number of at least 0, or None where none is given. Raises `Unfit`."""
    given = first(said, *names)
    if given is None:
        return None
    try:
        found = None if isinstance(given, bool) else Decimal(given if isinstance(given, int | Decimal | str) else "")
    except ArithmeticError:
        found = None
    if found is None or not found.is_finite() or not 0 <= found <= most:
        raise Unfit(f"Its {what} is no number from 0 to {most:,}.")
    return found


def whole(said: Said, *names: str, what: str) -> int | None:
    given = first(said, *names)
    if given is None or (type(given) is int and 0 <= given <= MOST_UNITS):  # nearly all: this is asked of every line
        return given
    found = number(said, *names, most=Decimal(MOST_UNITS), what=what)
    if found is not None and found != found.to_integral_value():
        raise Unfit(f"Its {what} is no whole number.")
    return None if found is None else int(found)


def text(said: Said, *names: str, what: str, longest: int = LONGEST_NAME) -> str | None:
    """One line that can be shown, or None. Raises `Unfit`."""
    given = first(said, *names)
    if given is None or given == "":
        return None
    found = str(given).strip() if isinstance(given, str | int) else ""
    if not found or len(found) > longest or not found.isprintable():
        raise Unfit(f"Its {what} is no line of at most {longest:,} characters.")
    return found


def first(said: Said, *names: str) -> Any:
    for name in names:
        value = said.get(name)
        if value is not None:
            return value
    return None


# The two forms --------------------------------------------------------------------------------------------------------


def _call(said: Said, now: datetime) -> Line:
    """A phase of a run. What was written to the vendor's cache was read, too."""
    at, zoned = moment(said, "timestamp", "time", "ts", "created_at", now=now)
    operation = OPERATIONS.get(str(said.get("operation")))
    if operation is None:
        raise Unfit("Its operation is none of prompt_generation, prompt_analysis and prompt_improvement.")
    model = text(said, "model", what="model")
    if model is None:
        raise Unfit("It names no model.")
    run = text(said, "pipeline_id", "run_id", "pipeline", "run", what="run")
    assistant = text(said, "assistant", "assistant_id", "assistant_external_id", what="assistant")
    spent, took = _usd(said), number(said, "duration_ms", most=Decimal(10**9), what="duration") or Decimal(0)
    service = _service(said, model)
    return Line(at, zoned, run, assistant, service, operation, model, "text", _tokens(said), spent, took / 1000, "")


def _tokens(said: Said) -> dict[str, int]:
    written = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
    cached = ("cache_read_tokens", "cached_tokens", "cache_read_input_tokens")
    counts = {
        "input_tokens": (whole(said, "input_tokens", what="number of input tokens") or 0)
        + (whole(said, *written, what="number of tokens written to the cache") or 0),
        "cached_tokens": whole(said, *cached, what="number of tokens read from the cache") or 0,
        "output_tokens": whole(said, "output_tokens", what="number of output tokens") or 0,
    }
    return {kind: count for kind, count in counts.items() if count or kind != "cached_tokens"}


def _service(said: Said, model: str) -> str:
    given = text(said, "service", "provider", what="service", longest=60)
    return given or next((name for start, name in SERVICES.items() if model.startswith(start)), "other")


def _older(said: Said, now: datetime) -> Line:
    """`CostEntry`: timestamp, job_id, service, operation, input_units, cost_usd, details."""
    at, zoned = moment(said, "timestamp", now=now)
    service = text(said, "service", what="service", longest=60)
    operation = text(said, "operation", what="operation", longest=60)
    if service is None or operation is None or not NAME.fullmatch(operation):
        raise Unfit("It names no service, or its operation is no name.")
    units = whole(said, "input_units", what="number of units") or 0
    details = snake(said["details"]) if said.get("details") else {}
    model = text(said, "model", what="model") or text(details, "model", what="model") or service
    run = text(said, "job_id", what="job") if operation in PHASES else None
    kind = "input_tokens" if operation in PHASES else UNITS.get(operation, "requests")
    category = "speech" if service in VOICES else "text" if service in WRITERS else "other"
    spent, preview = _usd(said), _preview(details)
    return Line(
        at, zoned, run, None, service, operation, model, category, {kind: units}, spent, Decimal(0), preview
    )  # fmt: skip


def _usd(said: Said) -> Decimal:
    found = number(said, "cost_usd", "cost", most=DEAREST, what="cost")
    if found is None:
        raise Unfit("It has no cost (cost_usd).")
    return found.quantize(MICRO, ROUND_HALF_UP)


def _preview(details: Said) -> str:
    given = details.get("text_preview")
    shown = "".join(c if c.isprintable() else " " for c in given) if isinstance(given, str) else ""
    return shown[:LONGEST_PREVIEW]


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")
