"""Quotas of projects, and the state of queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.field_mask_pb2 import FieldMask

from jobplane.client._caller import AsyncCaller, Caller
from jobplane.client._page import PAGE_SIZE
from jobplane.client._requests import invalid
from jobplane.v1 import quota_service_pb2 as wire
from jobplane.v1 import quota_service_pb2_grpc as grpc_wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

STATE = "QUEUE_STATE_"
STATES = tuple(
    str(value.name).removeprefix(STATE).lower()
    for value in wire.QueueState.DESCRIPTOR.values
    if value.number
)


def _update(
    limits: Mapping[str, float | None], *, project: str, etag: str
) -> wire.UpdateQuotaRequest:
    """Request that changes the named limits alone; None takes a limit away."""
    quota = wire.Quota(
        name=f"projects/{project}/quota",
        limits={metric: limit for metric, limit in limits.items() if limit is not None},
        etag=etag,
    )
    mask = FieldMask(paths=[f"limits.{metric}" for metric in limits])
    return wire.UpdateQuotaRequest(quota=quota, update_mask=mask)


def _set_state(queue: str, state: str, reason: str) -> wire.SetQueueStateRequest:
    if state.lower() not in STATES:
        raise invalid("state", f"{state!r} is none of {', '.join(STATES)}")
    return wire.SetQueueStateRequest(
        name=f"queues/{queue.removeprefix('queues/')}",
        state=wire.QueueState.Value(STATE + state.upper()),
        reason=reason,
    )


class Quotas(Caller):
    """Calls of a client about quotas and queues."""

    def quota(self, *, project: str = "") -> wire.Quota:
        """Limits of a project, and how much of them is used."""
        request = wire.GetQuotaRequest(name=f"projects/{project or self.project}/quota")
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return self._call(stub.GetQuota, request).quota

    def update_quota(
        self, limits: Mapping[str, float | None], *, project: str = "", etag: str = ""
    ) -> wire.Quota:
        """Quota with these limits changed by metric; None takes a limit away."""
        request = _update(limits, project=project or self.project, etag=etag)
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return self._call(stub.UpdateQuota, request).quota

    def queues(self) -> Iterator[wire.Queue]:
        """Queues of the server by name, with what waits in them."""
        stub = grpc_wire.QuotaServiceStub(self.channel)
        request = wire.ListQueuesRequest(page_size=PAGE_SIZE)
        while True:
            page = self._call(stub.ListQueues, request)
            yield from page.queues
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def set_queue_state(self, queue: str, state: str, *, reason: str = "") -> wire.Queue:
        """Queue, now "open", "cordoned" (starts nothing) or "closed" (takes nothing)."""
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return self._call(stub.SetQueueState, _set_state(queue, state, reason)).queue


class AsyncQuotas(AsyncCaller):
    """Calls of an asynchronous client about quotas and queues."""

    async def quota(self, *, project: str = "") -> wire.Quota:
        """Limits of a project, and how much of them is used."""
        request = wire.GetQuotaRequest(name=f"projects/{project or self.project}/quota")
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return (await self._call(stub.GetQuota, request)).quota

    async def update_quota(
        self, limits: Mapping[str, float | None], *, project: str = "", etag: str = ""
    ) -> wire.Quota:
        """Quota with these limits changed by metric; None takes a limit away."""
        request = _update(limits, project=project or self.project, etag=etag)
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return (await self._call(stub.UpdateQuota, request)).quota

    async def queues(self) -> AsyncIterator[wire.Queue]:
        """Queues of the server by name, with what waits in them."""
        stub = grpc_wire.QuotaServiceStub(self.channel)
        request = wire.ListQueuesRequest(page_size=PAGE_SIZE)
        while True:
            page = await self._call(stub.ListQueues, request)
            for queue in page.queues:
                yield queue
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def set_queue_state(self, queue: str, state: str, *, reason: str = "") -> wire.Queue:
        """Queue, now "open", "cordoned" (starts nothing) or "closed" (takes nothing)."""
        stub = grpc_wire.QuotaServiceStub(self.channel)
        return (await self._call(stub.SetQueueState, _set_state(queue, state, reason))).queue
