"""Moments in a store's own time: what a person picks on a calendar and a clock, as an instant."""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from services.errors import InvalidInput


class Moment(NamedTuple):
    """An instant in UTC. `again`: the clocks are set back that night, and the same time comes once more."""

    instant: datetime
    again: datetime | None


def moment(day: date, at: time, zone: str) -> Moment:
    """The instant of a time in `zone`. Raises `InvalidInput` beside `time` for one that the clocks skip that night."""
    here = ZoneInfo(zone)
    first, later = (datetime.combine(day, at, here).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(here).replace(tzinfo=None) != datetime.combine(day, at):
        raise InvalidInput(_skipped(first, at, here), "time")
    return Moment(first, later if later != first else None)


def offset(instant: datetime, zone: str) -> str:
    """How a zone's clocks stand to UTC at an instant, such as "UTC+2"."""
    minutes = int((instant.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'−' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")


def _skipped(instant: datetime, at: time, zone: ZoneInfo) -> str:
    """Python reads a skipped time by the clocks before the change; what they show afterwards is the time there is."""
    instead = instant.astimezone(zone)
    return f"{at:%H:%M} does not exist that day: the clocks are set forward. {instead:%H:%M} is the same moment."
