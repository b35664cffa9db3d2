"""Attempts: what a worker is handed, and how an attempt can end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from jobplane.engine.domain.job import Failure, Gap, InputRequest, JobResult, JobSpec


class Intent(StrEnum):
    """What a live attempt is asked to do."""

    CANCEL = "CANCEL"
    PAUSE = "PAUSE"
    # Takes a pause back before it was reached.
    CONTINUE = "CONTINUE"
    KILL = "KILL"


@dataclass(frozen=True, slots=True)
class InputContent:
    """Where an input's content lies, and what it is."""

    path: Path
    filename: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt of one job. (project, job_id, attempt) is its fence."""

    project: str
    job_id: str
    attempt: int
    spec: JobSpec
    folder: Path
    inputs: Mapping[str, InputContent] = field(default_factory=dict[str, InputContent])
    checkpoint: bytes | None = None
    # Digest of the checkpoint's content; the content itself is in `checkpoint`.
    checkpoint_ref: str = ""
    answers: Mapping[str, str] = field(default_factory=dict[str, str])
    attempt_timeout_s: float | None = None
    memory_limit_bytes: int = 0

    @property
    def fence(self) -> tuple[str, str, int]:
        """Identity of the attempt; a write with an old one is refused."""
        return (self.project, self.job_id, self.attempt)


@dataclass(frozen=True, slots=True)
class Completed:
    """The work came to its end."""

    result: JobResult
    gaps: tuple[Gap, ...] = ()
    gate_refusal: str = ""


@dataclass(frozen=True, slots=True)
class Broke:
    """The work, its process or its worker failed."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Yielded:
    """The work stopped because it was asked to."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Asked:
    """The work needs an answer before it can go on."""

    request: InputRequest
    timeout_s: float


Conclusion = Completed | Broke | Yielded | Asked
