"""What the engine asks of an executor, and what an executor tells the engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Assignment, Conclusion, Intent
from jobplane.engine.domain.event import DurablePayload
from jobplane.engine.domain.job import Progress


class Reports(Protocol):
    """Where attempts report to. Every method may be called from any thread.

    Reports of one attempt are kept in the order they come. A report that can't be kept
    (a stale fence, a full disk) does not raise: the sink tells the executor to end the
    attempt instead.
    """

    def progress(self, assignment: Assignment, progress: Progress) -> None:
        """Keep the latest progress."""
        ...

    def events(self, assignment: Assignment, payloads: Sequence[DurablePayload]) -> None:
        """Append stage, metric and warning events."""
        ...

    def artifact(
        self,
        assignment: Assignment,
        *,
        name: str,
        path: Path,
        media_type: str,
        type: ArtifactType,  # noqa: A002  the contract's word
        stage: str,
    ) -> None:
        """Take the file at `path`, inside the attempt's folder, as an artifact."""
        ...

    def checkpoint(self, assignment: Assignment, data: bytes, *, completed_units: int) -> None:
        """Make a checkpoint durable."""
        ...

    def log(self, assignment: Assignment, stream: str, data: bytes) -> None:
        """Keep what the attempt printed to "stdout" or "stderr"; bytes as they came."""
        ...

    def alive(self, assignment: Assignment) -> None:
        """Say that the attempt's worker still has it."""
        ...

    def concluded(
        self,
        assignment: Assignment,
        conclusion: Conclusion,
        *,
        cpu_s: float,
        peak_memory_bytes: int,
    ) -> None:
        """End the attempt. Called exactly once for every launch, and last."""
        ...


class Executor(Protocol):
    """Runs attempts. Methods may be called from any thread; all but stop return at once."""

    def start(self, reports: Reports) -> None:
        """Make ready to run attempts."""
        ...

    def free_slots(self) -> int:
        """How many more attempts can be launched now."""
        ...

    def launch(self, assignment: Assignment) -> None:
        """Run an attempt; `Reports.concluded` follows, whatever happens."""
        ...

    def control(self, fence: tuple[str, str, int], intent: Intent) -> None:
        """Pass an intent on; unknown attempts are ignored. KILL ends the whole process tree."""
        ...

    def stop(self, grace_s: float) -> None:
        """End everything within the grace, then return; what is live breaks with SERVER_STOPPED."""
        ...
