"""An engine in memory: jobs are kept, nothing runs."""

# ruff: noqa: ARG002  it takes what the engine takes, under the same names

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from jobplane.engine.domain.errors import (
    EngineError,
    InvalidPageTokenError,
    JobNotFoundError,
    SequenceInFutureError,
    UnknownKindError,
)
from jobplane.engine.domain.event import JobEvent, Submitted
from jobplane.engine.domain.job import Job, job_name
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.engine.kinds.base import Kind
from jobplane.engine.query.filter import parse_filter
from jobplane.engine.query.page import JobQuery, Page
from jobplane.engine.watch.frame import Batch, End, EndReason, Frame, Heartbeat, Snapshot
from jobplane.kinds.probe.v1 import probe_pb2

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
PROBE = Kind(
    name="probe",
    description="Does as it is told.",
    work="nowhere:run",
    spec=probe_pb2.ProbeSpec,
    result=probe_pb2.ProbeResult,
    pausable=True,
)
ECHO = Kind(
    name="echo",
    description="Says it again.",
    work="nowhere:run",
    schema={"type": "object", "properties": {"text": {"type": "string"}}},
    schema_version="1",
    extra="echo",
)


class FakeRegistry:
    def __init__(self, *kinds: Kind) -> None:
        self._kinds = {kind.name: kind for kind in kinds}

    def all(self) -> tuple[Kind, ...]:
        return tuple(self._kinds.values())

    def get(self, name: str) -> Kind:
        if name not in self._kinds:
            raise UnknownKindError(name, sorted(self._kinds))
        return self._kinds[name]

    def missing(self, kind: Kind) -> str:
        return "pip install jobplane[echo]" if kind.extra == "echo" else ""


@dataclass(frozen=True)
class FakeCounts:
    total: int
    groups: Mapping[str, int] = field(default_factory=dict)


class FakeEngine:
    """`failure` is raised by every call; `frames` is what every watch gives."""

    def __init__(self) -> None:
        self.registry = FakeRegistry(PROBE, ECHO)
        self.jobs: dict[tuple[str, str], Job] = {}
        self.submissions: list[Submission] = []
        self.failure: Exception | None = None
        self.frames: list[Frame] | None = None
        self.open_watches = 0
        self.drained = asyncio.Event()
        self.ready = True
        self.calls: list[tuple[str, object]] = []

    async def submit(self, submission: Submission) -> Accepted:
        self._note("submit", submission)
        self.registry.get(submission.spec.kind)
        self.submissions.append(submission)
        job = Job(
            project=submission.project,
            job_id=submission.job_id or f"job-{len(self.submissions)}",
            spec=submission.spec,
            status=JobStatus.QUEUED,
            sequence=1,
            created_at=START,
            updated_at=START,
            priority=submission.priority,
            queue=submission.queue,
            labels=submission.labels,
            creator=submission.creator,
        )
        if not submission.validate_only:
            self.jobs[job.project, job.job_id] = job
        return Accepted(job)

    async def get(self, project: str, job_id: str) -> Job:
        self._note("get", (project, job_id))
        try:
            return self.jobs[project, job_id]
        except KeyError:
            raise JobNotFoundError(job_name(project, job_id)) from None

    async def list(self, query: JobQuery) -> Page[Job]:
        self._note("list", query)
        assert query.expression is not None
        assert query.order is not None
        if query.page_token:
            raise InvalidPageTokenError
        return Page(tuple(self.jobs.values())[: query.limit])

    async def count(self, *, project: str, filter: str, group_by: str) -> FakeCounts:
        self._note("count", (project, group_by))
        parse_filter(filter)
        return FakeCounts(len(self.jobs), {"QUEUED": len(self.jobs)})

    async def cancel(self, project, job_id, *, requester, reason, force) -> Job:
        self._note("cancel", (requester, reason, force))
        job = await self.get(project, job_id)
        job = replace(job, status=JobStatus.CANCELLED, sequence=job.sequence + 2)
        self.jobs[project, job_id] = job
        return job

    async def pause(self, project, job_id, *, requester, reason) -> Job:
        return await self.get(project, job_id)

    async def resume(self, project, job_id, *, requester, reason) -> Job:
        return await self.get(project, job_id)

    async def provide_input(self, project, job_id, *, input_id, answers, responder) -> Job:
        return await self.get(project, job_id)

    async def update(
        self, project, job_id, *, priority=None, queue=None, labels=None, etag="", updater=""
    ) -> Job:
        self._note("update", {"priority": priority, "queue": queue, "labels": labels})
        job = await self.get(project, job_id)
        if labels is not None:
            job = replace(job, labels=labels)
        self.jobs[project, job_id] = job
        return job

    async def retry(self, project, job_id, *, from_checkpoint, idempotency_key, creator):
        return Accepted(await self.get(project, job_id))

    async def delete(self, project, job_id, *, etag) -> None:
        await self.get(project, job_id)
        del self.jobs[project, job_id]

    async def events(
        self, project, job_id, *, after_sequence, page_size, page_token, descending
    ) -> Page[JobEvent]:
        job = await self.get(project, job_id)
        return Page((submitted(job),))

    async def watch(
        self, project, job_id, *, after_sequence, heartbeat_s, durable_only, event_types
    ) -> AsyncIterator[Frame]:
        self._note("watch", (after_sequence, heartbeat_s, durable_only, event_types))
        job = await self.get(project, job_id)
        if after_sequence is not None and after_sequence > job.sequence:
            raise SequenceInFutureError(after_sequence, job.sequence)
        self.open_watches += 1
        try:
            for frame in self.frames or await self._usual(job, heartbeat_s):
                yield frame
        finally:
            self.open_watches -= 1

    async def _usual(self, job: Job, heartbeat_s: float) -> "Sequence[Frame]":
        if job.status.is_terminal:
            return [Snapshot(job.sequence, job), End(job.sequence, EndReason.FINISHED, job)]
        try:
            async with asyncio.timeout(heartbeat_s):
                await self.drained.wait()
        except TimeoutError:
            return [Heartbeat(job.sequence, START, job.status, None)]
        return [End(job.sequence, EndReason.DRAINING, retry_after_s=1.0)]

    async def wait(self, project, job_id, *, after_sequence, timeout_s) -> tuple[Job, bool]:
        self._note("wait", (after_sequence, timeout_s))
        job = await self.get(project, job_id)
        return job, job.status.is_terminal

    async def is_ready(self) -> bool:
        return self.ready

    def _note(self, name: str, arguments: object) -> None:
        self.calls.append((name, arguments))
        if self.failure is not None:
            raise self.failure


class FakeHouse:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.is_stopped = False

    async def start(self) -> FakeEngine:
        return self.engine

    async def drain(self) -> None:
        self.engine.drained.set()

    async def stop(self, grace_s: float) -> None:
        self.is_stopped = True


def submitted(job: Job) -> JobEvent:
    return JobEvent(job.project, job.job_id, 1, START, job.status, Submitted("dev", job.kind))


def batch(job: Job, first: int, last: int, size: int = 0) -> Batch:
    """Events first..last, each with `size` bytes of text."""
    events = tuple(
        replace(submitted(job), sequence=number, payload=Submitted("x" * size, job.kind))
        for number in range(first, last + 1)
    )
    return Batch(last, events)


def later(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Surprise(Exception):  # noqa: N818  stands for any bug
    """No child of EngineError."""


assert not issubclass(Surprise, EngineError)
