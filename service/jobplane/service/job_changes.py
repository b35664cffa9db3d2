"""JobService, the methods that change what a job says of itself, or make one of another."""

from jobplane.service.convert.job import job_to_wire
from jobplane.service.names import split_job_name
from jobplane.service.port import ChangePort
from jobplane.service.rpc.call import Call
from jobplane.service.update import update_job
from jobplane.v1 import job_service_pb2 as wire


class JobChanges:
    """Updates, retries and deletes jobs."""

    def __init__(self, engine: ChangePort) -> None:
        self._engine = engine

    async def UpdateJob(self, request: wire.UpdateJobRequest, call: Call) -> wire.UpdateJobResponse:
        """Change priority, queue or labels."""
        job = await update_job(self._engine, request, call.principal.name)
        return wire.UpdateJobResponse(job=job_to_wire(job))

    async def RetryJob(self, request: wire.RetryJobRequest, call: Call) -> wire.RetryJobResponse:
        """Submit a new job from a finished one."""
        accepted = await self._engine.retry(
            *split_job_name(request.name),
            from_checkpoint=request.from_checkpoint,
            idempotency_key=request.idempotency_key,
            creator=call.principal.name,
        )
        return wire.RetryJobResponse(job=job_to_wire(accepted.job))

    async def DeleteJob(self, request: wire.DeleteJobRequest, call: Call) -> wire.DeleteJobResponse:
        """Purge a finished job."""
        del call
        await self._engine.delete(*split_job_name(request.name), etag=request.etag)
        return wire.DeleteJobResponse()
