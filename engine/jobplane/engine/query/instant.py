"""Instants: times as whole microseconds since 1970 in UTC, the unit of the store."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC_3339 = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt](?P<second>\d\d:\d\d:\d\d)"
    r"(?:\.(?P<fraction>\d{1,9}))?(?P<zone>[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


def instant_of(time: datetime) -> int:
    """The aware time in microseconds."""
    return (time - _EPOCH) // _MICROSECOND


def format_instant(instant: int) -> str:
    """The instant as RFC 3339 in UTC."""
    time = _EPOCH + instant * _MICROSECOND
    return time.isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> int:
    """The instant of an RFC 3339 text; ValueError says what is wrong with it."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError("a time looks like 2026-01-31T12:00:00Z, with a zone (RFC 3339)")
    fraction = (match["fraction"] or "").ljust(9, "0")
    if fraction[6:] != "000":
        raise ValueError("times are kept to the microsecond; write at most 6 decimals")
    zone = match["zone"].upper().replace("Z", "+00:00")
    try:
        time = datetime.fromisoformat(f"{match['day']}T{match['second']}.{fraction[:6]}{zone}")
        return instant_of(time.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text} is no time of the calendar") from error
