"""A sink that keeps everything it is told, and lets tests wait for it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Assignment, Broke, Conclusion
from jobplane.engine.domain.event import DurablePayload
from jobplane.engine.domain.job import Failure, Progress

PATIENCE_S = 60.0
Fence = tuple[str, str, int]


@dataclass
class Taken:
    """An artifact that was taken."""

    content: bytes
    media_type: str
    type: ArtifactType
    stage: str


@dataclass
class Told:
    """What one attempt told."""

    log: list[str] = field(default_factory=list[str])
    progresses: list[Progress] = field(default_factory=list[Progress])
    payloads: list[DurablePayload] = field(default_factory=list[DurablePayload])
    batches: int = 0
    artifacts: dict[str, Taken] = field(default_factory=dict[str, Taken])
    checkpoints: list[tuple[bytes, int]] = field(default_factory=list[tuple[bytes, int]])
    # Bytes by stream.
    printed: dict[str, int] = field(default_factory=dict[str, int])
    alive: int = 0
    conclusions: list[Conclusion] = field(default_factory=list[Conclusion])
    concluded_at: float = 0.0
    cpu_s: float = 0.0
    peak_memory_bytes: int = 0

    @property
    def conclusion(self) -> Conclusion:
        assert len(self.conclusions) == 1, self.conclusions
        return self.conclusions[0]

    @property
    def failure(self) -> Failure:
        assert isinstance(self.conclusion, Broke), self.conclusion
        return self.conclusion.failure


class Recorder:
    """Reports that are kept in memory."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: dict[Fence, Told] = {}
        self.on_artifact: Callable[[], None] = lambda: None

    def of(self, assignment: Assignment) -> Told:
        with self._changed:
            return self._told.setdefault(assignment.fence, Told())

    def wait(self, ready: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, patience_s), self._told

    def ended(self, assignment: Assignment, *, patience_s: float = PATIENCE_S) -> Told:
        told = self.of(assignment)
        self.wait(lambda: bool(told.conclusions), patience_s=patience_s)
        return told

    def begun(self, assignment: Assignment) -> Told:
        told = self.of(assignment)
        self.wait(lambda: bool(told.progresses))
        return told

    def _note(self, assignment: Assignment, what: str) -> Told:
        told = self._told.setdefault(assignment.fence, Told())
        told.log.append(what)
        self._changed.notify_all()
        return told

    def progress(self, assignment: Assignment, progress: Progress) -> None:
        with self._changed:
            self._note(assignment, "progress").progresses.append(progress)

    def events(self, assignment: Assignment, payloads: Sequence[DurablePayload]) -> None:
        with self._changed:
            told = self._note(assignment, "events")
            told.payloads.extend(payloads)
            told.batches += 1

    def artifact(
        self,
        assignment: Assignment,
        *,
        name: str,
        path: Path,
        media_type: str,
        type: ArtifactType,
        stage: str,
    ) -> None:
        self.on_artifact()
        try:
            content = path.read_bytes()
        except OSError:
            content = b"(gone)"
        with self._changed:
            told = self._note(assignment, f"artifact {name}")
            told.artifacts[name] = Taken(content, media_type, type, stage)

    def checkpoint(self, assignment: Assignment, data: bytes, *, completed_units: int) -> None:
        with self._changed:
            self._note(assignment, "checkpoint").checkpoints.append((data, completed_units))

    def log(self, assignment: Assignment, stream: str, data: bytes) -> None:
        with self._changed:
            told = self._told.setdefault(assignment.fence, Told())
            told.printed[stream] = told.printed.get(stream, 0) + len(data)

    def alive(self, assignment: Assignment) -> None:
        with self._changed:
            self._note(assignment, "alive").alive += 1

    def concluded(
        self,
        assignment: Assignment,
        conclusion: Conclusion,
        *,
        cpu_s: float,
        peak_memory_bytes: int,
    ) -> None:
        with self._changed:
            told = self._note(assignment, "concluded")
            told.conclusions.append(conclusion)
            told.concluded_at = time.monotonic()
            told.cpu_s = cpu_s
            told.peak_memory_bytes = peak_memory_bytes
