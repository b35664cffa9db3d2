"""A JobContext without a plane, for tests of a kind's work."""

import hashlib
import mimetypes
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import DefaultAction, Question
from jobplane.engine.kinds.base import InputFile, Stopped


class NotAnsweredError(Exception):
    """The work asked something that the test gave no answer to."""


@dataclass(frozen=True)
class SavedArtifact:
    """What the work saved under a name."""

    content: bytes
    media_type: str
    type: ArtifactType
    stage: str


@dataclass(frozen=True)
class ReportedProgress:
    """One call of `progress`."""

    stage: str
    completed_units: int
    total_units: int
    unit: str
    message: str
    fraction: float | None


@dataclass
class FakeContext:
    """Records all that the work does; `stop_after` safe points it is asked to stop.

    `folder` must be an empty folder of its own (tmp_path / "attempt"), made by the test.
    """

    folder: Path
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    project: str = "demo"
    job_id: str = "job-1"
    attempt: int = 1
    engine_version: str = "0.0.0-test"
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint_data: bytes | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    # Number of safe points that pass before one raises Stopped; None: all pass.
    stop_after: int | None = None
    # Called at each safe point with its number, for tests that change something midway.
    at_safe_point: Callable[[int], None] | None = None

    artifacts: dict[str, SavedArtifact] = field(default_factory=dict)
    stages: list[str] = field(default_factory=list)
    reused_stages: list[str] = field(default_factory=list)
    finished_stages: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    reports: list[ReportedProgress] = field(default_factory=list)
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    checkpoints: list[bytes] = field(default_factory=list)
    asked: list[tuple[str, tuple[Question, ...]]] = field(default_factory=list)
    # Moments (time.monotonic) of the safe points, to see how far they lie apart.
    safe_points: list[float] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def safe_point(
        self, save: Callable[[], bytes] | None = None, *, completed_units: int = 0
    ) -> None:
        """Count, and raise Stopped once `stop_after` points have passed."""
        self.safe_points.append(time.monotonic())
        if self.at_safe_point is not None:
            self.at_safe_point(len(self.safe_points))
        if self.stop_after is not None and len(self.safe_points) > self.stop_after:
            if save is not None:
                self.save_checkpoint(save(), completed_units=completed_units)
            raise Stopped

    def save_checkpoint(
        self,
        data: bytes,
        *,
        completed_units: int = 0,  # noqa: ARG002  part of the protocol
    ) -> None:
        """Keep the checkpoint; hand it to a new context as `checkpoint_data` to resume."""
        self.checkpoints.append(data)

    def progress(
        self,
        completed_units: int = 0,
        total_units: int = 0,
        *,
        unit: str = "",
        message: str = "",
        fraction: float | None = None,
    ) -> None:
        """Keep the report."""
        stage = self._open[-1] if self._open else ""
        report = ReportedProgress(stage, completed_units, total_units, unit, message, fraction)
        self.reports.append(report)

    def stage(self, name: str, *, reused: bool = False) -> AbstractContextManager[None]:
        """Record the stage's begin and, where it ends well, its end."""
        return self._stage(name, reused=reused)

    @contextmanager
    def _stage(self, name: str, *, reused: bool) -> Iterator[None]:
        self.stages.append(name)
        if reused:
            self.reused_stages.append(name)
        self._open.append(name)
        try:
            yield
            self.finished_stages.append(name)
        finally:
            self._open.pop()

    def metric(self, step: int, **values: float) -> None:
        """Keep the point."""
        self.metrics.append((step, values))

    def warn(self, reason: str, message: str) -> None:
        """Keep the warning."""
        self.warnings.append((reason, message))

    def save_artifact(
        self,
        name: str,
        content: bytes | str | Path,
        *,
        media_type: str,
        type: ArtifactType = ArtifactType.OPAQUE,
    ) -> None:
        """Keep the content; refuse what the plane refuses."""
        if name in self.artifacts:
            raise AssertionError(f"artifact {name!r} was saved twice")
        if isinstance(content, Path):
            if not content.resolve().is_relative_to(self.folder.resolve()):
                raise AssertionError(f"{content} lies outside the attempt's folder")
            content = content.read_bytes()
        elif isinstance(content, str):
            content = content.encode()
        stage = self._open[-1] if self._open else ""
        self.artifacts[name] = SavedArtifact(content, media_type, type, stage)

    def ask(
        self,
        prompt: str,
        questions: Iterable[Question],
        *,
        timeout_s: float = 7 * 86400.0,  # noqa: ARG002  part of the protocol
        default_action: DefaultAction = DefaultAction.FAIL,  # noqa: ARG002  part of the protocol
    ) -> Mapping[str, str]:
        """Answer from `answers`, or raise NotAnsweredError where a required one is missing."""
        wanted = tuple(questions)
        self.asked.append((prompt, wanted))
        if any(question.required and question.id not in self.answers for question in wanted):
            raise NotAnsweredError(prompt)
        return {
            question.id: self.answers.get(question.id, question.default_value)
            for question in wanted
        }


def input_file(path: Path, *, media_type: str = "") -> InputFile:
    """Describe a file as the plane hands it to the work."""
    content = path.read_bytes()
    return InputFile(
        path=path,
        filename=path.name,
        media_type=media_type or mimetypes.guess_type(path.name)[0] or "application/octet-stream",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
