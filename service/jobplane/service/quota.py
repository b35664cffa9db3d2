"""QuotaService: limits and usage of projects, and what queues do with jobs."""

from datetime import datetime

from google.protobuf.field_mask_pb2 import FieldMask

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.scheduler.quota import Quota
from jobplane.engine.store.queues import Queue, QueueState
from jobplane.service.convert.scalar import EnumMap, timestamp_to_wire
from jobplane.service.names import split_queue_name, split_quota_name
from jobplane.service.port import PlanningPort
from jobplane.service.rpc.call import Call
from jobplane.v1 import quota_service_pb2 as wire

_STATES = EnumMap(wire.QueueState, QueueState, "QUEUE_STATE_")
_LIMITS = "limits"


class QuotaService:
    """Reads and sets quotas and queues."""

    def __init__(self, planning: PlanningPort) -> None:
        self._planning = planning

    async def GetQuota(self, request: wire.GetQuotaRequest, call: Call) -> wire.GetQuotaResponse:
        """Read limits and usage."""
        del call
        quota = await self._planning.get_quota(split_quota_name(request.name))
        return wire.GetQuotaResponse(quota=quota_to_wire(quota))

    async def UpdateQuota(
        self, request: wire.UpdateQuotaRequest, call: Call
    ) -> wire.UpdateQuotaResponse:
        """Change limits."""
        del call
        quota = await self._planning.update_quota(
            split_quota_name(request.quota.name, "quota.name"),
            limits=dict(request.quota.limits),
            metrics=_metrics(request.update_mask),
            etag=request.quota.etag,
        )
        return wire.UpdateQuotaResponse(quota=quota_to_wire(quota))

    async def ListQueues(
        self, request: wire.ListQueuesRequest, call: Call
    ) -> wire.ListQueuesResponse:
        """Page through queues."""
        del call
        page = await self._planning.list_queues(
            page_size=request.page_size, page_token=request.page_token
        )
        now = self._planning.now()
        queues = [queue_to_wire(queue, now) for queue in page.items]
        return wire.ListQueuesResponse(queues=queues, next_page_token=page.next_page_token)

    async def SetQueueState(
        self, request: wire.SetQueueStateRequest, call: Call
    ) -> wire.SetQueueStateResponse:
        """Open, cordon or close a queue."""
        queue = await self._planning.set_queue_state(
            split_queue_name(request.name),
            _STATES.from_wire(request.state, QueueState.OPEN),
            reason=request.reason,
            updater=call.principal.name,
        )
        return wire.SetQueueStateResponse(queue=queue_to_wire(queue, self._planning.now()))


def quota_to_wire(quota: Quota) -> wire.Quota:
    """Give the quota as it goes out."""
    return wire.Quota(
        name=quota.name,
        limits=dict(quota.limits),
        usage=dict(quota.usage),
        reset_time=timestamp_to_wire(quota.reset_at),
        etag=quota.etag,
    )


def queue_to_wire(queue: Queue, now: datetime) -> wire.Queue:
    """Give the queue as it goes out."""
    since = queue.oldest_since
    wait_s = 0.0 if since is None else max((now - since).total_seconds(), 0.0)
    return wire.Queue(
        name=f"queues/{queue.name}",
        state=_STATES.to_wire(queue.state),
        queued=queue.queued,
        active=queue.active,
        oldest_wait_seconds=wait_s,
    )


def _metrics(mask: FieldMask) -> frozenset[str] | None:
    """Give the metrics that a mask names; None for all of them."""
    if _LIMITS in mask.paths:
        return None
    prefix = f"{_LIMITS}."
    violations = [
        Violation(f"update_mask.paths[{index}]", f"{path!r} can't be updated")
        for index, path in enumerate(mask.paths)
        if not path.startswith(prefix)
    ]
    if not mask.paths:
        violations = [Violation("update_mask", "must name limits or limits.METRIC")]
    if violations:
        raise InvalidSpecError(violations)
    return frozenset(path.removeprefix(prefix) for path in mask.paths)
