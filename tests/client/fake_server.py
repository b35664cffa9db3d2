"""A small server in this process that keeps the watch rules and does what a test says."""
# ruff: noqa: N802 - methods have the names of the contract
# ruff: noqa: ARG002 - and its two arguments

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from jobplane.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    event_pb2,
    job_pb2,
    job_service_pb2,
    kind_service_pb2,
)
from tests.client.fake_jobs import FakeJob, new_job

Frame = job_service_pb2.WatchJobResponse
Context = Any


def rich_status(code: str, reason: str, message: str, *details: Message, **metadata: str) -> Any:
    """Build a status with the details of the error table."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain="jobplane", metadata=metadata)
    packed = []
    for detail in (info, *details):
        holder = Packed()
        holder.Pack(detail)
        packed.append(holder)
    status: Any = rpc_status.to_status(
        status_pb2.Status(code=code_pb2.Code.Value(code), message=message, details=packed)
    )
    # As trailing metadata: initial metadata before an error would end gRPC's own retries.
    return status._replace(trailing_metadata=(*status.trailing_metadata, ("x-request-id", "req-1")))


class FakeServer:
    """Answers JobService, KindService and ArtifactService from memory."""

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.calls: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, Any]] = []
        # Raised, once each, by the next calls of a method.
        self.refusals: dict[str, list[Any]] = {}
        # Frames that replace those of the next streams.
        self.frames: list[list[Frame]] = []
        self.silent = False
        self.kinds = [kind_service_pb2.Kind(name="kinds/probe", description="As told.")]
        self._keys: dict[str, tuple[bytes, str]] = {}
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(16)
        self._server = grpc.server(self._pool)
        self._closed = False
        self.port = 0

    def __enter__(self) -> Self:
        self._add("jobplane.v1.JobService", job_service_pb2)
        self._add("jobplane.v1.KindService", kind_service_pb2)
        self._add("jobplane.v1.ArtifactService", artifact_service_pb2)
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self.change(lambda: None)
        self._server.stop(None).wait(10)
        self._pool.shutdown()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, job: FakeJob) -> FakeJob:
        self.change(lambda: self.jobs.__setitem__(job.wire.name, job))
        return job

    def change(self, do: Callable[[], object]) -> None:
        """Change jobs, and wake those who watch them."""
        with self._changed:
            do()
            self._changed.notify_all()

    def refuse(self, method: str, status: Any, *, times: int = 1) -> None:
        self.refusals.setdefault(method, []).extend([status] * times)

    def requests(self, method: str) -> list[Any]:
        return [request for name, request in self.calls if name == method]

    def reflect(self) -> None:
        """Answer reflection too, in v1alpha."""
        names = ["jobplane.v1.JobService", "jobplane.v1.KindService"]
        reflection.enable_server_reflection(names, self._server)

    def _add(self, service: str, module: Any) -> None:
        described = module.DESCRIPTOR.services_by_name[service.rpartition(".")[2]]
        handlers = {}
        for method in described.methods:
            do = getattr(self, method.name, None)
            if do is None:
                continue
            request = getattr(module, method.input_type.name)
            make = (
                grpc.unary_stream_rpc_method_handler
                if method.server_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            wrap = self._stream if method.server_streaming else self._unary
            handlers[method.name] = make(
                wrap(method.name, do),
                request_deserializer=request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
        generic = grpc.method_handlers_generic_handler(service, handlers)
        self._server.add_generic_rpc_handlers((generic,))

    def _begin(self, name: str, request: Any, context: Context) -> None:
        self.calls.append((name, request))
        self.metadata.append(dict(context.invocation_metadata()))
        if self.refusals.get(name):
            context.abort_with_status(self.refusals[name].pop(0))

    def _unary(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def handle(request: Any, context: Context) -> Any:
            self._begin(name, request, context)
            return do(request, context)

        return handle

    def _stream(self, name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def handle(request: Any, context: Context) -> Iterator[Any]:
            self._begin(name, request, context)
            context.add_callback(lambda: self.change(lambda: None))
            yield from do(request, context)

        return handle

    def _job(self, name: str, context: Context) -> FakeJob:
        if name not in self.jobs:
            context.abort_with_status(
                rich_status(
                    "NOT_FOUND",
                    "JOB_NOT_FOUND",
                    f"{name} does not exist",
                    error_details_pb2.ResourceInfo(resource_name=name),
                )
            )
        return self.jobs[name]

    # The methods of the contract.

    def SubmitJob(self, request: job_service_pb2.SubmitJobRequest, context: Context) -> Any:
        body = request.spec.SerializeToString(deterministic=True)
        kind = request.spec.WhichOneof("kind") or ""
        if request.validate_only:
            return job_service_pb2.SubmitJobResponse(job=job_pb2.Job(kind=kind))
        if request.idempotency_key in self._keys:
            known_body, name = self._keys[request.idempotency_key]
            if known_body == body:
                return job_service_pb2.SubmitJobResponse(
                    job=self.jobs[name].wire, deduplicated=True
                )
            job_id = name.rpartition("/")[2]
            context.abort_with_status(
                rich_status(
                    "ALREADY_EXISTS",
                    "IDEMPOTENCY_KEY_REUSED",
                    f"the idempotency key belongs to {name}",
                    error_details_pb2.ResourceInfo(resource_name=name),
                    job_id=job_id,
                )
            )
        job = new_job(
            request.job_id or f"job-{len(self.jobs) + 1}", project=request.project, kind=kind
        )
        job.wire.spec.CopyFrom(request.spec)
        job.wire.labels.update(request.labels)
        self._keys[request.idempotency_key] = (body, job.wire.name)
        self.add(job)
        return job_service_pb2.SubmitJobResponse(job=job.wire)

    def GetJob(self, request: job_service_pb2.GetJobRequest, context: Context) -> Any:
        return job_service_pb2.GetJobResponse(job=self._job(request.name, context).wire)

    def ListJobs(self, request: job_service_pb2.ListJobsRequest, context: Context) -> Any:
        jobs = [job.wire for job in reversed(self.jobs.values())]
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 50, 2)
        return job_service_pb2.ListJobsResponse(
            jobs=jobs[start:end], next_page_token=str(end) if end < len(jobs) else ""
        )

    def CountJobs(self, request: job_service_pb2.CountJobsRequest, context: Context) -> Any:
        groups: dict[str, int] = {}
        if request.group_by:
            for job in self.jobs.values():
                name = job_pb2.JobStatus.Name(job.wire.status).removeprefix("JOB_STATUS_")
                groups[name] = groups.get(name, 0) + 1
        return job_service_pb2.CountJobsResponse(total=len(self.jobs), groups=groups)

    def CancelJob(self, request: job_service_pb2.CancelJobRequest, context: Context) -> Any:
        job = self._job(request.name, context)
        self.change(lambda: job.move(job_pb2.JOB_STATUS_CANCELLED, reason=request.reason))
        return job_service_pb2.CancelJobResponse(job=job.wire)

    def PauseJob(self, request: job_service_pb2.PauseJobRequest, context: Context) -> Any:
        job = self._job(request.name, context)
        self.change(lambda: job.move(job_pb2.JOB_STATUS_PAUSED))
        return job_service_pb2.PauseJobResponse(job=job.wire)

    def ResumeJob(self, request: job_service_pb2.ResumeJobRequest, context: Context) -> Any:
        job = self._job(request.name, context)
        self.change(lambda: job.move(job_pb2.JOB_STATUS_QUEUED))
        return job_service_pb2.ResumeJobResponse(job=job.wire)

    def ProvideJobInput(
        self, request: job_service_pb2.ProvideJobInputRequest, context: Context
    ) -> Any:
        job = self._job(request.name, context)
        job.wire.ClearField("pending_input")
        self.change(lambda: job.move(job_pb2.JOB_STATUS_QUEUED))
        return job_service_pb2.ProvideJobInputResponse(job=job.wire)

    def RetryJob(self, request: job_service_pb2.RetryJobRequest, context: Context) -> Any:
        job = new_job(f"job-{len(self.jobs) + 1}")
        job.wire.origin_job = request.name
        self.add(job)
        return job_service_pb2.RetryJobResponse(job=job.wire)

    def ListJobEvents(self, request: job_service_pb2.ListJobEventsRequest, context: Context) -> Any:
        job = self._job(request.name, context)
        start = int(request.page_token or request.after_sequence)
        rest = [event for event in job.events if event.sequence > start]
        page = rest[: min(request.page_size, 3 if len(rest) < 100 else 500)]
        more = len(rest) > len(page)
        return job_service_pb2.ListJobEventsResponse(
            events=page, next_page_token=str(page[-1].sequence) if more else ""
        )

    def WatchJob(
        self, request: job_service_pb2.WatchJobRequest, context: Context
    ) -> Iterator[Frame]:
        job = self._job(request.name, context)
        if self.frames:
            yield from self.frames.pop(0)
            return
        if self.silent:
            self.silent = False
            self._wait_for(lambda: not context.is_active(), 30)
            return
        yield from self._watch(job, request, context)

    def _watch(
        self, job: FakeJob, request: job_service_pb2.WatchJobRequest, context: Context
    ) -> Iterator[Frame]:
        cursor = request.after_sequence
        if not request.HasField("after_sequence"):
            cursor = job.wire.sequence
            yield Frame(cursor=cursor, snapshot=Frame.Snapshot(job=job.wire))
        place = next(
            (at for at, event in enumerate(job.events) if event.sequence > cursor),
            len(job.events),
        )
        beat_s = request.heartbeat_interval.ToTimedelta().total_seconds() or 15
        while context.is_active():
            while place < len(job.events):
                event = job.events[place]
                place += 1
                cursor = max(cursor, event.sequence)
                if wanted(event, request):
                    yield Frame(cursor=cursor, events=Frame.Events(events=[event]))
            if job.finished:
                end = Frame.End(reason=Frame.End.REASON_FINISHED, job=job.wire)
                yield Frame(cursor=cursor, end=end)
                return
            if not self._wait_for(partial(moved_on, job, place, context), beat_s):
                yield Frame(cursor=cursor, heartbeat=Frame.Heartbeat(status=job.wire.status))

    def _wait_for(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: ready() or self._closed, timeout_s)

    def ListKinds(self, request: Any, context: Context) -> Any:
        return kind_service_pb2.ListKindsResponse(kinds=self.kinds)

    def GetKind(self, request: kind_service_pb2.GetKindRequest, context: Context) -> Any:
        for kind in self.kinds:
            if kind.name == request.name:
                return kind_service_pb2.GetKindResponse(kind=kind)
        context.abort_with_status(
            rich_status("NOT_FOUND", "NOT_FOUND", f"{request.name} does not exist")
        )
        return None

    def ListArtifacts(
        self, request: artifact_service_pb2.ListArtifactsRequest, context: Context
    ) -> Any:
        found = [wire for wire, _ in self._job(request.parent, context).artifacts.values()]
        return artifact_service_pb2.ListArtifactsResponse(artifacts=found)

    def GetArtifact(
        self, request: artifact_service_pb2.GetArtifactRequest, context: Context
    ) -> Any:
        wire, _ = self._artifact(request.name, context)
        return artifact_service_pb2.GetArtifactResponse(artifact=wire)

    def ReadArtifact(
        self, request: artifact_service_pb2.ReadArtifactRequest, context: Context
    ) -> Iterator[Any]:
        wire, content = self._artifact(request.name, context)
        first: artifact_pb2.Artifact | None = wire
        for at in range(request.offset, max(len(content), request.offset + 1), 4):
            chunk = content[at : at + 4]
            yield artifact_service_pb2.ReadArtifactResponse(
                artifact=first, offset=at, data=chunk, end=at + 4 >= len(content)
            )
            first = None

    def _artifact(self, name: str, context: Context) -> tuple[artifact_pb2.Artifact, bytes]:
        parent, _, artifact = name.partition("/artifacts/")
        found = self._job(parent, context).artifacts.get(artifact)
        if found is None:
            context.abort_with_status(
                rich_status("NOT_FOUND", "ARTIFACT_NOT_FOUND", f"{name} does not exist")
            )
            raise AssertionError
        return found


def moved_on(job: FakeJob, place: int, context: Context) -> bool:
    """Whether there is more to tell, or nobody to tell it to."""
    return len(job.events) > place or not context.is_active()


def give_artifact(job: FakeJob, artifact_id: str, content: bytes) -> None:
    """Let the job have an artifact."""
    wire = artifact_pb2.Artifact(
        name=f"{job.wire.name}/artifacts/{artifact_id}",
        artifact_id=artifact_id,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        media_type="text/plain",
    )
    job.artifacts[artifact_id] = (wire, content)


def wanted(event: event_pb2.JobEvent, request: job_service_pb2.WatchJobRequest) -> bool:
    """Whether a filter of the request lets the event through."""
    name = event.WhichOneof("payload")
    if name == "finished":
        return True
    if request.durable_only and event.sequence == 0:
        return False
    return not request.event_types or name in request.event_types
