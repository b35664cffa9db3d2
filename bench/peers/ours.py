"""Jobplane itself: the server on a SQLite file, no-op probes in its thread pool."""

import asyncio
import tempfile

import grpc

from bench.noop import submission, whole_job
from bench.peers.figures import WIDTH, Figures, tell
from bench.rate import rate
from bench.servers import plane
from jobplane.v1 import job_service_pb2_grpc as stubs


def measure(seconds: float) -> list[Figures]:
    """Measure a server on a fresh folder."""
    with tempfile.TemporaryDirectory() as folder, plane(folder) as address:
        return [asyncio.run(_measured(address, seconds))]


async def _measured(address: str, seconds: float) -> Figures:
    async with grpc.aio.insecure_channel(address) as channel:
        jobs = stubs.JobServiceStub(channel)
        await whole_job(jobs)
        submits = await rate(lambda: jobs.SubmitJob(submission(start_late=True)), WIDTH, seconds)
        whole = await rate(lambda: whole_job(jobs), WIDTH, seconds)
        single = await rate(lambda: whole_job(jobs), 1, seconds)
    return Figures(
        system="Jobplane",
        durability="SQLite, WAL, synchronous=FULL: an ack is fsynced, in groups; so is every move",
        submit_64_per_s=submits.per_s,
        whole_64_per_s=whole.per_s,
        whole_1_p50_ms=single.p50_s * 1000,
    )


if __name__ == "__main__":
    tell(measure)
