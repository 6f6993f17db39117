"""The send budget: how many requests for posts a vendor's organization takes, and when those that wait are through.

Pure arithmetic; `private.take_request` decides, under the budget's lock, by the same rules.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

WINDOW = timedelta(seconds=3602)  # the vendor counts an hour from a window's first request; its clock is not ours
RESERVE = 10  # one request in so many is kept for posts that are due before the window ends
LEAD = timedelta(minutes=2)  # a post due so soon after the window's end cannot wait for the next one either


class Budget(BaseModel):
    """What is known of an organization's allowance, which is a number of requests in a window of an hour.

    `window_ends` None: no request has opened a window. `blocked_until`: after a refusal nothing may be sent before.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    allowance: int = 90
    used: int = 0
    window_ends: datetime | None = None
    blocked_until: datetime | None = None
    refusals: int = 0

    def left(self, now: datetime) -> int:
        """Requests that the present window still takes; none while blocked."""
        if self.blocked_until and self.blocked_until > now:
            return 0
        return max(self.allowance - self._used(now), 0)

    def _used(self, now: datetime) -> int:
        return self.used if self.window_ends and self.window_ends > now else 0

    def opens(self, now: datetime) -> datetime:
        """When the window after the present one can begin; `now` where none has begun."""
        if self.blocked_until and self.blocked_until > now:
            return self.blocked_until
        return self.window_ends if self.window_ends and self.window_ends > now else now


def finish(
    budget: Budget, requests_ahead: int, requests: int, now: datetime, wanted_at: datetime | None = None
) -> datetime:
    """When the last of `requests` is handed over, behind `requests_ahead` that wait already.

    A post wanted before the present window ends may take of its reserve.
    """
    reserve = 0 if _urgent(budget, wanted_at, now) else budget.allowance // RESERVE
    rest = requests_ahead + requests - max(budget.left(now) - reserve, 0)
    if rest <= 0:
        return now
    share = max(budget.allowance - budget.allowance // RESERVE, 1)
    return _next_window(budget, now) + (rest - 1) // share * WINDOW


def _urgent(budget: Budget, wanted_at: datetime | None, now: datetime) -> bool:
    return wanted_at is not None and wanted_at < _next_window(budget, now) + LEAD


def _next_window(budget: Budget, now: datetime) -> datetime:
    """When the window after the present one can begin; without one, after the one that the next request opens."""
    opens = budget.opens(now)
    return opens if opens > now else now + WINDOW
