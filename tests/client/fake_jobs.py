"""Jobs of the fake server: a state, and a history that a test writes."""

from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.v1 import artifact_pb2, event_pb2, job_pb2

Event = event_pb2.JobEvent
START = 1_700_000_000
PHASES = {
    job_pb2.JOB_STATUS_QUEUED: job_pb2.JOB_PHASE_WAITING,
    job_pb2.JOB_STATUS_RUNNING: job_pb2.JOB_PHASE_ACTIVE,
    job_pb2.JOB_STATUS_PAUSING: job_pb2.JOB_PHASE_ACTIVE,
    job_pb2.JOB_STATUS_CANCELLING: job_pb2.JOB_PHASE_ACTIVE,
    job_pb2.JOB_STATUS_PAUSED: job_pb2.JOB_PHASE_SUSPENDED,
    job_pb2.JOB_STATUS_AWAITING_INPUT: job_pb2.JOB_PHASE_SUSPENDED,
}


def phase_of(status: job_pb2.JobStatus.ValueType) -> job_pb2.JobPhase.ValueType:
    return PHASES.get(status, job_pb2.JOB_PHASE_FINISHED)


@dataclass
class FakeJob:
    wire: job_pb2.Job
    events: list[event_pb2.JobEvent] = field(default_factory=list[event_pb2.JobEvent])
    artifacts: dict[str, tuple[artifact_pb2.Artifact, bytes]] = field(
        default_factory=dict[str, tuple[artifact_pb2.Artifact, bytes]]
    )

    @property
    def finished(self) -> bool:
        return self.wire.done

    def tell(self, event: event_pb2.JobEvent) -> None:
        """Append a durable event, numbered, with the envelope of now."""
        self.wire.sequence += 1
        event.sequence = self.wire.sequence
        self._envelope(event)
        self.events.append(event)

    def tell_progress(self, fraction: float, message: str = "") -> None:
        self.wire.progress.fraction = fraction
        self.wire.progress.message = message
        event = event_pb2.JobEvent(ephemeral=True)
        event.progress.CopyFrom(self.wire.progress)
        self._envelope(event)
        self.events.append(event)

    def move(self, status: job_pb2.JobStatus.ValueType, *, reason: str = "") -> None:
        before = self.wire.status
        self.wire.status = status
        self.wire.phase = phase_of(status)
        self.wire.done = self.wire.phase == job_pb2.JOB_PHASE_FINISHED
        if status == job_pb2.JOB_STATUS_RUNNING:
            self.wire.attempt = self.wire.attempt or 1
            self.wire.start_time.CopyFrom(stamp(START))
        change = event_pb2.JobEvent.StatusChanged(to=status, reason=reason)
        setattr(change, "from", before)
        self.tell(event_pb2.JobEvent(status_changed=change))
        if self.wire.done:
            self.wire.finish_time.CopyFrom(stamp(START + 16))
            self.tell(event_pb2.JobEvent(finished=self._finished()))

    def _finished(self) -> event_pb2.JobEvent.Finished:
        told = event_pb2.JobEvent.Finished(headline=self.wire.result.headline)
        if self.wire.HasField("failure"):
            told.failure.CopyFrom(self.wire.failure)
        return told

    def _envelope(self, event: event_pb2.JobEvent) -> None:
        event.job = self.wire.name
        event.attempt = self.wire.attempt
        event.status = self.wire.status
        event.phase = self.wire.phase
        event.event_time.CopyFrom(stamp(START + self.wire.sequence))


def stamp(seconds: int) -> Timestamp:
    return Timestamp(seconds=seconds)


def new_job(job_id: str, *, project: str = "default", kind: str = "probe") -> FakeJob:
    """Make a QUEUED job with its first event."""
    job = FakeJob(
        job_pb2.Job(
            name=f"projects/{project}/jobs/{job_id}",
            job_id=job_id,
            project=project,
            kind=kind,
            status=job_pb2.JOB_STATUS_QUEUED,
            phase=job_pb2.JOB_PHASE_WAITING,
            create_time=stamp(START),
            creator="tester",
        )
    )
    job.tell(event_pb2.JobEvent(submitted=event_pb2.JobEvent.Submitted(kind=kind)))
    return job


def run_to_end(
    job: FakeJob,
    status: job_pb2.JobStatus.ValueType = job_pb2.JOB_STATUS_SUCCEEDED,
    *,
    steps: int = 3,
) -> FakeJob:
    """Give the job a whole life that ends in this status."""
    job.move(job_pb2.JOB_STATUS_RUNNING)
    job.tell(event_pb2.JobEvent(attempt_started=Event.AttemptStarted(worker="local-0")))
    job.tell(event_pb2.JobEvent(stage_started=Event.StageStarted(stage="steps")))
    for step in range(1, steps + 1):
        job.tell_progress(step / steps, f"step {step}")
        job.tell(Event(metric_reported=Event.MetricReported(step=step, values={"value": step})))
    job.tell(event_pb2.JobEvent(stage_finished=Event.StageFinished(stage="steps")))
    if status in {job_pb2.JOB_STATUS_SUCCEEDED, job_pb2.JOB_STATUS_SUCCEEDED_WITH_GAPS}:
        job.wire.result.headline = f"{steps} steps"
        job.wire.result.metrics["value"] = float(steps)
    elif status != job_pb2.JOB_STATUS_CANCELLED:
        job.wire.failure.reason = "PROBE_FAILED"
        job.wire.failure.message = "told to fail"
        job.wire.failure.attempt = 1
    job.move(status)
    return job
