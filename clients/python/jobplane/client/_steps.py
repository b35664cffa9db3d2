"""How to watch, and what a stream that resumes asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobplane.client import errors
    from jobplane.v1 import job_pb2

Item_co = TypeVar("Item_co", covariant=True)


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
class Ask:
    """Wait `delay_s`, then open a stream with this request."""

    request: Any
    delay_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """Read the job, and tell what it says."""


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


Step = Ask | Read | Look | Stop | Fail


@dataclass(frozen=True, slots=True)
class Interruption:
    """A lost stream, told when it is lost (`resumed` False) and when it is back."""

    cursor: int
    cause: str
    resumed: bool
    seconds: float = 0.0


class Machine(Protocol[Item_co]):
    """Decides how a stream goes on; a shell does what `step` says, and tells what came of it."""

    def step(self, now: float) -> Step:
        """What to do next."""
        ...

    def opened(self, now: float) -> None:
        """Take note that a stream was opened."""
        ...

    def received(self, frame: Any, now: float) -> Sequence[Item_co]:
        """What to hand to the caller for a frame."""
        ...

    def ended(self, now: float) -> None:
        """Take note that the stream ended with OK but said no end."""
        ...

    def failed(self, error: errors.JobplaneError, now: float) -> None:
        """Take note that the stream broke."""
        ...

    def silent(self, now: float) -> None:
        """Take note that the time to wait passed without a frame."""
        ...

    def looked(self, job: job_pb2.Job) -> None:
        """Take note of what the job says."""
        ...
