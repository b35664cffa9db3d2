"""Changes: a job after a step, and the events that tell of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobplane.engine.domain.event import DurablePayload, Finished, JobEvent, StatusChanged
from jobplane.engine.domain.job import Job, Wait
from jobplane.engine.domain.status import JobStatus, may_move


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did: `before` is None for a new job; without events nothing changed."""

    before: Job | None
    job: Job
    events: tuple[JobEvent, ...] = ()


class Draft:
    """Builds a change step by step: fields, moves and numbered events."""

    def __init__(self, job: Job, now: datetime, *, new: bool = False) -> None:
        self.before = None if new else job
        # A clock that jumped back must not turn a job's times around.
        self.now = max(now, job.updated_at)
        self.job = job
        self._events: list[JobEvent] = []

    def set(self, **fields: Any) -> None:
        """Give fields of the job new values."""
        self.job = replace(self.job, **fields)

    def emit(self, payload: DurablePayload) -> None:
        """Append an event with the next number."""
        self.set(sequence=self.job.sequence + 1, updated_at=self.now)
        self._events.append(
            JobEvent(
                project=self.job.project,
                job_id=self.job.job_id,
                sequence=self.job.sequence,
                occurred_at=self.now,
                status=self.job.status,
                payload=payload,
                attempt=self.job.attempt,
            )
        )

    def move(self, target: JobStatus, reason: str = "", *, wait: Wait | None = None) -> None:
        """Change the status along the table of moves, with the event that says so."""
        source = self.job.status
        if not may_move(source, target):
            raise AssertionError(f"{source} may not become {target}")
        self.set(status=target, wait=wait)
        self.emit(StatusChanged(source, target, reason, wait))

    def finish(self, target: JobStatus, reason: str = "", *, retention_s: float) -> None:
        """Move to a terminal status and emit the last event."""
        self.set(
            finished_at=self.now,
            expires_at=self.now + timedelta(seconds=retention_s),
            pending_input=None,
            heartbeat_at=None,
            attempt_started_at=None,
        )
        self.move(target, reason)
        headline = self.job.result.headline if self.job.result else ""
        self.emit(Finished(self.job.failure, headline))

    def change(self) -> Change:
        """The finished change."""
        return Change(self.before, self.job, tuple(self._events))
