"""The lines of each breakdown as people read them."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from services.costs.desk import Cut, Desk, Line, PersonLine, StoreLine, WorkLine
from services.costs.entries import SYSTEM
from ui import charts
from ui.cost_filters import Only

OPERATIONS = {
    "tts": "Text to speech", "prompt_generation": "Scripts: writing", "prompt_analysis": "Scripts: judging",
    "prompt_improvement": "Scripts: improving", "clip_analysis": "Captions of clips", "cover_image": "Cover images",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A line of a breakdown: what it stands for, its name, US dollars and how many entries."""

    only: Only
    name: str
    usd: Decimal
    entries: int


def rows(desk: Desk, cut: str) -> list[Row]:
    """The dearest first."""
    return _MADE[cut](desk) if cut in _MADE else [_plain(cut, line) for line in desk.cuts.get(cast(Cut, cut), [])]


def _plain(cut: str, line: Line) -> Row:
    if cut == "model":
        name = f"{line.key} · {charts.name(line.service or '')}"
        return Row(Only(cut, f"{line.service}/{line.key}"), name, line.usd, line.entries)
    return Row(Only(cut, line.key), title(cut, line.key), line.usd, line.entries)


def title(cut: str, key: str) -> str:
    """A service, operation, model or category as people say it."""
    if cut == "model":
        service, _, model = key.partition("/")
        return f"{model} · {charts.name(service)}"
    return OPERATIONS.get(key, charts.name(key))


def _store(line: StoreLine) -> Row:
    name = f"{line.code} · {line.name}" if line.name else "A store that is gone"
    return Row(Only("store", str(line.key)), _marked(name, line.archived, "archived"), line.usd, line.entries)


def _person(line: PersonLine) -> Row:
    name = _marked(line.name or "Somebody", line.deactivated, "deactivated")
    return Row(Only("person", str(line.key) if line.key else SYSTEM), name, line.usd, line.entries)


def _work(cut: str, line: WorkLine) -> Row:
    name = f"{line.name or f'A {cut} that is gone'} · {line.store or 'a store that is gone'}"
    return Row(Only(cut, str(line.key)), _marked(name, line.deleted, "deleted"), line.usd, line.entries)


def _marked(name: str, true: bool, mark: str) -> str:
    return f"{name} ({mark})" if true else name


_MADE: dict[str, Callable[[Desk], list[Row]]] = {
    "store": lambda desk: [_store(line) for line in desk.stores],
    "person": lambda desk: [_person(line) for line in desk.people],
    "project": lambda desk: [_work("project", line) for line in desk.projects],
    "clip": lambda desk: [_work("clip", line) for line in desk.clips],
}
