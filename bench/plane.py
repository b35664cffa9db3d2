"""What durability costs: submits and whole jobs against the bare RPC ceiling, in one run.

Three rounds, both sides alternating, medians; every figure is a ratio of two that were
taken in the same round by the same client process. Run it with `make bench`.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from bench.plot import bars
from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs

RESULTS = Path(__file__).parent / "results"
FAR_AWAY = 4_000_000_000
# Figure: what it is held against, and whether more or less is better.
TARGETS = {
    "submit_64": (">=", 0.40, "durable submits, 64 in flight, over bare unary"),
    "submit_1": (">=", 0.35, "durable submits, one at a time, over bare unary"),
    "whole_64": (">=", 0.25, "no-op jobs to the terminal event, 64 outstanding, over bare unary"),
    "whole_1": ("<=", 8.0, "one no-op job to its terminal event, in bare p50s"),
    "isolated_start_ms": ("<=", 50.0, "isolated no-op with warm imports, submit to RUNNING p50"),
}


def main() -> int:
    """Measure, print a table, write JSON and a plot; 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3.0)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, bare_server() as bare, plane(folder) as ours:
        rounds = [
            asyncio.run(one_round(bare, ours, arguments.seconds)) for _ in range(arguments.rounds)
        ]
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return report(figures, rounds)


async def one_round(bare: str, ours: str, seconds: float) -> dict[str, float]:
    """All figures, each pair taken side by side."""
    figures: dict[str, float] = {}
    async with grpc.aio.insecure_channel(bare) as ceiling, grpc.aio.insecure_channel(ours) as door:
        empty, jobs = stubs.JobServiceStub(ceiling), stubs.JobServiceStub(door)
        for width in (64, 1):
            pings = await rate(lambda: empty.SubmitJob(submission(start_late=True)), width, seconds)
            kept = await rate(lambda: jobs.SubmitJob(submission(start_late=True)), width, seconds)
            figures[f"bare_{width}_per_s"] = pings.per_s
            figures[f"submit_{width}_per_s"] = kept.per_s
            figures[f"submit_{width}"] = kept.per_s / pings.per_s
            whole = await rate(lambda: whole_job(jobs), width, seconds)
            figures[f"whole_{width}_per_s"] = whole.per_s
            if width == 1:
                figures["whole_1"] = whole.p50_s / pings.p50_s
            else:
                figures["whole_64"] = whole.per_s / pings.per_s
        figures["isolated_start_ms"] = await isolated_start_ms(jobs)
    return figures


class Rate:
    """Calls in a second, and how long one took."""

    def __init__(self, spans_s: list[float], wall_s: float) -> None:
        self.per_s = len(spans_s) / wall_s
        self.p50_s = statistics.median(spans_s)


async def rate(call: Callable[[], Awaitable[object]], width: int, seconds: float) -> Rate:
    """Call from `width` places at once for a while."""
    spans: list[float] = []
    ends_at = time.perf_counter() + seconds

    async def place() -> None:
        while (began := time.perf_counter()) < ends_at:
            await call()
            spans.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(place() for _ in range(width)))
    return Rate(spans, time.perf_counter() - began)


def submission(
    *, start_late: bool = False, isolation: int = probe_pb2.ProbeSpec.ISOLATION_THREAD
) -> wire.SubmitJobRequest:
    """A submit with a key; one that starts late measures the submit and nothing else."""
    request = wire.SubmitJobRequest(project="bench", idempotency_key=uuid.uuid4().hex)
    request.spec.probe.isolation = isolation  # type: ignore[assignment]  # a plain number of the enum
    if start_late:
        request.spec.policy.start_time.seconds = FAR_AWAY
    return request


async def whole_job(jobs: stubs.JobServiceStub) -> None:
    """Submit a no-op and watch it to its terminal event."""
    made = await jobs.SubmitJob(submission())
    request = wire.WatchJobRequest(name=made.job.name, after_sequence=1, durable_only=True)
    async for frame in jobs.WatchJob(request):
        if frame.WhichOneof("frame") == "end":
            return


async def isolated_start_ms(jobs: stubs.JobServiceStub, count: int = 20) -> float:
    """From submit to the start of the attempt in a warm child, one job at a time."""
    spans: list[float] = []
    for _ in range(count):
        request = submission(isolation=probe_pb2.ProbeSpec.ISOLATION_PROCESS)
        began = time.perf_counter()
        made = await jobs.SubmitJob(request)
        watch = wire.WatchJobRequest(name=made.job.name, after_sequence=1)
        async for frame in jobs.WatchJob(watch):
            # The first progress is the child's own word that it runs.
            if (
                any(event.HasField("progress") for event in frame.events.events)
                and len(spans) < count
            ):
                spans.append((time.perf_counter() - began) * 1000)
                break
        await jobs.WaitJob(wire.WaitJobRequest(name=made.job.name))
    return statistics.median(spans)


@contextmanager
def bare_server() -> Iterator[str]:
    """The ceiling: the same messages over grpc.aio, and nothing behind it."""
    with process([sys.executable, "-m", "bench.plane", "--serve-bare"], {}) as server:
        yield server


@contextmanager
def plane(folder: str) -> Iterator[str]:
    """The real server, quiet, on a fresh folder."""
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    with process([*command, "--data", folder, "--log-level", "WARNING"], {}) as server:
        yield server


@contextmanager
def process(command: list[str], environment: dict[str, str]) -> Iterator[str]:
    """A server that says its address in its first line."""
    with subprocess.Popen(  # noqa: S603  our own interpreter and words
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield line.split("grpc=")[1].split()[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


class Bare(stubs.JobServiceServicer):
    """Answers at once."""

    async def SubmitJob(self, request: object, context: object) -> wire.SubmitJobResponse:  # noqa: N802, ARG002
        """An empty answer."""
        return wire.SubmitJobResponse()


async def serve_bare() -> None:
    """Serve the ceiling until the process is ended."""
    server = grpc.aio.server()
    stubs.add_JobServiceServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"bare grpc=127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


def report(figures: dict[str, float], rounds: list[dict[str, float]]) -> int:
    """Print and write what was measured."""
    missed = 0
    for name, (sense, bound, text) in TARGETS.items():
        value = figures[name]
        met = value >= bound if sense == ">=" else value <= bound
        missed += not met
        print(f"{'ok  ' if met else 'MISS'} {text:<70} {value:8.2f}  ({sense} {bound:g})")
    for name in sorted(figures):
        if name.endswith("_per_s"):
            print(f"     {name:<70} {figures[name]:8.0f}")
    RESULTS.mkdir(exist_ok=True)
    result = {"medians": figures, "rounds": rounds, "targets": TARGETS}
    (RESULTS / "plane.json").write_text(json.dumps(result, indent=2) + "\n")
    rates = {name: value for name, value in figures.items() if name.endswith("_per_s")}
    (RESULTS / "plane.svg").write_text(bars("Calls and jobs in a second", rates))
    return 1 if missed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve-bare"]:
        asyncio.run(serve_bare())
    sys.exit(main())
