"""The room that all clients of a run share: the channel, the clock, the history."""

import asyncio
import random
import time
from collections.abc import Awaitable, Coroutine
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from jobplane.v1 import (
    artifact_service_pb2_grpc,
    job_pb2,
    job_service_pb2_grpc,
    schedule_service_pb2_grpc,
)
from jobplane.v1.job_pb2 import JobStatus
from tests.robust.history import History, Operation
from tests.robust.record import PROJECT

CALL_TIMEOUT_S = 5.0
# Codes after which nobody knows whether the call was done.
UNKNOWN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})
# What grpc's own client says when the connection breaks under a message it is sending.
# The server has said nothing then: an answer of ours carries trailers, a bug of ours a reason.
CUT_WHILE_SENDING = "Internal error from Core"
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 60),
    ("grpc.use_local_subchannel_pool", 1),
)


def job_name(job_id: str) -> str:
    """Resource name of a job of the run."""
    return f"projects/{PROJECT}/jobs/{job_id}"


def status_name(number: int) -> str:
    """Name of a status, as the record writes it."""
    return JobStatus.Name(number).removeprefix("JOB_STATUS_")  # any number


class Room:
    """What clients share."""

    def __init__(self, *, port: int, seed: int, history: History, began: float) -> None:
        self.history = history
        self.rng = random.Random(seed)
        self._began = began
        self._address = f"127.0.0.1:{port}"
        self._channels = [self._channel() for _ in range(5)]
        self.jobs = job_service_pb2_grpc.JobServiceStub(self._channels[0])
        self.artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(self._channels[0])
        self.schedules = schedule_service_pb2_grpc.ScheduleServiceStub(self._channels[0])
        self._tasks: set[asyncio.Task[None]] = set()
        # Load: new jobs, cancels and pauses. It stops when the drain begins.
        self.is_loading = True
        self.is_open = True
        # By job id, the shape of each job that was acknowledged.
        self.shapes: dict[str, str] = {}
        # Digests of what was uploaded, for jobs to have as their input.
        self.uploads: list[str] = []
        # Jobs that a client is about to delete.
        self.doomed: set[str] = set()
        self.paused: set[str] = set()
        self.processes_per_s = 0.0
        self.cancels = 0.0
        self.depends = 0.0
        self.only: frozenset[str] = frozenset()
        self.trouble: list[BaseException] = []

    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)

    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def watch_stub(self, number: int) -> Any:
        """A stub for streams; they share connections of their own."""
        channels = self._channels[1:]
        return job_service_pb2_grpc.JobServiceStub(channels[number % len(channels)])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a client work beside the others."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.trouble.append(error)

    @property
    def is_busy(self) -> bool:
        """Whether clients are still at work."""
        return bool(self._tasks)

    async def pause(self, low_s: float, high_s: float) -> None:
        """Wait for a random time."""
        await asyncio.sleep(self.rng.uniform(low_s, high_s))

    async def close(self) -> None:
        """End every client."""
        self.is_loading = self.is_open = False
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    async def call(
        self, method: Any, request: Any, *, verb: str, **facts: Any
    ) -> tuple[Any, Operation]:
        """Make a call and write down what came of it; the response is None unless it is OK."""
        operation = Operation(len(self.history.operations), verb, self.now(), **facts)
        self.history.operations.append(operation)
        response = None
        try:
            response = await _answer(method(request, timeout=CALL_TIMEOUT_S))
            operation.outcome = "ok"
            if getattr(response, "job", None) is not None:
                note_job(operation, response.job)
            operation.deduplicated = getattr(response, "deduplicated", False)
        except grpc.aio.AioRpcError as error:
            note_error(operation, error)
        operation.end = self.now()
        return response, operation

    async def insist(self, method: Any, request: Any, *, verb: str, **facts: Any) -> Operation:
        """Repeat a call until its outcome is known, or the run is over."""
        while True:
            # A stream of requests is made anew for each call.
            sent = request() if callable(request) else request
            _, operation = await self.call(method, sent, verb=verb, **facts)
            if operation.outcome != "unknown" or not self.is_open:
                return operation
            await self.pause(0.01, 0.06)


async def _answer(call: Awaitable[Any]) -> Any:
    return await call


def note_job(operation: Operation, job: job_pb2.Job) -> None:
    """Write down the state that an answer showed."""
    operation.job_id = job.job_id
    operation.status = status_name(job.status)
    operation.sequence = job.sequence
    operation.done = job.done


def note_error(operation: Operation, error: grpc.aio.AioRpcError) -> None:
    """Write down how a call failed, and whether that is known to be the server's word."""
    info = error_info(error)
    code = error.code().name
    operation.detail = info.reason or code
    if code in UNKNOWN:
        operation.outcome = "unknown"
        operation.detail = f"{code} {info.reason}".strip()
    elif error.details() == CUT_WHILE_SENDING and not error.trailing_metadata():
        operation.outcome = "unknown"
        operation.detail = "cut while sending"
    else:
        operation.outcome = "refused"
        operation.job_id = operation.job_id or info.metadata.get("job_id", "")


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """ErrorInfo of an error; empty when it has none."""
    info = error_details_pb2.ErrorInfo()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value if isinstance(value, bytes) else b"")
            for detail in status.details:
                if detail.Unpack(info):
                    return info
    return info
