"""Calls about one job, for asyncio."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from jobplane.client import _jobs as jobs
from jobplane.client._aio.artifacts import AsyncArtifactCalls
from jobplane.client._aio.job import AsyncJob
from jobplane.client._aio.stream import AsyncLogTail, AsyncWatch
from jobplane.client._logs import LogMachine, LogQuery
from jobplane.client._requests import Spec, Submission, job_name
from jobplane.client._steps import Interruption, WatchPlan
from jobplane.client._watch import WatchMachine
from jobplane.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from jobplane.client._artifacts import Input
    from jobplane.client._event import Event
    from jobplane.client._view import JobView


class AsyncJobCalls(AsyncArtifactCalls):
    """Submits, reads, steers and watches jobs, one at a time."""

    async def submit(
        self,
        spec: Spec,
        *,
        kind: str = "",
        schema_version: str = "",
        idempotency_key: str | None = None,
        reject_duplicate: bool = False,
        job_id: str = "",
        priority: int | None = None,
        queue: str = "",
        job_set: str = "",
        labels: Mapping[str, str] | None = None,
        display_name: str = "",
        inputs: Mapping[str, Input] | None = None,
    ) -> AsyncJob:
        """Durable job for a spec: a message of `specs`, a dict, or JSON text.

        Makes an idempotency key when none is given, so that a repeat after a lost
        connection never makes a second job. `inputs` are by role: a Path or bytes are
        uploaded first, an artifact is named.
        """
        submission = Submission(
            idempotency_key=idempotency_key,
            reject_duplicate=reject_duplicate,
            job_id=job_id,
            priority=priority,
            queue=queue,
            job_set=job_set,
            labels=labels or {},
            display_name=display_name,
        )
        talk = jobs.submit(
            spec,
            submission,
            project=self.project,
            kind=kind,
            schema_version=schema_version,
            inputs=inputs,
        )
        response = await self._run(talk)
        return AsyncJob(self, response.job, deduplicated=response.deduplicated)

    async def validate(
        self, spec: Spec, *, kind: str = "", schema_version: str = ""
    ) -> job_pb2.Job:
        """Job as it would be, after every check of the server; nothing is written."""
        talk = jobs.submit(
            spec,
            Submission(validate_only=True),
            project=self.project,
            kind=kind,
            schema_version=schema_version,
        )
        return (await self._run(talk)).job

    def job(self, job: str) -> AsyncJob:
        """Handle for an id or a full name, without asking the server."""
        name = job_name(job, self.project)
        project, job_id = name.split("/")[1::2]
        return AsyncJob(self, job_pb2.Job(name=name, job_id=job_id, project=project))

    async def get(self, job: str | JobView) -> AsyncJob:
        """Job with everything that the server knows about it."""
        return AsyncJob(self, await self._run(jobs.get(self._name(job))))

    async def cancel(
        self, job: str | JobView, *, reason: str = "", force: bool = False
    ) -> AsyncJob:
        """Job, CANCELLED or on its way there."""
        return AsyncJob(
            self, await self._run(jobs.cancel(self._name(job), reason=reason, force=force))
        )

    async def pause(self, job: str | JobView, *, reason: str = "") -> AsyncJob:
        """Job, PAUSED or on its way there."""
        return AsyncJob(self, await self._run(jobs.pause(self._name(job), reason=reason)))

    async def resume(self, job: str | JobView, *, reason: str = "") -> AsyncJob:
        """Job, queued again or still running."""
        return AsyncJob(self, await self._run(jobs.resume(self._name(job), reason=reason)))

    async def answer(
        self, job: str | JobView, answers: Mapping[str, str], *, input_id: str = ""
    ) -> AsyncJob:
        """Job, queued again; answers its open question by question id."""
        return AsyncJob(
            self, await self._run(jobs.answer(self._name(job), answers, input_id=input_id))
        )

    async def retry(
        self,
        job: str | JobView,
        *,
        from_checkpoint: bool = False,
        idempotency_key: str | None = None,
    ) -> AsyncJob:
        """Job made new from a finished one."""
        talk = jobs.retry(
            self._name(job), from_checkpoint=from_checkpoint, idempotency_key=idempotency_key
        )
        return AsyncJob(self, await self._run(talk))

    async def update(
        self,
        job: str | JobView,
        *,
        priority: int | None = None,
        queue: str = "",
        labels: Mapping[str, str | None] | None = None,
        etag: str = "",
    ) -> AsyncJob:
        """Job, changed in what is said and nothing else; a label of None is removed."""
        talk = jobs.update(
            self._name(job), priority=priority, queue=queue, labels=labels, etag=etag
        )
        return AsyncJob(self, await self._run(talk))

    async def delete(self, job: str | JobView, *, etag: str = "") -> None:
        """Remove the record of a finished job, its events and its artifacts."""
        await self._run(jobs.delete(self._name(job), etag=etag))

    def watch(
        self,
        job: str | JobView,
        *,
        after_sequence: int | None = 0,
        plan: WatchPlan | None = None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> AsyncWatch:
        """Events until the job ends: its whole history first, then live.

        `after_sequence` starts later in the history; None starts from now with a snapshot.
        """
        machine = WatchMachine(
            self._name(job),
            plan=plan or WatchPlan(),
            after_sequence=after_sequence,
            now=time.monotonic(),
            jitter=random.random,
        )
        return AsyncWatch(machine, self._open, on_interruption)

    async def wait(
        self,
        job: str | JobView,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - its error says that the job goes on
    ) -> AsyncJob:
        """Job once it has ended, however it did; WaitTimeout leaves it going."""
        async with self.watch(job, after_sequence=None, plan=jobs.until_done(timeout)) as watch:
            async for _ in watch:
                pass
        if watch.job is not None and watch.job.done:
            return AsyncJob(self, watch.job)
        return await self.get(job)

    def logs(
        self,
        job: str | JobView,
        *,
        follow: bool = False,
        attempt: int = 0,
        after_line: int = 0,
        tail: int = 0,
        timeout: float | None = None,
        max_resume_s: float = 300.0,
    ) -> AsyncLogTail:
        """Lines of a job's log; with `follow` until the last one that there will be.

        Without an attempt they are those of the current one, and of the ones after it.
        """
        query = LogQuery(
            name=self._name(job), attempt=attempt, after_line=after_line, tail=tail, follow=follow
        )
        machine = LogMachine(
            query,
            timeout_s=timeout,
            max_resume_s=max_resume_s,
            now=time.monotonic(),
            jitter=random.random,
        )
        return AsyncLogTail(machine, self._open, lambda: self._run(jobs.get(query.name)))

    def history(
        self, job: str | JobView, *, after_sequence: int = 0
    ) -> AsyncGenerator[Event, None]:
        """Durable events so far, in order."""
        return self._walk(jobs.history(self._name(job), after_sequence=after_sequence))
