"""The send budget: how many requests for posts a vendor's organization takes."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


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
