"""Times that people pick, on the nights when clocks change too."""

from datetime import UTC, date, datetime, time

import pytest

from services.errors import InvalidInput
from services.publishing.moments import moment, offset


def test_a_plain_time() -> None:
    assert moment(date(2026, 7, 1), time(9, 0), "America/New_York") == (datetime(2026, 7, 1, 13, tzinfo=UTC), None)


def test_a_time_that_comes_twice_has_both_instants() -> None:
    night = date(2026, 10, 25)
    both = (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert moment(night, time(2, 30), "Europe/Berlin") == both
    assert moment(night, time(3, 0), "Europe/Berlin").again is None


@pytest.mark.parametrize(
    ("zone", "day", "at", "instead"),
    [
        ("Europe/Berlin", date(2026, 3, 29), time(2, 30), "03:30"),
        ("America/New_York", date(2026, 3, 8), time(2, 0), "03:00"),
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), "02:45"),
    ],
)
def test_a_time_that_is_skipped_is_refused_with_the_one_instead(zone: str, day: date, at: time, instead: str) -> None:
    with pytest.raises(InvalidInput, match=instead) as refused:
        moment(day, at, zone)
    assert refused.value.field == "time"


def test_offsets() -> None:
    summer = datetime(2026, 7, 1, tzinfo=UTC)
    assert offset(summer, "Asia/Kolkata") == "UTC+5:30"
    assert offset(summer, "America/New_York") == "UTC−4"
    assert offset(summer, "UTC") == "UTC+0"
