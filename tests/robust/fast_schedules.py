"""Schedules by a clock on which a second is a minute, so that a short run sees many fires.

Only schedules go by it: the server's own deadlines, leases and back-offs keep real time.
"""

import functools
from datetime import UTC, datetime

from jobplane.engine import house

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SPEED = 60


class FastClock:
    """The same in every life of the server, and it never stands still."""

    def now(self) -> datetime:
        return fast(datetime.now(UTC))


def fast(real: datetime) -> datetime:
    """What the fast clock shows at a moment."""
    return EPOCH + (real - EPOCH) * SPEED


def real(shown: datetime) -> datetime:
    """The moment at which the fast clock shows a time."""
    return EPOCH + (shown - EPOCH) / SPEED


def install() -> None:
    """Have the servers of this process fire schedules by the fast clock."""
    for name in ("Ticker", "ScheduleBook"):
        setattr(house, name, functools.partial(_made, getattr(house, name)))


def _made(maker, **parts):
    return maker(**{**parts, "clock": FastClock()})
