"""Frames of a set: what a watch of all jobs that match a filter delivers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jobplane.engine.domain.job import Job
from jobplane.engine.watch.frame import EndReason


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job after a change; of a deleted one only the name is known."""

    name: str
    job: Job | None
    # False when it matched before and no longer does.
    matches: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """Jobs of the initial list, or changed jobs, in order, never empty."""

    cursor: str
    changes: tuple[JobChange, ...]
    # The cursor of a frame that ends with the change of an index.
    cursor_after: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Synced:
    """The initial list is complete."""

    cursor: str
    matching: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The cursor can't be followed; a fresh list comes next."""

    cursor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing happened; the server is alive."""

    cursor: str
    server_time: datetime


@dataclass(frozen=True, slots=True)
class SetEnd:
    """Last frame."""

    cursor: str
    reason: EndReason
    retry_after_s: float | None = None


SetFrame = Changes | Synced | Reset | Beat | SetEnd
