"""Frames: what a watch of one job delivers."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobplane.engine.domain.event import JobEvent
from jobplane.engine.domain.job import Job
from jobplane.engine.domain.status import JobStatus


class EndReason(StrEnum):
    """Why the server ends a stream that went well."""

    FINISHED = "FINISHED"
    DRAINING = "DRAINING"
    MAX_AGE = "MAX_AGE"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Full state at the cursor."""

    cursor: int
    job: Job
    history_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened since the last frame, in order, never empty."""

    cursor: int
    events: tuple[JobEvent, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing happened; the server is alive."""

    cursor: int
    server_time: datetime
    status: JobStatus
    worker_heartbeat_at: datetime | None


@dataclass(frozen=True, slots=True)
class End:
    """Last frame; `job` is final when the reason is FINISHED."""

    cursor: int
    reason: EndReason
    job: Job | None = None
    retry_after_s: float | None = None


Frame = Snapshot | Batch | Heartbeat | End
