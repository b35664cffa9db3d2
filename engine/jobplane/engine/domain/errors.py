"""What can be refused, each with the reason that callers branch on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that breaks a rule."""

    field: str
    description: str


@dataclass(eq=False)
class EngineError(Exception):
    """A refusal. Nothing was changed by the call that raised it."""

    reason: ClassVar[str] = "INTERNAL"

    def __str__(self) -> str:
        return self.message

    @property
    def message(self) -> str:
        """One sentence for a person: what is wrong and what to do next."""
        return type(self).__doc__ or self.reason


@dataclass(eq=False)
class InvalidSpecError(EngineError):
    """The request breaks rules of the contract."""

    reason: ClassVar[str] = "INVALID_SPEC"
    violations: Sequence[Violation]

    @property
    def message(self) -> str:
        first = self.violations[0]
        more = f" (and {len(self.violations) - 1} more)" if len(self.violations) > 1 else ""
        return f"{first.field}: {first.description}{more}"


@dataclass(eq=False)
class UnknownFieldError(InvalidSpecError):
    """The request has fields that the contract does not know."""

    reason: ClassVar[str] = "UNKNOWN_FIELD"


@dataclass(eq=False)
class UnknownKindError(EngineError):
    """No such kind is registered."""

    reason: ClassVar[str] = "UNKNOWN_KIND"
    kind: str
    known_kinds: Sequence[str]

    @property
    def message(self) -> str:
        return f"kind {self.kind!r} is not registered; known kinds: {', '.join(self.known_kinds)}"


@dataclass(eq=False)
class KindUnavailableError(EngineError):
    """The kind is known, but what it needs is not installed on this server."""

    reason: ClassVar[str] = "KIND_UNAVAILABLE"
    kind: str
    install_hint: str

    @property
    def message(self) -> str:
        return f"kind {self.kind!r} is not installed on this server: {self.install_hint}"


@dataclass(eq=False)
class ReferenceNotFoundError(EngineError):
    """Something that the spec refers to does not exist."""

    reason: ClassVar[str] = "REFERENCE_NOT_FOUND"
    field: str
    resource: str
    description: str = ""

    @property
    def message(self) -> str:
        return f"{self.field}: {self.description or f'{self.resource!r} does not exist'}"


@dataclass(eq=False)
class InvalidFilterError(EngineError):
    """The filter or order can't be read."""

    reason: ClassVar[str] = "INVALID_FILTER"
    description: str
    column: int = 0
    field: str = "filter"

    @property
    def message(self) -> str:
        return f"{self.field}: column {self.column}: {self.description}"


@dataclass(eq=False)
class InvalidPageTokenError(EngineError):
    """The page token was altered, or belongs to another query; start again without one."""

    reason: ClassVar[str] = "INVALID_PAGE_TOKEN"


@dataclass(eq=False)
class DuplicateRequestError(EngineError):
    """The idempotency key was used before."""

    reason: ClassVar[str] = "DUPLICATE_REQUEST"
    job: str

    @property
    def message(self) -> str:
        return f"the idempotency key belongs to {self.job}"


@dataclass(eq=False)
class IdempotencyKeyReusedError(EngineError):
    """The idempotency key was used before with another body."""

    reason: ClassVar[str] = "IDEMPOTENCY_KEY_REUSED"
    job: str
    first_difference: str

    @property
    def message(self) -> str:
        return (
            f"the idempotency key belongs to {self.job}, whose request differs in "
            f"{self.first_difference}; use a new key for a new job"
        )


@dataclass(eq=False)
class JobIdTakenError(EngineError):
    """The chosen job id is taken."""

    reason: ClassVar[str] = "JOB_ID_TAKEN"
    job: str

    @property
    def message(self) -> str:
        return f"{self.job} exists; choose another job_id or leave it out"


@dataclass(eq=False)
class AlreadyExistsError(EngineError):
    """The name is taken by something else."""

    reason: ClassVar[str] = "ALREADY_EXISTS"
    resource: str
    difference: str = ""

    @property
    def message(self) -> str:
        difference = f" with another {self.difference}" if self.difference else ""
        return f"{self.resource} exists{difference}; choose another name"


@dataclass(eq=False)
class JobNotFoundError(EngineError):
    """No such job."""

    reason: ClassVar[str] = "JOB_NOT_FOUND"
    job: str

    @property
    def message(self) -> str:
        return f"{self.job} does not exist"


@dataclass(eq=False)
class JobExpiredError(EngineError):
    """The job was purged by its retention."""

    reason: ClassVar[str] = "JOB_EXPIRED"
    job: str
    expired_at: datetime

    @property
    def message(self) -> str:
        return f"{self.job} was purged at {self.expired_at.isoformat()}"


@dataclass(eq=False)
class ArtifactNotFoundError(EngineError):
    """No such artifact."""

    reason: ClassVar[str] = "ARTIFACT_NOT_FOUND"
    artifact: str

    @property
    def message(self) -> str:
        return f"{self.artifact} does not exist"


@dataclass(eq=False)
class ResourceNotFoundError(EngineError):
    """No such kind, queue, schedule, dataset or model."""

    reason: ClassVar[str] = "NOT_FOUND"
    resource: str

    @property
    def message(self) -> str:
        return f"{self.resource} does not exist"


@dataclass(eq=False)
class InvalidTransitionError(EngineError):
    """The verb is not allowed in this status."""

    reason: ClassVar[str] = "INVALID_TRANSITION"
    job: str
    verb: str
    status: str
    allowed: Sequence[str]

    @property
    def message(self) -> str:
        return (
            f"{self.verb} is not allowed while {self.job} is {self.status}; "
            f"allowed in: {', '.join(self.allowed)}"
        )


@dataclass(eq=False)
class JobFinishedError(InvalidTransitionError):
    """The job is over."""

    reason: ClassVar[str] = "JOB_FINISHED"


@dataclass(eq=False)
class ResultNotReadyError(EngineError):
    """The job has not ended, so its output does not exist yet."""

    reason: ClassVar[str] = "RESULT_NOT_READY"
    job: str
    status: str
    retry_after_s: float = 1.0

    @property
    def message(self) -> str:
        return f"{self.job} is {self.status}; wait for its end"


@dataclass(eq=False)
class KindNotPausableError(EngineError):
    """The kind can't pause."""

    reason: ClassVar[str] = "KIND_NOT_PAUSABLE"
    job: str
    kind: str

    @property
    def message(self) -> str:
        return f"kind {self.kind!r} saves no checkpoints, so {self.job} can't pause; cancel it"


@dataclass(eq=False)
class InputNotPendingError(EngineError):
    """The answer is to a question that is not open."""

    reason: ClassVar[str] = "INPUT_NOT_PENDING"
    job: str
    pending: str

    @property
    def message(self) -> str:
        open_one = f"its open question is {self.pending}" if self.pending else "it asks nothing"
        return f"{self.job} does not ask that; {open_one}"


@dataclass(eq=False)
class QueueClosedError(EngineError):
    """The queue takes no submits."""

    reason: ClassVar[str] = "QUEUE_CLOSED"
    queue: str

    @property
    def message(self) -> str:
        return f"queue {self.queue!r} is closed; use another one or ask an operator"


@dataclass(eq=False)
class EtagMismatchError(EngineError):
    """The resource changed since it was read; read it again."""

    reason: ClassVar[str] = "ETAG_MISMATCH"
    resource: str
    etag: str


@dataclass(eq=False)
class ContentChangedError(EngineError):
    """The content is not the one that was expected."""

    reason: ClassVar[str] = "CONTENT_CHANGED"
    resource: str
    sha256: str


@dataclass(eq=False)
class ConflictError(EngineError):
    """The job changed under the call, again and again; try again."""

    reason: ClassVar[str] = "CONFLICT"
    retry_after_s: float = 0.1


@dataclass(eq=False)
class QuotaExceededError(EngineError):
    """A limit of the project is reached."""

    reason: ClassVar[str] = "QUOTA_EXCEEDED"
    subject: str
    metric: str
    limit: float
    used: float
    retry_after_s: float | None = None

    @property
    def remaining(self) -> float:
        """What is left of the limit."""
        return max(0.0, self.limit - self.used)

    @property
    def message(self) -> str:
        return (
            f"{self.subject}: {self.metric} is at {_exact(self.used)} of {_exact(self.limit)} "
            f"({_exact(self.remaining)} left)"
        )


def _exact(value: float) -> str:
    """A whole number with all of its digits."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


@dataclass(eq=False)
class RateLimitedError(EngineError):
    """Too many calls; wait and try again."""

    reason: ClassVar[str] = "RATE_LIMITED"
    retry_after_s: float = 1.0


@dataclass(eq=False)
class QueueFullError(RateLimitedError):
    """The server holds as much waiting work as it may; try again later."""

    reason: ClassVar[str] = "QUEUE_FULL"


@dataclass(eq=False)
class TooManyWatchesError(RateLimitedError):
    """The limit of open watches is reached; close some, or use WaitJob."""

    reason: ClassVar[str] = "TOO_MANY_WATCHES"
    limit: int = 0


@dataclass(eq=False)
class PayloadTooLargeError(EngineError):
    """The payload is over its limit; send it with UploadArtifact."""

    reason: ClassVar[str] = "PAYLOAD_TOO_LARGE"
    field: str
    size_bytes: int
    limit_bytes: int

    @property
    def message(self) -> str:
        return (
            f"{self.field}: {self.size_bytes} bytes is over the limit of {self.limit_bytes}; "
            "send large content with UploadArtifact"
        )


@dataclass(eq=False)
class UploadTooLargeError(PayloadTooLargeError):
    """The content is larger than this server takes."""

    @property
    def message(self) -> str:
        return (
            f"{self.field}: {self.size_bytes} bytes is over the limit of {self.limit_bytes} "
            "for one upload; split the content, or ask an operator for more"
        )


@dataclass(eq=False)
class SequenceInFutureError(EngineError):
    """The cursor is ahead of the history."""

    reason: ClassVar[str] = "SEQUENCE_IN_FUTURE"
    after_sequence: int
    latest_sequence: int

    @property
    def message(self) -> str:
        return (
            f"after_sequence {self.after_sequence} is ahead of the latest event "
            f"{self.latest_sequence}: was a backup restored? Start again without a cursor"
        )


@dataclass(eq=False)
class OffsetPastEndError(EngineError):
    """The offset is past the end."""

    reason: ClassVar[str] = "OFFSET_PAST_END"
    offset: int
    size: int

    @property
    def message(self) -> str:
        return f"offset {self.offset} is past the end at {self.size}"


@dataclass(eq=False)
class SlowConsumerError(EngineError):
    """The reader took nothing for too long; resume from the cursor."""

    reason: ClassVar[str] = "SLOW_CONSUMER"
    # A sequence, a line, or opaque text: what the stream goes on from.
    cursor: int | str


@dataclass(eq=False)
class UploadStalledError(SlowConsumerError):
    """The sender sent nothing for too long; go on from the cursor, the bytes that are here."""


@dataclass(eq=False)
class BackendUnavailableError(EngineError):
    """The store can't be used right now; nothing was lost, try again."""

    reason: ClassVar[str] = "BACKEND_UNAVAILABLE"
    detail: str = ""
    retry_after_s: float = 1.0

    @property
    def message(self) -> str:
        return f"the store can't be used right now ({self.detail}); try again"


@dataclass(eq=False)
class DrainingError(EngineError):
    """The server is shutting down; connect again."""

    reason: ClassVar[str] = "DRAINING"
    retry_after_s: float = 1.0


@dataclass(eq=False)
class ArtifactMissingError(EngineError):
    """The artifact is listed, but its content is gone."""

    reason: ClassVar[str] = "ARTIFACT_MISSING"
    artifact: str

    @property
    def message(self) -> str:
        return f"the content of {self.artifact} is gone from the store"


@dataclass(eq=False)
class ArtifactCorruptError(ArtifactMissingError):
    """The artifact's content is not what was stored."""

    reason: ClassVar[str] = "ARTIFACT_CORRUPT"

    @property
    def message(self) -> str:
        return f"the content of {self.artifact} does not match its digest"


@dataclass(eq=False)
class NotEnabledError(EngineError):
    """The call is not in this build."""

    reason: ClassVar[str] = "NOT_ENABLED"
    method: str = ""

    @property
    def message(self) -> str:
        return f"{self.method} is not enabled in this build"


@dataclass(eq=False)
class FencedError(EngineError):
    """The attempt is over: another one owns the job, or nobody does."""

    reason: ClassVar[str] = "FENCED"
    job: str = ""
    attempt: int = 0


@dataclass(eq=False)
class UnknownAnswerError(EngineError):
    """The server can't tell, and says so rather than guess."""

    reason: ClassVar[str] = "UNKNOWN"
    question: str
    partial: dict[str, str] = field(default_factory=dict[str, str])
