"""Try again what the database rolled back: the same number of times behind every door."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from services.errors import Unavailable

T = TypeVar("T")

TRIES = 4  # of a call that may be repeated; waits 20, 40, 80 ms, give or take half


def with_retries(run: Callable[[], T], may_repeat: Callable[[Unavailable], bool]) -> T:
    """What `run` returns. After an `Unavailable` that `may_repeat` admits it is run again, `TRIES` times in all."""
    for attempt in range(1, TRIES):
        try:
            return run()
        except Unavailable as exc:
            if not may_repeat(exc):
                raise
            time.sleep(0.01 * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
    return run()
