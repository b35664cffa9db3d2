"""The server under test, as a caller sees it."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobplane.client._channel import call_metadata, channel_options, credentials
from jobplane.client._context import Context
from jobplane.conformance.frames import Frame, Frames, SetFrame
from jobplane.conformance.rule import BrokenRuleError, expect
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from jobplane.v1 import (
    artifact_service_pb2_grpc,
    job_pb2,
    job_service_pb2_grpc,
    kind_service_pb2_grpc,
    spec_pb2,
    system_service_pb2,
    system_service_pb2_grpc,
)
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence


T = TypeVar("T")

# How long an answer may take where the contract names no bound.
CALL_S = 10.0
# How long work may take that does as good as nothing.
WORK_S = 30.0
POLL_S = 0.05
LABEL = "conformance"
# Far enough for a job to stay QUEUED while it is looked at.
FAR_OFF_S = 86_400


class Server:
    """Calls with deadlines, and probes with short lives, all under one label."""

    def __init__(self, context: Context, *, slack_s: float) -> None:
        self.channel = channel = _bare_channel(context)
        self.project = context.project
        self.metadata = call_metadata(context)
        # What a network or a loaded machine may add to a bound of the contract.
        self.slack_s = slack_s
        self.run_id = uuid.uuid4().hex[:12]
        self.jobs = job_service_pb2_grpc.JobServiceStub(channel)
        self.artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(channel)
        self.kinds = kind_service_pb2_grpc.KindServiceStub(channel)
        self.system = system_service_pb2_grpc.SystemServiceStub(channel)

    @classmethod
    def at(cls, address: str, *, project: str, slack_s: float = 2.0, **choices: Any) -> Server:
        """The server at an address; `token`, `tls` and `ca_file` may be given."""
        return cls(Context(address=address, project=project, **choices), slack_s=slack_s)

    @property
    def options(self) -> dict[str, Any]:
        """Options of every unary call."""
        return {"timeout": CALL_S + self.slack_s, "metadata": self.metadata}

    async def call(self, method: Any, request: Any) -> Any:
        """The answer of a unary call."""
        return await method(request, **self.options)

    async def send(self, method: str, data: bytes) -> bytes:
        """The answer of a unary call, from bytes to bytes."""
        # The stubs know no call of bytes.
        channel: Any = self.channel
        answer: bytes = await channel.unary_unary(method)(data, **self.options)
        return answer

    async def info(self) -> system_service_pb2.GetServerInfoResponse:
        """What the server says of itself."""
        request = system_service_pb2.GetServerInfoRequest()
        response: system_service_pb2.GetServerInfoResponse = await self.call(
            self.system.GetServerInfo, request
        )
        return response

    def submission(
        self,
        *,
        policy: spec_pb2.RunPolicy | None = None,
        step_s: float = 0.0,
        labels: dict[str, str] | None = None,
        **fields: Any,
    ) -> wire.SubmitJobRequest:
        """A submit of a probe; fields that a submit does not have are the probe's."""
        own: dict[str, Any] = {"project": self.project}
        own |= {name: fields.pop(name) for name in list(fields) if name in _SUBMIT_FIELDS}
        request = wire.SubmitJobRequest(
            spec=spec_pb2.JobSpec(probe=probe(step_s=step_s, **fields)),
            labels={LABEL: self.run_id, **(labels or {})},
            **own,
        )
        if policy is not None:
            request.spec.policy.CopyFrom(policy)
        return request

    async def submit(self, **fields: Any) -> job_pb2.Job:
        """A durable probe; see `submission`."""
        response: wire.SubmitJobResponse = await self.call(
            self.jobs.SubmitJob, self.submission(**fields)
        )
        return response.job

    async def submit_queued(self, **fields: Any) -> job_pb2.Job:
        """A probe that stays QUEUED: its start lies far off."""
        start = Timestamp(seconds=int(time.time()) + FAR_OFF_S)
        return await self.submit(policy=spec_pb2.RunPolicy(start_time=start), **fields)

    async def get(self, name: str) -> job_pb2.Job:
        """The job as it stands."""
        response: wire.GetJobResponse = await self.call(
            self.jobs.GetJob, wire.GetJobRequest(name=name)
        )
        return response.job

    async def cancel(self, name: str, *, force: bool = False) -> job_pb2.Job:
        """The job after a cancel."""
        request = wire.CancelJobRequest(name=name, reason="conformance", force=force)
        response: wire.CancelJobResponse = await self.call(self.jobs.CancelJob, request)
        return response.job

    async def pause(self, name: str) -> job_pb2.Job:
        """The job after a pause."""
        response: wire.PauseJobResponse = await self.call(
            self.jobs.PauseJob, wire.PauseJobRequest(name=name)
        )
        return response.job

    async def resume(self, name: str) -> job_pb2.Job:
        """The job after a resume."""
        response: wire.ResumeJobResponse = await self.call(
            self.jobs.ResumeJob, wire.ResumeJobRequest(name=name)
        )
        return response.job

    async def finished(self, job: job_pb2.Job, within_s: float = WORK_S) -> job_pb2.Job:
        """The job once it is over."""
        return await self.reaches(job, lambda now: now.done, "its end", within_s)

    async def in_status(
        self, job: job_pb2.Job, *statuses: job_pb2.JobStatus.ValueType
    ) -> job_pb2.Job:
        """The job once it is in one of the statuses."""
        names = " or ".join(map(short_status, statuses))
        return await self.reaches(job, lambda now: now.status in statuses, names)

    async def reaches(
        self,
        job: job_pb2.Job,
        holds: Callable[[job_pb2.Job], bool],
        what: str,
        within_s: float = WORK_S,
    ) -> job_pb2.Job:
        """The job once something holds of it."""
        ends_at = time.monotonic() + within_s + self.slack_s
        while not holds(now := await self.get(job.name)):
            status = short_status(now.status)
            expect(
                not now.done and time.monotonic() < ends_at,
                f"the job is {status} and did not come to {what}",
            )
            await asyncio.sleep(POLL_S)
        return now

    async def history(self, job: job_pb2.Job) -> list[Any]:
        """All durable events of a job."""
        found: list[Any] = []
        request = wire.ListJobEventsRequest(name=job.name, page_size=1000)
        while True:
            response: wire.ListJobEventsResponse = await self.call(self.jobs.ListJobEvents, request)
            found += response.events
            if not response.next_page_token:
                return found
            request.page_token = response.next_page_token

    def watch(
        self,
        name: str,
        after: int | None = None,
        *,
        heartbeat_s: float = 15.0,
        durable_only: bool = False,
        event_types: Sequence[str] = (),
    ) -> Frames[Frame]:
        """A watch of one job."""
        request = wire.WatchJobRequest(
            name=name,
            heartbeat_interval=span(heartbeat_s),
            durable_only=durable_only,
            event_types=event_types,
        )
        if after is not None:
            request.after_sequence = after
        call = self.jobs.WatchJob(request, metadata=self.metadata)
        return Frames(call, patience_s=3 * heartbeat_s + self.slack_s)

    def watch_set(
        self,
        filter: str,  # noqa: A002  the contract's word
        cursor: str = "",
        *,
        heartbeat_s: float = 15.0,
        until: bool = False,
    ) -> Frames[SetFrame]:
        """A watch of the jobs that match."""
        request = wire.WatchJobsRequest(
            project=self.project,
            filter=filter,
            cursor=cursor,
            heartbeat_interval=span(heartbeat_s),
            until_all_finished=until,
        )
        call = self.jobs.WatchJobs(request, metadata=self.metadata)
        return Frames(call, patience_s=3 * heartbeat_s + self.slack_s)

    async def within(self, limit_s: float, awaited: Awaitable[T], what: str) -> T:
        """What is awaited, which must come within a bound of the contract."""
        try:
            async with asyncio.timeout(limit_s + self.slack_s):
                return await awaited
        except TimeoutError:
            raise BrokenRuleError(f"{what} took longer than {limit_s:g} s") from None

    async def clean_up(self) -> None:
        """Leave nothing running."""
        request = wire.BatchCancelJobsRequest(
            project=self.project,
            filter=f"labels.{LABEL} = {self.run_id} AND done = false",
            reason="the conformance run is over",
        )
        while True:
            response: wire.BatchCancelJobsResponse = await self.call(
                self.jobs.BatchCancelJobs, request
            )
            if not response.more:
                return


_SUBMIT_FIELDS = frozenset(wire.SubmitJobRequest.DESCRIPTOR.fields_by_name) - {"spec", "labels"}


def _bare_channel(context: Context) -> grpc.aio.Channel:
    """A channel that repeats nothing by itself: what a server refuses must be seen."""
    options = channel_options(context.address, own_connection=True)
    options += [("grpc.enable_retries", 0)]
    secrets = credentials(context)
    if secrets is None:
        return grpc.aio.insecure_channel(context.address, options)
    return grpc.aio.secure_channel(context.address, secrets, options)


def probe(*, step_s: float = 0.0, **fields: Any) -> ProbeSpec:
    """What a probe is told; it runs in a thread unless it is told otherwise."""
    fields.setdefault("isolation", ProbeSpec.ISOLATION_THREAD)
    if step_s:
        fields["step_duration"] = span(step_s)
    return ProbeSpec(**fields)


def span(seconds: float) -> Duration:
    """A duration."""
    value = Duration()
    value.FromNanoseconds(round(seconds * 1e9))
    return value


def short_status(status: job_pb2.JobStatus.ValueType) -> str:
    """Status as people write it."""
    return job_pb2.JobStatus.Name(status).removeprefix("JOB_STATUS_")
