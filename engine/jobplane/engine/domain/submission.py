"""Submissions: everything a caller says when it hands in a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jobplane.engine.domain.job import (
    DEFAULT_PRIORITY,
    DEFAULT_QUEUE,
    Checkpoint,
    Job,
    JobSpec,
)


class DuplicatePolicy(StrEnum):
    """What a repeated idempotency key does."""

    RETURN_EXISTING = "RETURN_EXISTING"
    REJECT = "REJECT"


@dataclass(frozen=True, slots=True)
class Submission:
    """One request for a job."""

    project: str
    spec: JobSpec
    creator: str = ""
    idempotency_key: str = ""
    duplicate_policy: DuplicatePolicy = DuplicatePolicy.RETURN_EXISTING
    job_id: str = ""
    priority: int = DEFAULT_PRIORITY
    queue: str = DEFAULT_QUEUE
    job_set: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    validate_only: bool = False
    schedule: str = ""
    origin_job: str = ""
    # Where the first attempt goes on from, instead of from the start.
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The durable job, and whether an earlier request with the same key made it."""

    job: Job
    deduplicated: bool = False
