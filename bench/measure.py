"""Time ways of doing a thing beside each other, in turns, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
Way = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """A value a round: the median, and between which values the middle half lies."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def middle_half(self) -> tuple[float, float]:
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high


def in_turns(ways: Mapping[K, Way], *, rounds: int, calls: int = 1, warm_up: int = 1) -> dict[K, Spread]:
    """Seconds a call of each way. A round runs `calls` calls of every way and keeps each way's median.

    Every round begins with another way: whoever follows a heavy one pays for it.
    """
    names = list(ways)
    seconds: dict[K, list[float]] = {name: [] for name in names}
    for place in range(-warm_up, rounds):
        first = place % len(names)
        for name in names[first:] + names[:first]:
            value = statistics.median(timed(ways[name]) for _ in range(calls))
            if place >= 0:
                seconds[name].append(value)
    return {name: Spread(tuple(values)) for name, values in seconds.items()}


def timed(way: Way) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def ratio(slow: Spread, fast: Spread) -> Spread:
    """How many times as long, round by round: both ways met the same load."""
    return Spread(tuple(a / b for a, b in zip(slow.values, fast.values, strict=True)))


def show_times(label: str, spread: Spread) -> None:
    low, high = spread.middle_half
    print(f"  {label:<58} {duration(spread.median):>9}   ({duration(low)} to {duration(high)})", flush=True)


def show_ratio(label: str, spread: Spread, goal: str = "") -> None:
    low, high = spread.middle_half
    aim = f"   goal {goal}" if goal else ""
    print(f"  {label:<58} {digits(spread.median):>8}×   ({digits(low)} to {digits(high)}){aim}", flush=True)


def show(label: str, value: object) -> None:
    print(f"  {label:<58} {value:>9}", flush=True)


def digits(value: float) -> str:
    """Three digits: 0.12, 1.23, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def duration(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{digits(seconds * factor)} {unit}"
    return f"{digits(seconds * 1e6)} µs"
