"""Where a month ends: on made-up series whose truth is known, and on every complete month of the demo's stores."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from uuid import UUID

import pytest

from services.costs import forecast
from services.demo_rows import rows

TODAY = date(2026, 11, 15)
NIGHTS = [datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)]


def series(days: int, usd: float = 2.0, until: date = TODAY) -> dict[date, float]:
    """The same amount on each of the days before `until`."""
    return {until - timedelta(days=n): usd for n in range(1, days + 1)}


@cache
def demo(now: datetime) -> dict[UUID, dict[date, float]]:
    """What each store of the demo spent a day."""
    stores: dict[UUID, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for entry in rows(now)["cost_entries"]:
        stores[entry["profile_id"]][entry["booked_on"]] += float(entry["cost_usd"])
    return stores


@pytest.mark.parametrize("now", NIGHTS, ids=str)
def test_at_day_15_the_months_end_lies_in_the_range(now: datetime):
    held, asked = 0, 0
    for days in demo(now).values():
        for month in sorted({day.replace(day=1) for day in days})[:6]:
            today = month.replace(day=15)
            truth = sum(usd for day, usd in days.items() if day.replace(day=1) == month)
            found = forecast.of_month({day: usd for day, usd in days.items() if day < today}, today)
            assert found is not None
            asked += 1
            held += found.low <= truth <= found.high
            assert found.high - found.low < truth, "a range that says nothing holds everything"
    assert asked == 18
    assert held >= 13


def test_steady_spending_goes_on():
    found = forecast.of_month(series(60), TODAY)
    assert found is not None
    assert found.spent == 28
    assert found.expected == pytest.approx(60)
    assert found.low < 60 < found.high
    assert found.high - found.low < 15


def test_what_is_spent_is_not_foretold_again():
    plain = forecast.of_month(series(60), TODAY)
    begun = forecast.of_month({**series(60), TODAY: 1.0}, TODAY)
    burst = forecast.of_month({**series(60), TODAY: 100.0}, TODAY)
    assert begun.expected == pytest.approx(plain.expected)
    assert burst.expected == pytest.approx(plain.expected + 98)
    assert burst.low >= burst.spent == 128


def test_weekdays_have_their_own_weight():
    """Spending on Fridays only: 15 November 2026 is a Sunday; two Fridays are still to come."""
    days = {TODAY - timedelta(days=n): 7.0 if (TODAY - timedelta(days=n)).weekday() == 4 else 0.0 for n in range(1, 85)}
    found = forecast.of_month(days, TODAY)
    assert found.expected == pytest.approx(14 + 14, rel=0.15)


def test_the_limit_is_reached_sooner_or_later():
    found = forecast.of_month(series(60), TODAY, 41)
    assert found.runs_out == date(2026, 11, 21)
    assert found.earliest <= found.runs_out <= found.latest
    assert forecast.of_month(series(60), TODAY, 28).runs_out == TODAY, "reached by now"
    far = forecast.of_month(series(60), TODAY, 500)
    assert (far.runs_out, far.earliest, far.latest) == (None, None, None)
    assert forecast.of_month(series(60), TODAY).runs_out is None


@pytest.mark.parametrize("days", [{}, series(6), dict.fromkeys(series(60), 0.0), {TODAY: 5.0},
                                  {TODAY - timedelta(days=200): 5.0}])  # fmt: skip
def test_too_little_is_known(days):
    assert forecast.of_month(days, TODAY) is None


@pytest.mark.parametrize("today", [date(2026, 11, 1), date(2026, 11, 30), date(2024, 2, 29)])
def test_on_a_months_first_and_last_day(today: date):
    found = forecast.of_month(series(60, until=today), today)
    last = 29 if today.month == 2 else 30
    assert found.expected == pytest.approx(2 * last)
    assert found.spent == 2 * (today.day - 1)


def test_spending_that_ended_long_ago_fades():
    days = {day: usd for day, usd in series(84).items() if day < TODAY - timedelta(days=56)}
    found = forecast.of_month(days, TODAY)
    assert found.spent == 0
    assert found.expected < 2


def test_what_is_known_better_replaces_the_months_sum():
    assert forecast.of_month(series(60), TODAY, spent=30).spent == 30
