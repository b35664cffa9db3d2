"""The job: what was asked for, and where it stands."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jobplane.engine.domain.status import JobStatus

DEFAULT_PRIORITY = 500
DEFAULT_QUEUE = "default"


class WaitReason(StrEnum):
    """Why a QUEUED job is not running."""

    CAPACITY = "CAPACITY"
    DEPENDENCY = "DEPENDENCY"
    QUOTA = "QUOTA"
    START_TIME = "START_TIME"
    RETRY_BACKOFF = "RETRY_BACKOFF"
    QUEUE_CORDONED = "QUEUE_CORDONED"
    NO_WORKER_FOR_KIND = "NO_WORKER_FOR_KIND"


class FailureCategory(StrEnum):
    """Whom to blame, and whether to try again."""

    USER_CODE = "USER_CODE"
    INPUT = "INPUT"
    DEPENDENCY = "DEPENDENCY"
    RESOURCE = "RESOURCE"
    DEADLINE = "DEADLINE"
    INFRASTRUCTURE = "INFRASTRUCTURE"
    GATE = "GATE"
    INTERNAL = "INTERNAL"


class DefaultAction(StrEnum):
    """What happens to an unanswered question at its deadline."""

    FAIL = "FAIL"
    USE_DEFAULTS = "USE_DEFAULTS"
    CANCEL = "CANCEL"


class Condition(StrEnum):
    """What an upstream job must reach."""

    SUCCEEDED = "SUCCEEDED"
    SUCCEEDED_FULLY = "SUCCEEDED_FULLY"
    FINISHED = "FINISHED"
    NOT_SUCCEEDED = "NOT_SUCCEEDED"


@dataclass(frozen=True, slots=True)
class InputRef:
    """Immutable content that a job reads: an artifact, a dataset version or a URI."""

    artifact: str = ""
    dataset_id: str = ""
    dataset_version: str = ""
    dataset_format: str = ""
    uri: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """Bounds of time and of retries; None is the kind's default."""

    queue_timeout_s: float | None = None
    attempt_timeout_s: float | None = None
    total_timeout_s: float | None = None
    max_attempts: int | None = None
    initial_backoff_s: float | None = None
    max_backoff_s: float | None = None
    backoff_multiplier: float | None = None
    non_retryable_reasons: tuple[str, ...] = ()
    cancel_grace_s: float | None = None
    checkpoint_interval_s: float | None = None
    start_at: datetime | None = None
    retention_s: float | None = None
    stage_timeouts_s: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Resources:
    """Hardware wishes, for packing and quota."""

    cpu: float = 0.0
    memory_bytes: int = 0
    gpu_type: str = ""
    gpu_count: int = 0
    spot_ok: bool = False


@dataclass(frozen=True, slots=True)
class Dependency:
    """An upstream job, by name, and what it must reach."""

    job: str
    condition: Condition = Condition.SUCCEEDED


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What a caller wants; immutable once accepted.

    `params` is the kind's own spec message, serialized; a custom kind's is JSON text.
    """

    kind: str
    params: bytes
    schema_version: str = ""
    display_name: str = ""
    inputs: Mapping[str, InputRef] = field(default_factory=dict[str, InputRef])
    policy: RunPolicy = RunPolicy()
    resources: Resources = Resources()
    depends_on: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a job waits."""

    reason: WaitReason
    message: str = ""
    position: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Latest value of how far the work is; never a log."""

    fraction: float | None = None
    message: str = ""
    stage: str = ""
    completed_units: int = 0
    total_units: int = 0
    unit: str = ""
    reported_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One field to fill in."""

    id: str
    label: str = ""
    choices: tuple[str, ...] = ()
    default_value: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class InputRequest:
    """A question that the job asks."""

    input_id: str
    prompt: str
    questions: tuple[Question, ...]
    deadline: datetime | None = None
    default_action: DefaultAction = DefaultAction.FAIL


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the work, not the call, went wrong."""

    reason: str
    category: FailureCategory
    message: str
    retryable: bool = False
    stage: str = ""
    attempt: int = 0
    exit_code: int | None = None
    detail_artifact: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that a result lacks."""

    reason: str
    message: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """Who asked for a cancel, pause or resume, why, and when it is forced."""

    requester: str
    reason: str
    requested_at: datetime
    force_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What all attempts together consumed."""

    run_s: float = 0.0
    cpu_s: float = 0.0
    gpu_hours: float = 0.0
    gpu_hours_budget: float = 0.0
    peak_memory_bytes: int = 0


# What is larger than this is an artifact.
MAX_RESULT_BYTES = 25 * 1024


@dataclass(frozen=True, slots=True)
class JobResult:
    """Compact outcome; `details` is the kind's own result message, serialized."""

    headline: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    warnings: tuple[str, ...] = ()
    details: bytes = b""

    @property
    def size_bytes(self) -> int:
        """How much it holds, as good as on the wire."""
        texts = (self.headline, *self.warnings, *self.metrics)
        numbers = 8 * len(self.metrics)
        return len(self.details) + numbers + sum(len(text.encode()) for text in texts)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a next attempt may go on from."""

    id: str
    attempt: int
    sha256: str
    completed_units: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """One job, whole."""

    project: str
    job_id: str
    spec: JobSpec
    status: JobStatus
    sequence: int
    created_at: datetime
    updated_at: datetime
    attempt: int = 0
    priority: int = DEFAULT_PRIORITY
    queue: str = DEFAULT_QUEUE
    job_set: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    creator: str = ""
    schedule: str = ""
    origin_job: str = ""
    idempotency_key: str = ""
    wait: Wait | None = None
    progress: Progress | None = None
    pending_input: InputRequest | None = None
    answers: Mapping[str, str] = field(default_factory=dict[str, str])
    failure: Failure | None = None
    gaps: tuple[Gap, ...] = ()
    result: JobResult | None = None
    cancel_request: ControlRequest | None = None
    pause_request: ControlRequest | None = None
    checkpoint: Checkpoint | None = None
    usage: Usage = Usage()
    engine_refs: Mapping[str, str] = field(default_factory=dict[str, str])
    engine_version: str = ""
    input_digest: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    heartbeat_at: datetime | None = None
    # Time spent PAUSED before the present pause; total_timeout does not count it.
    paused_s: float = 0.0
    paused_at: datetime | None = None
    # When the present attempt began, for its time-out.
    attempt_started_at: datetime | None = None
    # Attempts that count against max_attempts: one that paused, asked or was drained does not.
    spent_attempts: int = 0
    # Last question that was answered, so that a repeated answer changes nothing.
    answered_input: str = ""

    @property
    def name(self) -> str:
        """Resource name."""
        return job_name(self.project, self.job_id)

    @property
    def kind(self) -> str:
        """Kind that runs it."""
        return self.spec.kind

    @property
    def etag(self) -> str:
        """Text that changes on every durable change."""
        return f'"{self.sequence}"'


def job_name(project: str, job_id: str) -> str:
    """Resource name of a job."""
    return f"projects/{project}/jobs/{job_id}"


def split_job_name(name: str) -> tuple[str, str]:
    """Project and job id of a well-formed job name."""
    _, project, _, job_id = name.split("/")
    return project, job_id


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """The values that are numbers: NaN and infinity can be neither stored nor compared."""
    return {key: value for key, value in values.items() if math.isfinite(value)}
