"""What durability costs: submits and whole jobs against the bare RPC ceiling, in one run.

Three rounds, both sides alternating, medians; every figure is a ratio of two that were
taken in the same round by the same client process. The ceilings are the bare RPC, and the
same server on a disk that takes 2 ms longer for each sync. Run it with `make bench`.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time

import grpc

from bench.noop import submission, whole_job
from bench.rate import rate
from bench.record import keep, missed
from bench.servers import bare_server, plane
from bench.slow_disk import slow_disk
from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs

SLOW_MS = 2.0
# Time in which a spare child does its imports.
REST_S = 0.5
# Figure: what it is held against, and whether more or less is better.
TARGETS = {
    "submit_64": (">=", 0.40, "durable submits, 64 in flight, over bare unary"),
    "submit_1": (">=", 0.35, "durable submits, one at a time, over bare unary"),
    "whole_64": (">=", 0.25, "no-op jobs to the terminal event, 64 outstanding, over bare unary"),
    "whole_1": ("<=", 8.0, "one no-op job to its terminal event, in bare p50s"),
    "slow_64": (">=", 0.8, "durable submits, 64 in flight, each sync 2 ms slower, over the same"),
    "isolated_start_ms": ("<=", 50.0, "isolated no-op with warm imports, submit to first word p50"),
}


def main() -> int:
    """Measure, print a table, write JSON and a plot; 1 when a target is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3.0)
    arguments = options.parse_args()
    seconds = arguments.seconds
    with (
        tempfile.TemporaryDirectory() as fast,
        tempfile.TemporaryDirectory() as slow,
        bare_server() as bare,
        plane(fast) as ours,
        plane(slow, slow_disk(slow, SLOW_MS)) as slowed,
    ):
        rounds = [
            asyncio.run(one_round(bare, ours, slowed, seconds)) for _ in range(arguments.rounds)
        ]
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return report(figures, rounds)


async def one_round(bare: str, ours: str, slowed: str, seconds: float) -> dict[str, float]:
    """All figures, each pair taken side by side."""
    figures: dict[str, float] = {}
    async with (
        grpc.aio.insecure_channel(bare) as ceiling,
        grpc.aio.insecure_channel(ours) as door,
        grpc.aio.insecure_channel(slowed) as slow_door,
    ):
        empty, jobs, slow_jobs = map(stubs.JobServiceStub, (ceiling, door, slow_door))
        for width in (64, 1):
            pings = await rate(lambda: empty.SubmitJob(submission(start_late=True)), width, seconds)
            kept = await rate(lambda: jobs.SubmitJob(submission(start_late=True)), width, seconds)
            slow = await rate(
                lambda: slow_jobs.SubmitJob(submission(start_late=True)), width, seconds
            )
            figures[f"bare_{width}_per_s"] = pings.per_s
            figures[f"submit_{width}_per_s"] = kept.per_s
            figures[f"submit_{width}"] = kept.per_s / pings.per_s
            figures[f"slow_submit_{width}_per_s"] = slow.per_s
            whole = await rate(lambda: whole_job(jobs), width, seconds)
            figures[f"whole_{width}_per_s"] = whole.per_s
            if width == 1:
                figures["whole_1"] = whole.p50_s / pings.p50_s
                assert slow.p50_s * 1000 > SLOW_MS, "the slowed disk is not slow"
            else:
                figures["whole_64"] = whole.per_s / pings.per_s
                figures["slow_64"] = slow.per_s / kept.per_s
        figures["isolated_start_ms"] = await isolated_start_ms(jobs, rest_s=REST_S)
        figures["isolated_again_ms"] = await isolated_start_ms(jobs, rest_s=0)
    return figures


async def isolated_start_ms(jobs: stubs.JobServiceStub, *, rest_s: float, count: int = 12) -> float:
    """From submit to the first word of the attempt's child, one job at a time with rests."""
    spans: list[float] = []
    # The first job of a kind has no spare child yet.
    for _ in range(count + 1):
        await asyncio.sleep(rest_s)
        request = submission(isolation=probe_pb2.ProbeSpec.ISOLATION_PROCESS)
        began = time.perf_counter()
        made = await jobs.SubmitJob(request)
        watch = wire.WatchJobRequest(name=made.job.name, after_sequence=1)
        async for frame in jobs.WatchJob(watch):
            if any(event.HasField("progress") for event in frame.events.events):
                spans.append((time.perf_counter() - began) * 1000)
                break
        await jobs.WaitJob(wire.WaitJobRequest(name=made.job.name))
    return statistics.median(spans[1:])


def report(figures: dict[str, float], rounds: list[dict[str, float]]) -> int:
    """Print and write what was measured."""
    short = missed(TARGETS, figures)
    rates = {name: value for name, value in figures.items() if name.endswith("_per_s")}
    for name, value in sorted(rates.items()):
        print(f"     {name:<70} {value:8.0f}")
    again = "isolated no-ops one upon the other, so that imports are waited for"
    print(f"     {again:<70} {figures['isolated_again_ms']:8.2f}")
    result = {"medians": figures, "rounds": rounds, "targets": TARGETS}
    keep("plane", result, "Calls and jobs in a second", rates)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
