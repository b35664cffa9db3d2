"""Changes to what a job says of itself, and the end of its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from google.protobuf.field_mask_pb2 import FieldMask

from jobplane.client._aio_job import AsyncJob
from jobplane.client._caller import AsyncCaller, Caller
from jobplane.client._job import Job
from jobplane.client._requests import invalid, job_name
from jobplane.client._view import JobView
from jobplane.v1 import job_pb2, job_service_pb2
from jobplane.v1 import job_service_pb2_grpc as grpc_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobplane.client._aio import AsyncClient
    from jobplane.client._client import Client


def _update(
    name: str,
    *,
    priority: int | None,
    queue: str,
    labels: Mapping[str, str | None] | None,
    etag: str,
) -> job_service_pb2.UpdateJobRequest:
    """Request that changes what is said and nothing else; a label of None is taken away."""
    said = labels or {}
    kept = {key: value for key, value in said.items() if value is not None}
    job = job_pb2.Job(name=name, queue=queue, labels=kept, etag=etag)
    paths = [f"labels.{key}" for key in said]
    if priority is not None:
        job.priority = priority
        paths.append("priority")
    paths += ["queue"] if queue else []
    if not paths:
        raise invalid("update_mask", "nothing to change: give priority, queue or labels")
    return job_service_pb2.UpdateJobRequest(job=job, update_mask=FieldMask(paths=paths))


class Updates(Caller):
    """Calls of a client that change or delete a job's record."""

    def update(
        self,
        job: str | JobView,
        *,
        priority: int | None = None,
        queue: str = "",
        labels: Mapping[str, str | None] | None = None,
        etag: str = "",
    ) -> Job:
        """Job with another priority, queue or labels; a label of None is taken away."""
        name = _name(job, self.project)
        request = _update(name, priority=priority, queue=queue, labels=labels, etag=etag)
        stub = grpc_wire.JobServiceStub(self.channel)
        return Job(cast("Client", self), self._call(stub.UpdateJob, request).job)

    def delete(self, job: str | JobView, *, etag: str = "") -> None:
        """Remove a finished job with its events and artifacts."""
        request = job_service_pb2.DeleteJobRequest(name=_name(job, self.project), etag=etag)
        self._call(grpc_wire.JobServiceStub(self.channel).DeleteJob, request)


class AsyncUpdates(AsyncCaller):
    """Calls of an asynchronous client that change or delete a job's record."""

    async def update(
        self,
        job: str | JobView,
        *,
        priority: int | None = None,
        queue: str = "",
        labels: Mapping[str, str | None] | None = None,
        etag: str = "",
    ) -> AsyncJob:
        """Job with another priority, queue or labels; a label of None is taken away."""
        name = _name(job, self.project)
        request = _update(name, priority=priority, queue=queue, labels=labels, etag=etag)
        stub = grpc_wire.JobServiceStub(self.channel)
        response = await self._call(stub.UpdateJob, request)
        return AsyncJob(cast("AsyncClient", self), response.job)

    async def delete(self, job: str | JobView, *, etag: str = "") -> None:
        """Remove a finished job with its events and artifacts."""
        request = job_service_pb2.DeleteJobRequest(name=_name(job, self.project), etag=etag)
        await self._call(grpc_wire.JobServiceStub(self.channel).DeleteJob, request)


def _name(job: str | JobView, project: str) -> str:
    return job.name if isinstance(job, JobView) else job_name(job, project)
