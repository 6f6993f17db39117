"""The Costs page's figures. Amounts are floats here: for drawing only, never for sums."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from services.costs.desk import Desk, Outlook
from services.costs.forecast import Forecast
from ui import charts

MOST_BARS = 15  # of a breakdown; the table beneath has them all
SHADE = "rgba(120, 140, 150, 0.25)"  # visible on light and dark paper
USD_AXIS = {"title": {"text": "US dollars"}, "tickprefix": "$", "fixedrange": True, "rangemode": "tozero"}
TICKS = {"day": "%-d %b %Y", "week": "%-d %b %Y", "month": "%b %Y"}


def trend(desk: Desk) -> dict[str, Any]:
    """One bar a day, week or month with spending, stacked by service."""
    traces = []
    for service, part in desk.trend_frame().groupby("service"):
        traces.append(
            {
                "type": "bar",
                "name": charts.name(str(service)),
                "x": [day.isoformat() for day in part["day"]],
                "y": list(part["usd"]),
                "customdata": [str(service)] * len(part),
                "hovertemplate": "$%{y:,.4f}",
            }
        )
    days = [desk.from_day, desk.to_day] if desk.trend == [] else [bar.day for bar in desk.trend]
    axis = {"type": "date", "tickformat": TICKS[desk.grain], "title": {"text": f"UTC {desk.grain}"}, "fixedrange": True}
    if len(set(days)) == 1:  # a single bar would be as wide as a millisecond
        axis["range"] = [(days[0] - timedelta(days=7)).isoformat(), (days[0] + timedelta(days=7)).isoformat()]
    return {"data": traces, "layout": {**charts.LAYOUT, "xaxis": axis, "yaxis": USD_AXIS}}


def breakdown(names: Sequence[str], amounts: Sequence[float]) -> dict[str, Any]:
    """One bar a name, the dearest on top; the first `MOST_BARS` of them."""
    shown = list(names[:MOST_BARS])
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": list(amounts[:MOST_BARS]),
        "y": list(range(len(shown))),
        "customdata": shown,
        "hovertemplate": "%{customdata}: $%{x:,.4f}<extra></extra>",
    }
    ticks = {"tickmode": "array", "tickvals": list(range(len(shown))), "ticktext": [_short(name) for name in shown]}
    layout = {
        **charts.LAYOUT,
        "height": 90 + 26 * len(shown),
        "hovermode": "closest",
        "xaxis": USD_AXIS,
        "yaxis": {**ticks, "autorange": "reversed", "fixedrange": True, "automargin": True},
    }
    return {"data": [trace], "layout": layout}


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def burn_down(outlook: Outlook, today: date, foretold: Forecast | None) -> dict[str, Any]:
    """What is left of the limit at each day's end, or without one what is spent, and the forecast with its range."""
    limit = float(outlook.quota.limit) if outlook.quota and outlook.quota.limit is not None else None
    days, spent = _spent(outlook, today)
    traces = [_line("Left" if limit is not None else "Spent", days, [_left(usd, limit) for usd in spent])]
    if foretold is not None:
        traces += _forecast(today, spent[-1], foretold, limit)
    last = today.replace(day=monthrange(today.year, today.month)[1])
    axis = {"type": "date", "tickformat": "%-d %b", "title": {"text": "UTC day"}, "fixedrange": True,
            "range": [today.replace(day=1).isoformat(), last.isoformat()]}  # fmt: skip
    title = "US dollars left" if limit is not None else "US dollars spent"
    # Below zero lies what would be refused.
    layout = {**charts.LAYOUT, "xaxis": axis, "yaxis": {**USD_AXIS, "title": {"text": title}}}
    return {"data": traces, "layout": layout}


def _left(usd: float, limit: float | None) -> float:
    return usd if limit is None else limit - usd


def _spent(outlook: Outlook, today: date) -> tuple[list[date], list[float]]:
    """Each day of the month up to today, and what was spent by its end."""
    by_day = outlook.spent_by_day()
    days = [today.replace(day=1) + timedelta(days=n) for n in range(today.day)]
    total, sums = 0.0, []
    for day in days:
        total += by_day.get(day, 0.0)
        sums.append(total)
    return days, sums


def _line(name: str, days: Sequence[date], amounts: Sequence[float], **style: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [day.isoformat() for day in days],
        "y": list(amounts),
        "hovertemplate": "$%{y:,.2f}",
        **style,
    }


def _forecast(today: date, spent: float, foretold: Forecast, limit: float | None) -> list[dict[str, Any]]:
    days = [today, today.replace(day=monthrange(today.year, today.month)[1])]
    if days[0] == days[1]:
        return []
    edges = [[_left(spent, limit), _left(end, limit)] for end in (foretold.high, foretold.low, foretold.expected)]
    hidden = {"width": 0}
    return [
        _line("Range", days, edges[0], line=hidden, showlegend=False, hoverinfo="skip", hovertemplate=None),
        _line("80 % range", days, edges[1], line=hidden, fill="tonexty", fillcolor=SHADE),
        _line("Forecast", days, edges[2], line={"dash": "dash"}),
    ]
