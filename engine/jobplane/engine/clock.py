"""Time and identity, handed in wherever they are needed."""

import secrets
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Wall time, aware, in UTC."""
        return datetime.now(UTC)


class Randomness(Protocol):
    """Where ids and jitter come from."""

    def new_id(self, now: datetime) -> str:
        """A fresh id that sorts by time."""
        ...

    def jitter(self) -> float:
        """A number in 0..1."""
        ...


class SystemRandomness:
    """The machine's random numbers."""

    def new_id(self, now: datetime) -> str:
        """A UUIDv7 as text."""
        milliseconds = int(now.timestamp() * 1000) & ((1 << 48) - 1)
        low = secrets.randbits(74)
        number = (
            milliseconds << 80 | 0x7 << 76 | (low >> 62) << 64 | 0b10 << 62 | low & (1 << 62) - 1
        )
        return str(UUID(int=number))

    def jitter(self) -> float:
        """A number in 0..1."""
        return secrets.randbits(32) / (1 << 32)
