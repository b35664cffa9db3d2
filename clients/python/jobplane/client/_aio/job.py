"""The handle of one job, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from jobplane.client._outcome import outcome
from jobplane.client._records import record_of
from jobplane.client._table import frame_of_records
from jobplane.client._view import JobView

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    import pandas as pd

    from jobplane.client._aio.artifact import AsyncArtifact
    from jobplane.client._aio.jobs import AsyncJobCalls
    from jobplane.client._aio.stream import AsyncLogTail, AsyncWatch
    from jobplane.client._event import Event
    from jobplane.client._steps import Interruption, WatchPlan
    from jobplane.v1 import job_pb2, spec_pb2


class AsyncJob(JobView):
    """A job, its state when it was last read, and what can be done with it."""

    def __init__(
        self, client: AsyncJobCalls, wire: job_pb2.Job, *, deduplicated: bool = False
    ) -> None:
        self._client = client
        self.wire = wire
        # Whether an earlier submit with the same key made this job.
        self.deduplicated = deduplicated

    async def refresh(self) -> AsyncJob:
        """The same handle, with the state of now."""
        return self._take(await self._client.get(self))

    async def wait(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - its error says that the job goes on
    ) -> AsyncJob:
        """The same handle once the job has ended, however it did."""
        return self._take(await self._client.wait(self, timeout=timeout))

    async def result(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - its error says that the job goes on
    ) -> spec_pb2.JobResult:
        """Result once the job has ended; raises JobFailed and its like unless it succeeded."""
        await self.wait(timeout)
        if not self.wire.HasField("spec"):
            await self.refresh()
        return outcome(self.wire)

    def events(
        self,
        *,
        after_sequence: int | None = 0,
        plan: WatchPlan | None = None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> AsyncWatch:
        """Events until the job ends; see AsyncClient.watch."""
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
    ) -> AsyncLogTail:
        """Lines of the log; see AsyncClient.logs."""
        return self._client.logs(
            self,
            follow=follow,
            attempt=attempt,
            after_line=after_line,
            tail=tail,
            timeout=timeout,
        )

    def history(self, *, after_sequence: int = 0) -> AsyncGenerator[Event, None]:
        """Durable events so far."""
        return self._client.history(self, after_sequence=after_sequence)

    async def cancel(self, *, reason: str = "", force: bool = False) -> AsyncJob:
        """The same handle, CANCELLED or on its way there."""
        return self._take(await self._client.cancel(self, reason=reason, force=force))

    async def pause(self, *, reason: str = "") -> AsyncJob:
        """The same handle, PAUSED or on its way there."""
        return self._take(await self._client.pause(self, reason=reason))

    async def resume(self, *, reason: str = "") -> AsyncJob:
        """The same handle, queued again or still running."""
        return self._take(await self._client.resume(self, reason=reason))

    async def answer(self, answers: Mapping[str, str], *, input_id: str = "") -> AsyncJob:
        """The same handle, with its open question answered."""
        return self._take(await self._client.answer(self, answers, input_id=input_id))

    async def retry(self, *, from_checkpoint: bool = False) -> AsyncJob:
        """Job made new from this finished one."""
        return await self._client.retry(self, from_checkpoint=from_checkpoint)

    async def update(
        self,
        *,
        priority: int | None = None,
        queue: str = "",
        labels: Mapping[str, str | None] | None = None,
        etag: str = "",
    ) -> AsyncJob:
        """The same handle, changed in what is said; a label of None is removed."""
        return self._take(
            await self._client.update(
                self, priority=priority, queue=queue, labels=labels, etag=etag
            )
        )

    async def delete(self) -> None:
        """Remove the record of this finished job."""
        await self._client.delete(self)

    def artifacts(self) -> AsyncGenerator[AsyncArtifact, None]:
        """Artifacts of the job."""
        return self._client.artifacts(self)

    async def artifact(self, artifact: str) -> AsyncArtifact:
        """Artifact by its name within the job."""
        return await self._client.artifact(self, artifact)

    async def dataframe(self, artifact: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Table artifact as a pandas data frame, or some columns of it."""
        return await (await self.artifact(artifact)).dataframe(columns)

    def _take(self, other: AsyncJob) -> AsyncJob:
        self.wire = other.wire
        return self


class AsyncJobList(AsyncIterator[AsyncJob]):
    """Jobs that match, page by page as they are asked for; can be read once."""

    def __init__(self, jobs: AsyncIterator[AsyncJob]) -> None:
        self._jobs = jobs

    async def __anext__(self) -> AsyncJob:
        return await anext(self._jobs)

    async def to_pandas(self) -> pd.DataFrame:
        """All that are left as a pandas data frame: labels and metrics are columns too."""
        records = [record_of(job) async for job in self]
        return await asyncio.to_thread(frame_of_records, records)
