"""Where a month will end: an estimate with an 80 % range, and the day on which the quota runs out.

The method, and how it did on the demo's months, stands in docs/costs.md. Amounts are US dollars that count towards the
quota; they are floats here, because a forecast is no sum.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import exp, sqrt
from statistics import fmean

Z80 = 1.2816  # half-width, in standard deviations, of the middle 80 %
HISTORY = 84  # days before the forecast's own that it learns from: twelve of each weekday
FEWEST = 7  # days with known spending; with fewer nothing is foretold
SHRINK = 4.0  # weeks of an ordinary weekday that its own factor must outweigh
LEVEL_MEMORY = 14  # days after which the level has forgotten all but a third (1/e)
DRIFT = 0.04  # standard deviation by which a level changes in a day, as a share of it


@dataclass(frozen=True)
class Forecast:
    """The month's end: `low` to `high` holds it four times in five.

    `runs_out` is the day on which the estimate reaches the limit, `earliest` and `latest` those of the range; None:
    not this month.
    """

    spent: float
    expected: float
    low: float
    high: float
    runs_out: date | None = None
    earliest: date | None = None
    latest: date | None = None


@dataclass(frozen=True)
class _Pattern:
    """Spending of an ordinary day, the factor of each weekday (Monday first), and how far single days stray.

    `spread` is the standard deviation of a day's spending as a share of what was expected of it.
    """

    level: float
    level_spread: float
    factors: tuple[float, ...]
    spread: float

    def expect(self, day: date) -> float:
        return self.level * self.factors[day.weekday()]


def of_month(
    days: Mapping[date, float], today: date, limit: float | None = None, spent: float | None = None
) -> Forecast | None:
    """Of the month of `today`, from the spending of each UTC day; days that are absent had none.

    `today` is under way: what it has brought so far counts, and the rest of it is foretold like a day that has its
    expected spending still to come. `spent` is the month so far where it is known better (held money included).
    None where fewer than seven days are known.
    """
    pattern = _learn(days, today)
    if pattern is None:
        return None
    first, last = today.replace(day=1), today.replace(day=monthrange(today.year, today.month)[1])
    if spent is None:
        spent = sum(usd for day, usd in days.items() if first <= day <= today)
    coming = [(today + timedelta(days=n), n) for n in range((last - today).days + 1)]
    begun = days.get(today, 0.0)
    course = _course(pattern, coming, begun)
    expected, deviation = course[-1][1:]
    low, high = spent + max(expected - Z80 * deviation, 0.0), spent + expected + Z80 * deviation
    return Forecast(spent, spent + expected, low, high, *_runs_out(course, spent, limit))


def _learn(days: Mapping[date, float], today: date) -> _Pattern | None:
    """From the complete days before today, beginning with the first on which anything was spent."""
    known = [day for day, usd in days.items() if usd and today - timedelta(days=HISTORY) <= day < today]
    first = min(known, default=today)
    series = [
        (first + timedelta(days=n), days.get(first + timedelta(days=n), 0.0)) for n in range((today - first).days)
    ]
    mean = fmean(usd for _, usd in series) if series else 0.0
    if len(series) < FEWEST or mean <= 0:
        return None
    factors = _weekdays(series, mean)
    return _levelled(series, factors, today)


def _weekdays(series: list[tuple[date, float]], mean: float) -> tuple[float, ...]:
    """How much of an ordinary day's spending falls on each weekday; few weeks pull a factor towards 1."""
    factors = []
    for weekday in range(7):
        shares = [usd / mean for day, usd in series if day.weekday() == weekday]
        factors.append((sum(shares) + SHRINK) / (len(shares) + SHRINK))
    return tuple(factor * 7 / sum(factors) for factor in factors)


def _levelled(series: list[tuple[date, float]], factors: tuple[float, ...], today: date) -> _Pattern:
    """The level from recent days above all, and what single days stray from it."""
    weights = [exp(-(today - day).days / LEVEL_MEMORY) for day, _ in series]
    expected = sum(w * factors[day.weekday()] for w, (day, _) in zip(weights, series, strict=True))
    level = sum(w * usd for w, (_, usd) in zip(weights, series, strict=True)) / expected
    strays = [usd / (level * factors[day.weekday()]) - 1 for day, usd in series]
    total = sum(weights)
    variance = sum(w * stray**2 for w, stray in zip(weights, strays, strict=True)) / total
    level_variance = variance * sum(w * w for w in weights) / total**2
    return _Pattern(level, sqrt(level_variance), factors, sqrt(variance))


def _course(pattern: _Pattern, coming: list[tuple[date, int]], begun: float) -> list[tuple[date, float, float]]:
    """By day: what is still expected up to its end, and the standard deviation of that."""
    course, expected, single, drifted = [], 0.0, 0.0, 0.0
    for day, ahead in coming:
        share = pattern.expect(day)
        if ahead == 0:
            share = max(share - begun, 0.0)
        expected += share
        single += (pattern.spread * share) ** 2
        drifted += share * DRIFT * sqrt(ahead)
        deviation = sqrt(single + (pattern.level_spread * expected) ** 2 + drifted**2)
        course.append((day, expected, deviation))
    return course


def _runs_out(
    course: list[tuple[date, float, float]], spent: float, limit: float | None
) -> tuple[date | None, date | None, date | None]:
    """The days on which the estimate, the range's upper and its lower edge reach the limit."""
    if limit is None:
        return None, None, None
    ways = [spent + expected + side * Z80 * deviation for side in (0, 1, -1) for _, expected, deviation in course]
    days = [day for day, *_ in course]
    found = []
    for place in range(3):
        reached = zip(days, ways[place * len(days) : (place + 1) * len(days)], strict=True)
        found.append(next((day for day, usd in reached if usd >= limit), None))
    return found[0], found[1], found[2]
