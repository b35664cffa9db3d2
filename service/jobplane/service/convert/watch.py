"""What a watch or a wait asks for, with the defaults and bounds of the contract."""

from typing import TypedDict

from google.protobuf.duration_pb2 import Duration

from jobplane.engine.domain.errors import InvalidSpecError, Violation
from jobplane.engine.domain.event import PAYLOAD_TYPES
from jobplane.service.convert.scalar import duration_from_wire
from jobplane.v1 import job_service_pb2 as wire

DEFAULT_HEARTBEAT_S = 15.0
DEFAULT_WAIT_S = 30.0
MAX_SPAN_S = 60.0

_EVENT_TYPES = frozenset(PAYLOAD_TYPES) | {"progress"}


class WatchArguments(TypedDict):
    """Arguments of Engine.watch."""

    after_sequence: int | None
    heartbeat_s: float
    durable_only: bool
    event_types: frozenset[str]


class WaitArguments(TypedDict):
    """Arguments of Engine.wait."""

    after_sequence: int | None
    timeout_s: float


class WatchJobsArguments(TypedDict):
    """Arguments of Streams.watch_jobs, but for the project."""

    filter: str
    cursor: str
    heartbeat_s: float
    until_all_finished: bool


def watch_jobs_from_wire(request: wire.WatchJobsRequest) -> WatchJobsArguments:
    """Give the arguments of a watch of many jobs; raises InvalidSpecError."""
    heartbeat_s = DEFAULT_HEARTBEAT_S
    if request.HasField("heartbeat_interval"):
        heartbeat_s = duration_from_wire(request.heartbeat_interval)
        violations = _span("heartbeat_interval", request.heartbeat_interval, least=1.0)
        if violations:
            raise InvalidSpecError(violations)
    return WatchJobsArguments(
        filter=request.filter,
        cursor=request.cursor,
        heartbeat_s=heartbeat_s,
        until_all_finished=request.until_all_finished,
    )


def watch_from_wire(request: wire.WatchJobRequest) -> WatchArguments:
    """Give the arguments of a watch; raises InvalidSpecError."""
    violations = [
        Violation(f"event_types[{index}]", f"there is no event {name!r}; see JobEvent.payload")
        for index, name in enumerate(request.event_types)
        if name not in _EVENT_TYPES
    ]
    heartbeat_s = DEFAULT_HEARTBEAT_S
    if request.HasField("heartbeat_interval"):
        heartbeat_s = duration_from_wire(request.heartbeat_interval)
        violations += _span("heartbeat_interval", request.heartbeat_interval, least=1.0)
    if violations:
        raise InvalidSpecError(violations)
    return WatchArguments(
        after_sequence=request.after_sequence if request.HasField("after_sequence") else None,
        heartbeat_s=heartbeat_s,
        durable_only=request.durable_only,
        event_types=frozenset(request.event_types),
    )


def wait_from_wire(request: wire.WaitJobRequest) -> WaitArguments:
    """Give the arguments of a wait; raises InvalidSpecError."""
    timeout_s = DEFAULT_WAIT_S
    if request.HasField("timeout"):
        timeout_s = duration_from_wire(request.timeout)
        violations = _span("timeout", request.timeout, least=0.0)
        if violations:
            raise InvalidSpecError(violations)
    return WaitArguments(
        after_sequence=request.after_sequence if request.HasField("after_sequence") else None,
        timeout_s=timeout_s,
    )


def _span(field: str, value: Duration, *, least: float) -> list[Violation]:
    if least <= duration_from_wire(value) <= MAX_SPAN_S:
        return []
    return [Violation(field, f"must be between {least:g} s and {MAX_SPAN_S:g} s")]
