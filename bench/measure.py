"""Time ways of doing a thing beside each other, in turns, so that a busy machine slows all of them alike."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Way = Callable[[], object]


@dataclass(frozen=True)
class Timings:
    """Seconds a call, one value a round; the same round number means the same moment for every way."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = quartiles(self.seconds)
        return f"{duration(self.median):>9}   ({duration(low)} to {duration(high)})"


@dataclass(frozen=True)
class Ratio:
    """How many times as long as the other way, one value a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high = quartiles(self.values)
        return f"{number(self.median)}x   ({number(low)} to {number(high)})"


def in_turns(ways: Mapping[str, Way], *, rounds: int, calls: int = 1, warm_up: int = 1) -> dict[str, Timings]:
    """Run `calls` calls of each way a round; a round's value is the median of its calls.

    Every round begins with another way: whoever follows a heavy one pays for it.
    """
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            value = statistics.median(_timed(ways[name]) for _ in range(calls))
            if number >= 0:
                seconds[name].append(value)
    return {name: Timings(tuple(values)) for name, values in seconds.items()}


def _timed(way: Way) -> float:
    gc.collect(0)
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def ratio(slow: Timings, fast: Timings) -> Ratio:
    return Ratio(tuple(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The middle half; both ends are the value itself where there is only one."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def number(value: float) -> str:
    """Three digits that matter: 0.123, 1.23, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float) -> str:
    if seconds >= 1:
        return f"{number(seconds)} s"
    return f"{number(seconds * 1e3)} ms" if seconds >= 1e-3 else f"{number(seconds * 1e6)} µs"
