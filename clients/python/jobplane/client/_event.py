"""One fact of a job's life, as a watch yields it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jobplane.client._outcome import phase_name, status_name
from jobplane.v1 import event_pb2, job_pb2, job_service_pb2

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    Payload = (
        event_pb2.JobEvent.Submitted
        | event_pb2.JobEvent.StatusChanged
        | event_pb2.JobEvent.AttemptStarted
        | event_pb2.JobEvent.AttemptFinished
        | event_pb2.JobEvent.StageStarted
        | event_pb2.JobEvent.StageFinished
        | job_pb2.Progress
        | event_pb2.JobEvent.MetricReported
        | event_pb2.JobEvent.ArtifactReady
        | event_pb2.JobEvent.CheckpointSaved
        | event_pb2.JobEvent.Warning
        | job_pb2.InputRequest
        | event_pb2.JobEvent.InputProvided
        | event_pb2.JobEvent.ControlRequested
        | event_pb2.JobEvent.Updated
        | event_pb2.JobEvent.Finished
        | job_service_pb2.WatchJobResponse.Snapshot
    )

SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Event:
    """A numbered fact, or with sequence 0 the latest progress.

    `type` names the payload, for example "status_changed". A watch that starts from now
    begins with one event of type "snapshot", whose payload holds the whole job.
    """

    type: str
    sequence: int
    status: str
    phase: str
    attempt: int
    time: datetime | None
    payload: Payload | None
    wire: event_pb2.JobEvent | job_service_pb2.WatchJobResponse.Snapshot

    @property
    def is_durable(self) -> bool:
        """Whether the fact is part of the job's numbered history."""
        return self.sequence > 0 and self.type != SNAPSHOT

    @property
    def done(self) -> bool:
        """Whether the job is over after this."""
        return self.phase == "FINISHED"

    @property
    def progress(self) -> job_pb2.Progress | None:
        """Latest progress, when that is what the event tells."""
        return self.payload if isinstance(self.payload, job_pb2.Progress) else None


def event_from_wire(event: event_pb2.JobEvent) -> Event:
    """Event for the message of the contract; an unknown payload keeps its envelope."""
    name = event.WhichOneof("payload")
    return Event(
        type=name or "unknown",
        sequence=event.sequence,
        status=status_name(event.status, event.phase),
        phase=phase_name(event.phase),
        attempt=event.attempt,
        time=instant(event.event_time) if event.HasField("event_time") else None,
        payload=getattr(event, name) if name else None,
        wire=event,
    )


def event_from_snapshot(frame: job_service_pb2.WatchJobResponse) -> Event:
    """Event that tells the whole state at the cursor."""
    job = frame.snapshot.job
    return Event(
        type=SNAPSHOT,
        sequence=frame.cursor,
        status=status_name(job.status, job.phase),
        phase=phase_name(job.phase),
        attempt=job.attempt,
        time=instant(job.update_time) if job.HasField("update_time") else None,
        payload=frame.snapshot,
        wire=frame.snapshot,
    )


def instant(stamp: Timestamp) -> datetime:
    """Aware datetime of a timestamp."""
    return stamp.ToDatetime(tzinfo=UTC)
