"""The handle of one job."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobplane.client._outcome import outcome
from jobplane.client._records import record_of
from jobplane.client._table import frame_of_records
from jobplane.client._view import JobView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from jobplane.client._event import Event
    from jobplane.client._steps import Interruption, WatchPlan
    from jobplane.client._sync.artifact import Artifact
    from jobplane.client._sync.jobs import JobCalls
    from jobplane.client._sync.stream import LogTail, Watch
    from jobplane.v1 import job_pb2, spec_pb2


class Job(JobView):
    """A job, its state when it was last read, and what can be done with it."""

    def __init__(self, client: JobCalls, wire: job_pb2.Job, *, deduplicated: bool = False) -> None:
        self._client = client
        self.wire = wire
        # Whether an earlier submit with the same key made this job.
        self.deduplicated = deduplicated

    def refresh(self) -> Job:
        """The same handle, with the state of now."""
        return self._take(self._client.get(self))

    def wait(self, timeout: float | None = None) -> Job:
        """The same handle once the job has ended, however it did."""
        return self._take(self._client.wait(self, timeout=timeout))

    def result(self, timeout: float | None = None) -> spec_pb2.JobResult:
        """Result once the job has ended; raises JobFailed and its like unless it succeeded."""
        self.wait(timeout)
        if not self.wire.HasField("spec"):
            self.refresh()
        return outcome(self.wire)

    def events(
        self,
        *,
        after_sequence: int | None = 0,
        plan: WatchPlan | None = None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> Watch:
        """Events until the job ends; see Client.watch."""
        return self._client.watch(
            self, after_sequence=after_sequence, plan=plan, on_interruption=on_interruption
        )

    def logs(
        self,
        *,
        follow: bool = False,
        attempt: int = 0,
        after_line: int = 0,
        tail: int = 0,
        timeout: float | None = None,
    ) -> LogTail:
        """Lines of the log; see Client.logs."""
        return self._client.logs(
            self,
            follow=follow,
            attempt=attempt,
            after_line=after_line,
            tail=tail,
            timeout=timeout,
        )

    def history(self, *, after_sequence: int = 0) -> Iterator[Event]:
        """Durable events so far."""
        return self._client.history(self, after_sequence=after_sequence)

    def cancel(self, *, reason: str = "", force: bool = False) -> Job:
        """The same handle, CANCELLED or on its way there."""
        return self._take(self._client.cancel(self, reason=reason, force=force))

    def pause(self, *, reason: str = "") -> Job:
        """The same handle, PAUSED or on its way there."""
        return self._take(self._client.pause(self, reason=reason))

    def resume(self, *, reason: str = "") -> Job:
        """The same handle, queued again or still running."""
        return self._take(self._client.resume(self, reason=reason))

    def answer(self, answers: Mapping[str, str], *, input_id: str = "") -> Job:
        """The same handle, with its open question answered."""
        return self._take(self._client.answer(self, answers, input_id=input_id))

    def retry(self, *, from_checkpoint: bool = False) -> Job:
        """Job made new from this finished one."""
        return self._client.retry(self, from_checkpoint=from_checkpoint)

    def update(
        self,
        *,
        priority: int | None = None,
        queue: str = "",
        labels: Mapping[str, str | None] | None = None,
        etag: str = "",
    ) -> Job:
        """The same handle, changed in what is said; a label of None is removed."""
        return self._take(
            self._client.update(self, priority=priority, queue=queue, labels=labels, etag=etag)
        )

    def delete(self) -> None:
        """Remove the record of this finished job."""
        self._client.delete(self)

    def artifacts(self) -> Iterator[Artifact]:
        """Artifacts of the job."""
        return self._client.artifacts(self)

    def artifact(self, artifact: str) -> Artifact:
        """Artifact by its name within the job."""
        return self._client.artifact(self, artifact)

    def dataframe(self, artifact: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Table artifact as a pandas data frame, or some columns of it."""
        return self.artifact(artifact).dataframe(columns)

    def _take(self, other: Job) -> Job:
        self.wire = other.wire
        return self


class JobList(Iterator[Job]):
    """Jobs that match, page by page as they are asked for; can be read once."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs

    def __next__(self) -> Job:
        return next(self._jobs)

    def to_pandas(self) -> pd.DataFrame:
        """All that are left as a pandas data frame: labels and metrics are columns too."""
        return frame_of_records(map(record_of, self))
