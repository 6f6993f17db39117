"""The vendor's models that may be used. Nothing else is called: the vendor serves retired ids by other models.

Dates and abilities as the vendor's list of deprecations and its model pages told them in November 2026.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.errors import InvalidInput
from services.scripts.writer import Thinking

WARN_AHEAD = timedelta(days=30)
DEFAULT = "gemini-3.8-flash"
DEFAULT_DRAWER = "gemini-3.1-flash-image"
MILLION = 1_048_576  # tokens


class Model(BaseModel):
    """`retires_on` is its first day without service; `successor` is what to choose then."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    id: str
    title: str
    retires_on: date | None = None
    successor: str | None = None
    thinking: tuple[Thinking, ...] = ("minimal", "low", "medium", "high")  # levels it takes; () = it cannot be told
    input_limit: int = MILLION  # tokens of one request
    output_limit: int = 65_536
    sees: bool = True  # takes images
    writes: bool = True
    draws: bool = False
    api: Literal["v1", "v1beta"] = "v1"  # previews are on v1beta only

    def available(self, today: date) -> bool:
        return self.retires_on is None or today < self.retires_on


NO_MINIMAL: tuple[Thinking, ...] = ("low", "medium", "high")  # these answer 400 to minimal

MODELS: tuple[Model, ...] = (
    Model(id="gemini-3.8-flash", title="Gemini 3.8 Flash", thinking=NO_MINIMAL),
    Model(id="gemini-3.7-flash", title="Gemini 3.7 Flash", thinking=NO_MINIMAL),
    Model(id="gemini-3.6-flash", title="Gemini 3.6 Flash"),
    Model(id="gemini-3.5-flash", title="Gemini 3.5 Flash"),
    Model(id="gemini-3.5-flash-lite", title="Gemini 3.5 Flash-Lite"),
    Model(
        id="gemini-3.1-flash-lite", title="Gemini 3.1 Flash-Lite", retires_on=date(2027, 5, 7),
        successor="gemini-3.5-flash-lite",
    ),
    Model(id="gemini-3.1-pro-preview", title="Gemini 3.1 Pro (preview)", thinking=NO_MINIMAL, api="v1beta"),
    Model(id="gemini-2.5-flash-lite", title="Gemini 2.5 Flash-Lite", thinking=()),
    Model(
        id="gemini-2.5-flash", title="Gemini 2.5 Flash", thinking=(), retires_on=date(2026, 12, 1),
        successor="gemini-3.5-flash-lite",
    ),
    Model(
        id="gemini-2.5-pro", title="Gemini 2.5 Pro", thinking=(), retires_on=date(2026, 12, 1),
        successor="gemini-3.8-flash",
    ),
    Model(
        id="gemini-2.0-flash", title="Gemini 2.0 Flash", thinking=(), retires_on=date(2026, 6, 1),
        successor="gemini-3.5-flash-lite",
    ),
    Model(
        id="gemini-2.0-flash-lite", title="Gemini 2.0 Flash-Lite", thinking=(), retires_on=date(2026, 6, 1),
        successor="gemini-3.5-flash-lite",
    ),
    Model(
        id="gemini-3.1-flash-image", title="Gemini 3.1 Flash Image", thinking=(), input_limit=65_536,
        output_limit=32_768, writes=False, draws=True,
    ),
    Model(
        id="gemini-3-pro-image", title="Gemini 3 Pro Image", thinking=(), input_limit=65_536, output_limit=32_768,
        writes=False, draws=True,
    ),
    Model(
        id="gemini-2.5-flash-image", title="Gemini 2.5 Flash Image", thinking=(), input_limit=32_768,
        output_limit=32_768, writes=False, draws=True, retires_on=date(2026, 10, 2), successor=DEFAULT_DRAWER,
    ),
)  # fmt: skip
BY_ID: Mapping[str, Model] = {model.id: model for model in MODELS}


def today() -> date:
    """The vendor's dates are compared in UTC."""
    return datetime.now(UTC).date()


def usable(on: date, *, draws: bool = False) -> list[Model]:
    """Those that write (or draw) on that day, the default first."""
    return [model for model in MODELS if model.available(on) and (model.draws if draws else model.writes)]


def require(model_id: str, on: date, *, draws: bool = False) -> Model:
    """The model, if it may be used on that day. Raises `InvalidInput` (field `model`) that names another."""
    known = BY_ID.get(model_id)
    if known is None:
        raise InvalidInput(f"There is no model called “{model_id[:80]}” here. {_instead(None, on, draws)}", "model")
    if not known.available(on):
        raise InvalidInput(
            f"{known.title} has been retired since {_spelled(known)}. {_instead(known, on, draws)}", "model"
        )
    if not (known.draws if draws else known.writes):
        purpose = "make pictures" if draws else "write texts"
        raise InvalidInput(f"{known.title} does not {purpose}. {_instead(None, on, draws)}", "model")
    return known


def warning(model_id: str, on: date) -> str | None:
    """What an operator should know 30 days ahead and later; None where nothing is about to change."""
    known = BY_ID.get(model_id)
    if known is None or known.retires_on is None or on < known.retires_on - WARN_AHEAD:
        return None
    verb = "will be" if known.available(on) else "has been"
    since = "on" if known.available(on) else "since"
    return f"{known.title} {verb} retired {since} {_spelled(known)}. {_instead(known, on, known.draws)}"


def same(asked: str, version: str) -> bool:
    """Whether `version`, as an answer names it, is `asked`: perhaps with a number, a date or “preview” behind it."""
    return re.fullmatch(re.escape(asked) + r"(-(preview|\d+))*", version.removeprefix("models/")) is not None


def billed(asked: str, version: str) -> str:
    """The listed model whose price an answer of `version` has; `version` itself where none is listed."""
    if not version or same(asked, version):
        return asked
    return next((model.id for model in MODELS if same(model.id, version)), version.removeprefix("models/"))


def _instead(known: Model | None, on: date, draws: bool) -> str:
    """What to choose; a successor that is gone as well gives way to its own."""
    found = BY_ID.get(known.successor or "") if known else None
    while found and not found.available(on):
        found = BY_ID.get(found.successor or "")
    found = found or next(iter(usable(on, draws=draws)), None)
    return f"Choose {found.title} ({found.id}) instead." if found else "No other model is known; update Clipdesk."


def _spelled(known: Model) -> str:
    return f"{known.retires_on.day} {known.retires_on:%B %Y}" if known.retires_on else ""
