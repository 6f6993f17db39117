"""A run's figures. Amounts are floats here: for drawing only, never for sums."""

from collections.abc import Sequence
from typing import Any

from services.scripts.phases import PHASES, Phase
from services.scripts.runs import Breakdown, Step
from ui import charts, script_words
from ui.cost_charts import USD_AXIS

ROW = 30  # pixels of a bar


def gantt(steps: Sequence[Step]) -> dict[str, Any]:
    """One bar a step, the first on top, in seconds since the run's first step began."""
    first = steps[0].started_at
    traces = []
    for phase in PHASES:
        mine = [(number, step) for number, step in enumerate(steps) if step.phase == phase]
        if mine:
            starts = [(step.started_at - first).total_seconds() for _, step in mine]
            traces.append(
                {**_bars(phase, [n for n, _ in mine], [step.seconds or 0.0 for _, step in mine]), "base": starts}
            )
    axis = {"title": {"text": "Seconds since the start"}, "fixedrange": True, "rangemode": "tozero"}
    return {"data": traces, "layout": {**_layout(_names(steps)), "barmode": "overlay", "xaxis": axis}}


def _bars(phase: Phase, rows: Sequence[int], seconds: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": script_words.PHASES[phase],
        "x": list(seconds),
        "y": list(rows),
        "hovertemplate": "%{x:,.2f} s",
    }


def _names(steps: Sequence[Step]) -> list[str]:
    return [f"{step.place + 1} · {script_words.PHASES[step.phase]}" for step in steps]


def costs(found: Sequence[Breakdown]) -> dict[str, Any]:
    """One bar a phase, as the ledger has it."""
    by_phase = {row.phase: row for row in found}
    known = [phase for phase in PHASES if phase in by_phase]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [float(by_phase[phase].cost_usd) for phase in known],
        "y": list(range(len(known))),
        "hovertemplate": "$%{x:,.4f}<extra></extra>",
    }
    return {"data": [trace], "layout": {**_layout([script_words.PHASES[phase] for phase in known]), "xaxis": USD_AXIS}}


def _layout(names: Sequence[str]) -> dict[str, Any]:
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": list(names)}
    return {
        **charts.LAYOUT,
        "height": 110 + ROW * len(names),
        "hovermode": "closest",
        "yaxis": {**ticks, "autorange": "reversed", "fixedrange": True, "automargin": True},
    }
