"""What can be asked of quotas and queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client._page import Listing
from jobplane.client._requests import chosen
from jobplane.client._talk import Talk, ask
from jobplane.v1 import quota_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE = "QUEUE_STATE_"
STATES: Mapping[str, wire.QueueState.ValueType] = {
    name.removeprefix(STATE).lower(): number for name, number in wire.QueueState.items() if number
}


def get(*, project: str) -> Talk[wire.Quota]:
    """Limits and usage of a project."""
    request = wire.GetQuotaRequest(name=f"projects/{project}/quota")
    return (yield from ask(request, wire.GetQuotaResponse)).quota


def update(limits: Mapping[str, float | None], *, project: str, etag: str) -> Talk[wire.Quota]:
    """Quota with these limits changed and no others; None removes a limit."""
    quota = wire.Quota(
        name=f"projects/{project}/quota",
        limits={metric: limit for metric, limit in limits.items() if limit is not None},
        etag=etag,
    )
    request = wire.UpdateQuotaRequest(quota=quota)
    request.update_mask.paths.extend(f"limits.{metric}" for metric in limits)
    return (yield from ask(request, wire.UpdateQuotaResponse)).quota


def queues() -> Listing[wire.Queue]:
    """Queues with their state and depth, by name."""
    return Listing(wire.ListQueuesRequest(), lambda page: page.queues)


def set_queue_state(queue: str, state: str, *, reason: str) -> Talk[wire.Queue]:
    """Queue in another state."""
    request = wire.SetQueueStateRequest(
        name=f"queues/{queue.removeprefix('queues/')}",
        state=chosen("state", state, STATES),
        reason=reason,
    )
    return (yield from ask(request, wire.SetQueueStateResponse)).queue
