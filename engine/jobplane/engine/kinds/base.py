"""What a kind says of itself, and what its work may ask of the plane.

A kind has two halves. The description (`Kind`) is light: the server imports it, so it
imports nothing heavy. The work is a function `run(spec, context) -> Outcome`, named by
its path and imported only where an attempt runs.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import Message

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.errors import Violation
from jobplane.engine.domain.job import (
    DefaultAction,
    FailureCategory,
    Gap,
    JobSpec,
    Question,
    RunPolicy,
)


class Isolation(StrEnum):
    """Where an attempt runs."""

    PROCESS = "PROCESS"
    THREAD = "THREAD"


@dataclass(frozen=True, slots=True)
class InputFile:
    """Content of one input role, readable at `path` while the attempt runs."""

    path: Path
    filename: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the work came to.

    `details` is the kind's result message, or a mapping for a custom kind. Gaps make the
    job SUCCEEDED_WITH_GAPS; a refusal by the quality gate makes it EVAL_FAILED.
    """

    headline: str = ""
    details: Message | Mapping[str, Any] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    gate_refusal: str = ""


class WorkError(Exception):
    """The work can't go on; the job fails, or is retried when that is said to help."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        category: FailureCategory = FailureCategory.USER_CODE,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.category = category
        self.retryable = retryable


class Stopped(BaseException):
    """Raised at a safe point when the attempt shall end; work lets it pass.

    A BaseException, so that an `except Exception` in the work can't swallow a cancel.
    """


class JobContext(Protocol):
    """What the work may ask of the plane. Every call is cheap and may be made often."""

    @property
    def project(self) -> str:
        """Project of the job."""
        ...

    @property
    def job_id(self) -> str:
        """Id of the job."""
        ...

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        ...

    @property
    def engine_version(self) -> str:
        """Version of the code that runs the attempt."""
        ...

    @property
    def inputs(self) -> Mapping[str, InputFile]:
        """Inputs by role, already on disk, digests checked. Read them; never write them."""
        ...

    @property
    def folder(self) -> Path:
        """Empty folder of this attempt for scratch files; removed afterwards."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What the operator configured for this kind."""
        ...

    @property
    def checkpoint_data(self) -> bytes | None:
        """Content of the last checkpoint of an earlier attempt, or None at the start."""
        ...

    def safe_point(
        self, save: Callable[[], bytes] | None = None, *, completed_units: int = 0
    ) -> None:
        """Raise Stopped if the attempt shall end; before a pause, checkpoint what `save` gives.

        Call it wherever the work can stop: at least every second or so.
        """
        ...

    def save_checkpoint(self, data: bytes, *, completed_units: int = 0) -> None:
        """Make `data` durable; the next attempt finds it in `checkpoint_data`."""
        ...

    def progress(
        self,
        completed_units: int = 0,
        total_units: int = 0,
        *,
        unit: str = "",
        message: str = "",
        fraction: float | None = None,
    ) -> None:
        """Tell how far the work is; only the latest value counts."""
        ...

    def stage(self, name: str, *, reused: bool = False) -> AbstractContextManager[None]:
        """Mark what happens inside as a stage, with its own time-out and events."""
        ...

    def metric(self, step: int, **values: float) -> None:
        """Record a point of each named metric."""
        ...

    def warn(self, reason: str, message: str) -> None:
        """Record something odd (reason is UPPER_SNAKE) that does not end the job."""
        ...

    def save_artifact(
        self,
        name: str,
        content: bytes | str | Path,
        *,
        media_type: str,
        type: ArtifactType = ArtifactType.OPAQUE,  # noqa: A002  the contract's word
    ) -> None:
        """Make content a durable artifact called `name`; a Path must lie in `folder`."""
        ...

    def ask(
        self,
        prompt: str,
        questions: Iterable[Question],
        *,
        timeout_s: float = 7 * 86400.0,
        default_action: DefaultAction = DefaultAction.FAIL,
    ) -> Mapping[str, str]:
        """Give the answers, by question id.

        Without an answer yet the attempt ends here, frees its slot, and a later attempt
        comes to this call again: checkpoint first what should not be done twice.
        """
        ...


def _no_defaults(_spec: Any) -> None:
    """Leave the spec as it is."""


def _no_violations(_spec: Any, _job: JobSpec) -> Iterable[Violation]:
    """Find nothing wrong."""
    return ()


def _no_missing(_spec: Any, _settings: Mapping[str, Any]) -> Iterable[Violation]:
    """Miss nothing."""
    return ()


def _no_labels(_spec: Any) -> Mapping[str, str]:
    """Set no label."""
    return {}


def _in_process(_spec: Any) -> Isolation:
    """Run each attempt in a child process, which can be killed."""
    return Isolation.PROCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Description of a job kind. Built-in kinds have a spec message, custom ones a schema."""

    name: str
    description: str
    # Path of the work function, "package.module:function"; imported only by attempts.
    work: str
    # Spec and result messages of a built-in kind; None for a custom one.
    spec: type[Message] | None = None
    result: type[Message] | None = None
    # JSON Schema of the params of a custom kind, and its version.
    schema: Mapping[str, Any] | None = None
    schema_version: str = ""
    stages: tuple[str, ...] = ()
    pausable: bool = False
    checkpointing: bool = False
    interactive: bool = False
    required_inputs: tuple[str, ...] = ()
    optional_inputs: tuple[str, ...] = ()
    # Modules that the work imports, and the extra that brings them.
    requires: tuple[str, ...] = ()
    extra: str = "server"
    policy: RunPolicy = field(default_factory=RunPolicy)
    # An attempt that reports nothing for so long is hung; None never.
    stall_timeout_s: float | None = None
    # Fills defaults into a spec message, in place.
    fill_defaults: Callable[[Any], None] = _no_defaults
    # Rules beyond those of the contract; fields are paths inside the kind's spec.
    check: Callable[[Any, JobSpec], Iterable[Violation]] = _no_violations
    # What a spec names and the operator's settings for the kind do not have.
    missing: Callable[[Any, Mapping[str, Any]], Iterable[Violation]] = _no_missing
    # Labels that the kind sets on its jobs.
    labels: Callable[[Any], Mapping[str, str]] = _no_labels
    isolation: Callable[[Any], Isolation] = _in_process
    # Longest attempt asked for by the spec itself, in seconds; overrides a longer policy.
    attempt_timeout_s: Callable[[Any], float | None] = lambda _spec: None
