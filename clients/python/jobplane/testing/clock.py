"""The time of a test's server, which stands still until the test moves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that a test moves; the server's loops follow within a second of real time."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Time of the server, aware, in UTC."""
        with self._lock:
            return self._now

    def advance(self, span: timedelta | float) -> datetime:
        """Time after it was moved on by a span, or by so many seconds."""
        by = span if isinstance(span, timedelta) else timedelta(seconds=span)
        if by < timedelta(0):
            raise ValueError(f"time goes forward only, not by {by}")
        with self._lock:
            self._now += by
            return self._now
