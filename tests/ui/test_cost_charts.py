"""Figures of the Costs page: what stands in them, not how they look."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from services.costs.desk import Bar, DayLine, Desk, Outlook
from services.costs.forecast import Forecast
from services.profiles import Quota
from ui import cost_charts, cost_sections

D = Decimal
TODAY = date(2026, 11, 21)
FORETOLD = Forecast(spent=6.0, expected=9.0, low=8.0, high=10.5)


def quota(limit: str | None, settled: str = "6") -> Quota:
    left = D(limit) - D(settled) if limit else None
    return Quota(limit=D(limit) if limit else None, settled=D(settled), held=D(0), left=left,
                 exceeded=left is not None and left <= 0)  # fmt: skip


def outlook(limit: Quota | None) -> Outlook:
    """Two dollars on the 1st, the 2nd and today; something in the month before."""
    days = [date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 2), TODAY]
    return Outlook(quota=limit, days=[DayLine(day=day, usd=D(2)) for day in days])


def desk(**values) -> Desk:
    month = {"month": TODAY.replace(day=1), "usd": D(6), "before": D(9), "before_so_far": D(3)}
    known = {
        "profile_id": uuid4(), "from_day": TODAY.replace(day=1), "to_day": TODAY, "from_month": TODAY.replace(day=1),
        "to_month": TODAY.replace(day=1), "grain": "day", "as_of": datetime(2026, 11, 21, 12, tzinfo=UTC), "seq": 7,
        "all_people": True, "total": D(6), "counted": D(6), "entries": 3, "whole_months": D(6), "month": month,
        "months": [], "trend": [], "cuts": {}, "stores": [], "people": [], "projects": [], "clips": [],
        "outlook": outlook(None),
    }  # fmt: skip
    return Desk.model_validate({**known, **values})


def lines(figure) -> dict[str, dict]:
    return {trace["name"]: trace for trace in figure["data"]}


def test_what_is_left_falls_from_the_limit():
    found = lines(cost_charts.burn_down(outlook(quota("10")), TODAY, FORETOLD))
    assert found["Left"]["y"][:3] == [8.0, 6.0, 6.0]
    assert found["Left"]["y"][-1] == 4.0
    assert len(found["Left"]["x"]) == 21
    assert found["Forecast"]["x"] == ["2026-11-21", "2026-11-30"]
    assert found["Forecast"]["y"] == [4.0, 1.0]
    assert (found["Range"]["y"][1], found["80 % range"]["y"][1]) == (-0.5, 2.0)


@pytest.mark.parametrize("limit", [None, quota(None)])
def test_without_a_limit_what_is_spent_rises(limit):
    found = lines(cost_charts.burn_down(outlook(limit), TODAY, FORETOLD))
    assert (found["Spent"]["y"][0], found["Spent"]["y"][-1], found["Forecast"]["y"][1]) == (2.0, 6.0, 9.0)


def test_on_the_last_day_and_without_a_forecast_there_is_only_the_past():
    assert set(lines(cost_charts.burn_down(outlook(None), TODAY, None))) == {"Spent"}
    assert set(lines(cost_charts.burn_down(outlook(None), date(2026, 11, 30), FORETOLD))) == {"Spent"}


def test_a_trend_has_its_bars_by_service():
    trend = [Bar(day=TODAY - timedelta(days=n % 2), service=("gemini", "practice")[n // 2], usd=D(n)) for n in range(4)]
    figure = cost_charts.trend(desk(trend=trend))
    found = lines(figure)
    assert found["Gemini"]["y"] == [0.0, 1.0]
    assert found["Practice premium"]["customdata"] == ["practice", "practice"]
    assert "range" not in figure["layout"]["xaxis"]
    assert "range" in cost_charts.trend(desk(trend=trend[:1]))["layout"]["xaxis"]


def test_a_breakdown_draws_the_dearest_fifteen():
    figure = cost_charts.breakdown([f"Clip {n} with quite a long name indeed" for n in range(40)], list(range(40)))
    (bars,) = figure["data"]
    assert len(bars["x"]) == len(bars["y"]) == cost_charts.MOST_BARS
    assert len(set(bars["y"])) == cost_charts.MOST_BARS, "two lines of one name are two bars"


@pytest.mark.parametrize(
    ("limit", "dates", "told"),
    [
        ("10", {}, "The quota lasts to the end of the month."),
        ("10", {"earliest": 28}, "The quota probably lasts; at the earliest it runs out on 28 November."),
        ("10", {"earliest": 25, "runs_out": 27}, "at the latest not this month."),
        ("10", {"earliest": 25, "runs_out": 27, "latest": 30},
         "The quota runs out about 27 November: at the earliest on 25 November, at the latest on 30 November."),
        ("6", {}, "The quota is used up."),
        (None, {}, "$6.00 is spent; there is no limit."),
    ],
)  # fmt: skip
def test_it_says_when_the_quota_runs_out(limit, dates, told):
    days = {name: date(2026, 11, day) for name, day in dates.items()}
    foretold = Forecast(spent=6, expected=9, low=8, high=10.5, **days)
    said = " ".join(cost_sections.sentences(desk(outlook=outlook(quota(limit))), foretold))
    assert told in said
    assert "near $9.00" in said
    assert "between $8.00 and $10.50" in said


def test_whole_months_are_known():
    assert desk().in_whole_months
    assert not desk(from_day=TODAY).in_whole_months
    assert not desk(to_day=date(2026, 11, 20)).in_whole_months
