"""Events: the numbered facts of a job's life."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from jobplane.engine.domain.artifact import Artifact
from jobplane.engine.domain.job import ControlRequest, Failure, InputRequest, Progress, Wait
from jobplane.engine.domain.status import JobStatus


@dataclass(frozen=True, slots=True)
class Submitted:
    """Accepted and durable; always the first event."""

    creator: str
    kind: str


@dataclass(frozen=True, slots=True)
class StatusChanged:
    """Any change of status."""

    source: JobStatus
    target: JobStatus
    reason: str = ""
    wait: Wait | None = None


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """A worker took the job."""

    worker: str
    from_checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt ended; the job may go on."""

    failure: Failure | None = None
    will_retry: bool = False
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage began."""

    stage: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended."""

    stage: str
    reused: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class MetricReported:
    """A metric point."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ArtifactReady:
    """An artifact is complete and readable."""

    artifact: Artifact


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint is durable."""

    checkpoint: str
    completed_units: int = 0


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd that does not end the job."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class InputRequested:
    """The job asks."""

    request: InputRequest


@dataclass(frozen=True, slots=True)
class InputProvided:
    """Somebody answered."""

    input_id: str
    responder: str
    answers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ControlRequested:
    """Cancel, pause or resume was asked for."""

    action: str
    request: ControlRequest


@dataclass(frozen=True, slots=True)
class Updated:
    """Priority, queue or labels changed."""

    paths: tuple[str, ...]
    updater: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Terminal; always the last durable event, exactly once."""

    failure: Failure | None = None
    headline: str = ""


DurablePayload = (
    Submitted
    | StatusChanged
    | AttemptStarted
    | AttemptFinished
    | StageStarted
    | StageFinished
    | MetricReported
    | ArtifactReady
    | CheckpointSaved
    | Warned
    | InputRequested
    | InputProvided
    | ControlRequested
    | Updated
    | Finished
)

# The names that callers filter by: those of the contract's oneof.
PAYLOAD_TYPES: dict[str, type[DurablePayload]] = {
    "submitted": Submitted,
    "status_changed": StatusChanged,
    "attempt_started": AttemptStarted,
    "attempt_finished": AttemptFinished,
    "stage_started": StageStarted,
    "stage_finished": StageFinished,
    "metric_reported": MetricReported,
    "artifact_ready": ArtifactReady,
    "checkpoint_saved": CheckpointSaved,
    "warning": Warned,
    "input_requested": InputRequested,
    "input_provided": InputProvided,
    "control_requested": ControlRequested,
    "updated": Updated,
    "finished": Finished,
}
PAYLOAD_NAMES = {cls: name for name, cls in PAYLOAD_TYPES.items()}


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One fact. Durable ones are numbered 1, 2, 3 ... with no gap; ephemeral ones have 0."""

    project: str
    job_id: str
    sequence: int
    occurred_at: datetime
    status: JobStatus
    payload: DurablePayload | Progress
    attempt: int = 0
    revision: int = 0

    @property
    def type(self) -> str:
        """Name of the payload in the contract."""
        if isinstance(self.payload, Progress):
            return "progress"
        return PAYLOAD_NAMES[type(self.payload)]

    @property
    def is_ephemeral(self) -> bool:
        """Whether it may be dropped or merged under load."""
        return self.sequence == 0
