"""How amounts, shares and times are written."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ui import formats

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.000049", "$0.0000"),
        ("0.00005", "$0.0001"),
        ("0.12344", "$0.1234"),
        ("0.12345", "$0.1235"),
        ("0.9999", "$0.9999"),
        ("1", "$1.00"),
        ("1.005", "$1.01"),
        ("999.994999", "$999.99"),
        ("1234567.895", "$1,234,567.90"),
        ("99999999.99", "$99,999,999.99"),
        ("-0.5", "−$0.5000"),
        ("-12.345", "−$12.35"),
        ("-0.00001", "$0.0000"),
    ],
)
def test_dollars_have_four_decimals_under_one_dollar_else_two(amount, text):
    assert formats.usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("amount", "left", "short"),
    [
        ("0", "$0.00", "$0.00"),
        ("0.000001", "$0.0000", "$0.0001"),
        ("0.123456", "$0.1234", "$0.1235"),
        ("0.1234", "$0.1234", "$0.1234"),
        ("1.000001", "$1.00", "$1.01"),
        ("24.999999", "$24.99", "$25.00"),
        ("25", "$25.00", "$25.00"),
    ],
)
def test_what_is_left_is_rounded_down_and_what_is_missing_up(amount, left, short):
    assert formats.usd_left(Decimal(amount)) == left
    assert formats.usd_short(Decimal(amount)) == short


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ("0", "0 %"),
        ("0.009999", "0 %"),
        ("0.899999", "89 %"),
        ("0.9", "90 %"),
        ("0.999999", "99 %"),
        ("1", "100 %"),
        ("12.345", "1,234 %"),
    ],
)
def test_percent_is_rounded_down(share, text):
    assert formats.percent(Decimal(share)) == text


@pytest.mark.parametrize(
    ("at", "zone", "text"),
    [
        (datetime(2026, 1, 1, 0, 30, tzinfo=UTC), "America/New_York", "31 Dec 2025, 19:30 EST"),
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), "Europe/London", "29 Mar 2026, 00:59 GMT"),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), "Europe/London", "29 Mar 2026, 02:00 BST"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "Europe/Bucharest", "25 Oct 2026, 03:30 EEST"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "Europe/Bucharest", "25 Oct 2026, 03:30 EET"),
        (datetime(2028, 2, 28, 23, 59, 59, 999999, tzinfo=UTC), "Asia/Kolkata", "29 Feb 2028, 05:29 IST"),
    ],
)
def test_a_moment_is_told_in_the_stores_zone_and_names_it(at, zone, text):
    assert formats.moment(at, zone) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=1), "1 h ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 d ago"),
        (timedelta(days=400), "400 d ago"),
    ],
)
def test_ago_uses_the_largest_whole_unit(passed, text):
    assert formats.ago(NOW - passed, NOW) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [(Decimal("0.04"), "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (Decimal("59.9"), "59 s"), (61, "1:01 min")],
)
def test_a_duration_has_a_decimal_under_ten_seconds(duration, text):
    assert formats.seconds(duration) == text


@pytest.mark.parametrize(
    ("now", "zone", "text"),
    [
        # Winter and summer time as they are at the reset, not now: New York ends summer time on 1 Nov 2026, 06:00 UTC.
        (datetime(2026, 10, 5, tzinfo=UTC), "America/New_York", "resets 1 Nov 00:00 UTC (31 Oct 20:00 here)"),
        (datetime(2026, 11, 1, tzinfo=UTC), "America/New_York", "resets 1 Dec 00:00 UTC (30 Nov 19:00 here)"),
        (datetime(2026, 3, 10, tzinfo=UTC), "Europe/London", "resets 1 Apr 00:00 UTC (1 Apr 01:00 here)"),
        (datetime(2026, 10, 10, tzinfo=UTC), "Europe/London", "resets 1 Nov 00:00 UTC"),
        (datetime(2026, 7, 10, tzinfo=UTC), "UTC", "resets 1 Aug 00:00 UTC"),
        # Month and year ends, the last microsecond included; leap and common February.
        (datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "UTC", "resets 1 Jan 00:00 UTC"),
        (
            datetime(2026, 12, 31, 12, tzinfo=UTC),
            "America/Los_Angeles",
            "resets 1 Jan 00:00 UTC (31 Dec 16:00 here)",
        ),
        (datetime(2027, 1, 1, tzinfo=UTC), "UTC", "resets 1 Feb 00:00 UTC"),
        (datetime(2028, 1, 31, tzinfo=UTC), "UTC", "resets 1 Feb 00:00 UTC"),
        (datetime(2028, 2, 29, tzinfo=UTC), "Asia/Tokyo", "resets 1 Mar 00:00 UTC (1 Mar 09:00 here)"),
        # The UTC month counts: in Auckland the next month has begun already.
        (datetime(2026, 5, 31, 13, tzinfo=UTC), "Pacific/Auckland", "resets 1 Jun 00:00 UTC (1 Jun 12:00 here)"),
    ],
)
def test_the_quota_resets_at_the_utc_months_end(now, zone, text):
    assert formats.quota_reset(now, zone) == text


def test_the_reset_is_the_same_for_a_clock_of_another_zone():
    new_york = datetime.fromisoformat("2026-11-30T18:59:59-05:00")  # 23:59:59 UTC
    assert formats.quota_reset(new_york, "UTC") == "resets 1 Dec 00:00 UTC"
