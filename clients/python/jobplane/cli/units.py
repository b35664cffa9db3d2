"""Numbers in the form that people read, and the way back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
SIZES = ("B", "kB", "MB", "GB", "TB")
STEP = 1000
TENTHS_BELOW_S = 60
# Whole numbers below this are exact in a double.
EXACT = 2**53


def seconds_of(text: str) -> float:
    """Seconds for "90", "5m" or "1h30m"; ValueError for anything else."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no time span; write for example 90, 30s, 5m or 1h30m")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


def span(duration: timedelta) -> str:
    """Short text for a time span, for example 16.2s, 2m or 1h5m."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < TENTHS_BELOW_S:
        return f"{seconds:.1f}s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return f"{minutes}m"
    if days < 1:
        return f"{hours}h{minutes % 60}m"
    return f"{days}d{hours % 24}h"


def age(moment: datetime) -> str:
    """Short text for how long ago something was, for example 42s or 3m."""
    return re.sub(r"\.\d+s$", "s", span(datetime.now(UTC) - moment))


def clock(duration: timedelta) -> str:
    """Elapsed time as 00:16, with hours once there are some."""
    seconds = max(0, int(duration.total_seconds()))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    head = f"{hours}:{minutes:02}" if hours else f"{minutes:02}"
    return f"{head}:{seconds % 60:02}"


def size(count: float) -> str:
    """Short text for a number of bytes, for example 118 kB."""
    units = iter(SIZES)
    unit = next(units)
    while count >= STEP and unit != SIZES[-1]:
        count /= STEP
        unit = next(units)
    return f"{count:.0f} {unit}"


def number(value: float) -> str:
    """Number without noise: 0.412, 1.18, 2,520."""
    return f"{value:,.0f}" if abs(value) < EXACT and value == int(value) else f"{value:.4g}"
