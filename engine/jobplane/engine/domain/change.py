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
        self.status = job.status
        self.sequence = job.sequence
        self._job = job
        # Fields that `_job` does not have yet: a job is wide, and made anew only when read.
        self._fields: dict[str, Any] = {}
        self._events: list[JobEvent] = []

    @property
    def job(self) -> Job:
        """The job as it stands in the draft."""
        if self._fields:
            self._job = replace(self._job, **self._fields)
            self._fields = {}
        return self._job

    def set(self, **fields: Any) -> None:
        """Give fields of the job new values."""
        self._fields.update(fields)

    def emit(self, payload: DurablePayload) -> None:
        """Append an event with the next number."""
        self.sequence += 1
        self.set(sequence=self.sequence, updated_at=self.now)
        job = self._job
        self._events.append(
            JobEvent(
                project=job.project,
                job_id=job.job_id,
                sequence=self.sequence,
                occurred_at=self.now,
                status=self.status,
                payload=payload,
                attempt=self._fields.get("attempt", job.attempt),
            )
        )

    def move(self, target: JobStatus, reason: str = "", *, wait: Wait | None = None) -> None:
        """Change the status along the table of moves, with the event that says so."""
        source = self.status
        if not may_move(source, target):
            raise AssertionError(f"{source} may not become {target}")
        self.status = target
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
