"""How amounts, shares and times are written, everywhere alike."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo


def plain(text: str) -> str:
    """Text that somebody typed, for places that read Markdown: shown as it stands, links and colours inert."""
    return re.sub(r"([\\`*_\[\]<>$~:#|])", r"\\\1", text)


def usd(amount: Decimal, rounding: str = ROUND_HALF_UP) -> str:
    """US dollars: four decimals under $1, else two. The sign stands before the currency."""
    places = Decimal("0.0001") if 0 < abs(amount) < 1 else Decimal("0.01")
    rounded = amount.quantize(places, rounding)
    return f"{'−' if rounded < 0 else ''}${abs(rounded):,}"


def usd_left(amount: Decimal) -> str:
    """What is left, rounded down: never promise more than there is."""
    return usd(amount, ROUND_FLOOR)


def usd_short(amount: Decimal) -> str:
    """What is missing, rounded up: what is named must suffice."""
    return usd(amount, ROUND_CEILING)


def percent(share: Decimal) -> str:
    """A share as whole percent, rounded down: 99.9 % is not "100 %"."""
    return f"{int(share * 100):,} %"


def moment(at: datetime, timezone: str) -> str:
    """A time in the store's (or company's) own zone, named."""
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local:%-d %b %Y, %H:%M} {local.tzname()}"


def ago(at: datetime, now: datetime | None = None) -> str:
    """How long ago, in the largest whole unit."""
    seconds = int(((now or datetime.now(UTC)) - at).total_seconds())
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


def seconds(duration: Decimal | float) -> str:
    """A duration as m:ss, under a minute in seconds, under ten seconds with one decimal."""
    if duration < 10:
        return f"{duration:.1f} s"
    if duration < 60:
        return f"{int(duration)} s"
    return f"{int(duration) // 60}:{int(duration) % 60:02d} min"


def megabytes(size: int) -> str:
    """A file's size in MB of 2^20 bytes; under ten with one decimal, at least 0.1."""
    amount = size / (1 << 20)
    return f"{max(amount, 0.1):.1f} MB" if amount < 10 else f"{amount:,.0f} MB"


def quota_reset(now: datetime, timezone: str) -> str:
    """When this month's quota starts anew, in UTC and on the store's own clock."""
    first = (now.astimezone(UTC).replace(day=1) + timedelta(days=32)).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    here = first.astimezone(ZoneInfo(timezone))
    same = here.utcoffset() == timedelta(0)
    return f"resets {first:%-d %b} 00:00 UTC" + ("" if same else f" ({here:%-d %b %H:%M} here)")
