"""What a file of costs holds: headings and lines of each view, and of the ledger's entries."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, cast

from services.costs.desk import Cut, Desk, PersonLine, StoreLine, WorkLine
from services.costs.entries import Summary
from services.costs.export_files import Cell, Line, Table
from services.costs.value import ClipLine, Saving, Unused, Value

COST = "Cost (US dollars)"
ENTRIES = (
    "Entry", "When (UTC)", "Booked on (UTC)", "Store code", "Store", "Person", "Service", "Operation", "Model",
    "Category", "Units", COST, "Above what was announced (US dollars)", "Counts towards the quota", "What", "Project",
    "Clip", "Job", "Id",
)  # fmt: skip
GRAINS = {"day": "Day", "week": "Week from", "month": "Month"}
WHOLE_MONTHS = ("person", "project", "clip", "months")
GONE = "gone"


class Tally:
    """Counts lines and adds up their costs as they pass."""

    def __init__(self) -> None:
        self.lines = 0
        self.total = Decimal(0)

    def over(self, table: Table) -> Table:
        return Table(table.headings, self._passing(table.lines, table.headings.index(COST)))

    def _passing(self, lines: Iterable[Line], column: int) -> Iterator[Line]:
        for line in lines:
            self.lines += 1
            self.total += cast(Decimal, line[column])
            yield line


# Entries ----------------------------------------------------------------------------------------------------------


def entries(lines: Iterable[Sequence[Any]]) -> Table:
    """From lines as `private.ledger_lines` has them."""
    return Table(ENTRIES, map(_entry, lines))


def _entry(line: Sequence[Any]) -> Line:
    (seq, at, day, code, store, person, service, operation, model, category, units, cost, overrun, counts, *rest) = line
    return (
        seq, at, day, code, store, person or "Somebody", service, operation, model, category, _units(units),
        Decimal(cost), Decimal(overrun), "yes" if counts else "no", *rest,
    )  # fmt: skip


def _units(units: dict[str, Any]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in units.items())


# Views ------------------------------------------------------------------------------------------------------------


def of_desk(desk: Desk, view: str) -> Table:
    """Of a view that the Costs page shows: its lines add up to what the page says."""
    if view in _MADE:
        return _MADE[view](desk)
    lines = desk.cuts.get(_cut(view), [])
    if view == "model":
        return Table(("Service", "Model", COST, "Entries"), [(ln.service, ln.key, ln.usd, ln.entries) for ln in lines])
    return Table((view.capitalize(), COST, "Entries"), [(line.key, line.usd, line.entries) for line in lines])


def _cut(view: str) -> Cut:
    cuts: dict[str, Cut] = {"service": "service", "operation": "operation", "model": "model", "category": "category"}
    return cuts[view]


def of_person(summary: Summary) -> Table:
    """What one person spent ever, by month."""
    lines = [(f"{line.month:%Y-%m}", line.usd, line.entries) for line in summary.months]
    return Table(("Month", COST, "Entries"), lines)


def of_value(value: Value, view: str) -> Table:
    """What money was good for: the dearest lines, and what they leave of the sum."""
    return _VALUED[view](value)


def _published(value: Value) -> Table:
    def line(clip: ClipLine) -> Line:
        return clip.name, clip.code, clip.store, f"{clip.first_at:%Y-%m-%d %H:%M}", clip.posts, clip.usd

    lines = [line(clip) for clip in value.clips]
    if rest := value.usd - sum((clip.usd for clip in value.clips), Decimal(0)):
        lines.append(("Everything else: cheaper clips", None, None, None, None, rest))
    return Table(("Clip", "Store code", "Store", "Live since (UTC)", "Live posts", COST), lines)


def _unpublished(value: Value) -> Table:
    def line(speech: Unused) -> Line:
        return speech.text, speech.code, speech.store, f"{speech.created_at:%Y-%m-%d}", speech.provider, speech.usd

    lines = [line(speech) for speech in value.unpublished.speech]
    if rest := value.unpublished.usd - sum((speech.usd for speech in value.unpublished.speech), Decimal(0)):
        lines.append(("Everything else: cheaper speech", None, None, None, None, rest))
    return Table(("Speech", "Store code", "Store", "Made on (UTC)", "Service", COST), lines)


def _savings(value: Value) -> Table:
    def line(saving: Saving) -> Line:
        return f"{saving.month:%Y-%m}", saving.code, saving.name, saving.passages, saving.usd

    return Table(("Month", "Store code", "Store", "Passages", COST), [line(saving) for saving in value.savings])


_VALUED: dict[str, Callable[[Value], Table]] = {
    "published": _published,
    "unpublished": _unpublished,
    "savings": _savings,
}


def _state(true: bool, word: str) -> str:
    return word if true else ""


def _stores(desk: Desk) -> Table:
    def line(store: StoreLine) -> Line:
        return store.code, store.name or GONE, _state(store.archived, "archived"), store.usd, store.entries

    return Table(("Store code", "Store", "State", COST, "Entries"), [line(store) for store in desk.stores])


def _people(desk: Desk) -> Table:
    def line(person: PersonLine) -> Line:
        return person.name or "Somebody", _state(person.deactivated, "deactivated"), person.usd, person.entries

    return Table(("Person", "State", COST, "Entries"), [line(person) for person in desk.people])


def _work(desk: Desk, kind: str, found: Sequence[WorkLine]) -> Table:
    """The dearest, and what is left of the months' total."""

    def line(work: WorkLine) -> Line:
        return work.name or GONE, work.store or GONE, _state(work.deleted, "deleted"), work.usd, work.entries

    lines = [line(work) for work in found]
    if rest := desk.rest(found):
        lines.append((f"Everything else: other {kind}s, and costs without one", None, None, rest, None))
    return Table((kind.capitalize(), "Store", "State", COST, "Entries"), lines)


def _months(desk: Desk) -> Table:
    lines: list[Sequence[Cell]] = [
        (f"{line.month:%Y-%m}", line.usd, line.entries) for line in desk.months if line.month >= desk.from_month
    ]
    return Table(("Month", COST, "Entries"), lines)


def _trend(desk: Desk) -> Table:
    lines = [(bar.day.isoformat(), bar.service, bar.usd) for bar in desk.trend]
    return Table((f"{GRAINS[desk.grain]} (UTC)", "Service", COST), lines)


_MADE: dict[str, Callable[[Desk], Table]] = {
    "store": _stores,
    "person": _people,
    "project": lambda desk: _work(desk, "project", desk.projects),
    "clip": lambda desk: _work(desk, "clip", desk.clips),
    "months": _months,
    "trend": _trend,
}
