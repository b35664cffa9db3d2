"""How to watch, and what a watch asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobplane.client import errors


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchPlan:
    """How to watch."""

    heartbeat_s: float = 15.0
    # The caller's own limit for the whole watch; None goes on until the job ends.
    timeout_s: float | None = None
    # How long reconnecting is tried before the watch gives up.
    max_resume_s: float = 300.0
    durable_only: bool = False
    event_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Open:
    """Wait `delay_s`, then open a stream after this sequence (None: from now)."""

    after_sequence: int | None
    delay_s: float


@dataclass(frozen=True, slots=True)
class Read:
    """Take the next frame, but wait no longer than this."""

    timeout_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """The job ended and everything was told."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Raise this."""

    error: errors.JobplaneError


Step = Open | Read | Stop | Fail


@dataclass(frozen=True, slots=True)
class Interruption:
    """A lost stream, told when it is lost (`resumed` False) and when it is back."""

    cursor: int
    cause: str
    resumed: bool
    seconds: float = 0.0
