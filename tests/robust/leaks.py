"""What a server holds: memory, descriptors, threads and processes, before and after many jobs."""

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs

THREAD = probe_pb2.ProbeSpec.ISOLATION_THREAD
PROCESS = probe_pb2.ProbeSpec.ISOLATION_PROCESS
SETTLE_WITHIN_S = 30.0
LOOK_S = 0.1
RESTING_LOOKS = 10
# More than the slots, so that jobs wait, too.
OUTSTANDING = 32


@dataclass(frozen=True)
class Holdings:
    """What a server and its children hold at one moment."""

    resident_bytes: int
    descriptors: int
    threads: int
    processes: int

    @classmethod
    def of(cls, pid: int) -> "Holdings":
        server = psutil.Process(pid)
        with server.oneshot():
            return cls(
                resident_bytes=server.memory_info().rss,
                descriptors=server.num_fds(),
                threads=server.num_threads(),
                processes=len(server.children(recursive=True)),
            )

    def has_more_than(self, other: "Holdings") -> bool:
        """Memory left aside: it is given back late, and compared by its own bound."""
        mine = (self.descriptors, self.threads, self.processes)
        theirs = (other.descriptors, other.threads, other.processes)
        return any(one > another for one, another in zip(mine, theirs, strict=True))


@contextmanager
def serving(data: Path) -> Iterator[tuple[str, int]]:
    """A server of its own; gives its address and its process id."""
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    options = ["--data", str(data), "--log-level", "WARNING"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield line.split("grpc=")[1].split()[0], server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def run_jobs(address: str, *, isolated: int, threaded: int) -> None:
    """Run so many no-op jobs of each kind to their end; one that fails is an error."""
    asyncio.run(_run_jobs(address, [PROCESS] * isolated + [THREAD] * threaded))


async def _run_jobs(address: str, isolations: list[int]) -> None:
    waiting = iter(isolations)
    async with grpc.aio.insecure_channel(address) as channel:
        jobs = stubs.JobServiceStub(channel)

        async def place() -> None:
            for isolation in waiting:
                await _run_job(jobs, isolation)

        await asyncio.gather(*(place() for _ in range(OUTSTANDING)))


async def _run_job(jobs: stubs.JobServiceStub, isolation: int) -> None:
    request = wire.SubmitJobRequest(project="leaks", idempotency_key=uuid.uuid4().hex)
    request.spec.probe.isolation = isolation
    made = await jobs.SubmitJob(request)
    async for frame in jobs.WatchJob(wire.WatchJobRequest(name=made.job.name), timeout=300):
        if frame.WhichOneof("frame") == "end":
            break
    job = (await jobs.GetJob(wire.GetJobRequest(name=made.job.name))).job
    assert job.status == job_pb2.JOB_STATUS_SUCCEEDED, job


def at_rest(pid: int) -> Holdings:
    """The most that a server without work holds, once its processes have not changed a while."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    seen = [Holdings.of(pid)]
    while time.monotonic() < deadline and len(seen) < RESTING_LOOKS:
        time.sleep(LOOK_S)
        now = Holdings.of(pid)
        seen = [*seen, now] if now.processes == seen[-1].processes else [now]
    return Holdings(
        resident_bytes=max(one.resident_bytes for one in seen),
        descriptors=max(one.descriptors for one in seen),
        threads=max(one.threads for one in seen),
        processes=seen[-1].processes,
    )


def back_at(pid: int, before: Holdings) -> Holdings:
    """What a server holds once it holds no more than before, or when its time for that is over."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while (held := Holdings.of(pid)).has_more_than(before) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    return held
