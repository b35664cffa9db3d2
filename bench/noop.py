"""No-op jobs, as they are asked of a server under measurement."""

import uuid

from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs

_FAR_AWAY = 4_000_000_000


def submission(
    *, start_late: bool = False, isolation: int = probe_pb2.ProbeSpec.ISOLATION_THREAD
) -> wire.SubmitJobRequest:
    """A submit with a key; one that starts late measures the submit and nothing else."""
    request = wire.SubmitJobRequest(project="bench", idempotency_key=uuid.uuid4().hex)
    request.spec.probe.isolation = isolation  # type: ignore[assignment]  # a plain number of the enum
    if start_late:
        request.spec.policy.start_time.seconds = _FAR_AWAY
    return request


async def whole_job(jobs: stubs.JobServiceStub) -> None:
    """Submit a no-op and watch it to its terminal event."""
    made = await jobs.SubmitJob(submission())
    request = wire.WatchJobRequest(name=made.job.name, after_sequence=1, durable_only=True)
    async for frame in jobs.WatchJob(request):
        if frame.WhichOneof("frame") == "end":
            return
