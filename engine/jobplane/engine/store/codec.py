"""Domain values to rows and back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row

from jobplane.engine.domain.event import PAYLOAD_TYPES, DurablePayload, JobEvent
from jobplane.engine.domain.job import (
    Checkpoint,
    ControlRequest,
    Failure,
    Gap,
    InputRequest,
    Job,
    JobResult,
    JobSpec,
    Progress,
    Resources,
    Usage,
    Wait,
)
from jobplane.engine.domain.lifecycle import next_due
from jobplane.engine.domain.standing import NO_RESOURCES, rank_us, shape_of
from jobplane.engine.domain.status import JobStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of a job that nothing filters by."""

    labels: Mapping[str, str] = {}
    origin_job: str = ""
    idempotency_key: str = ""
    wait: Wait | None = None
    pending_input: InputRequest | None = None
    answers: Mapping[str, str] = {}
    answered_input: str = ""
    failure: Failure | None = None
    gaps: tuple[Gap, ...] = ()
    result: JobResult | None = None
    cancel_request: ControlRequest | None = None
    pause_request: ControlRequest | None = None
    checkpoint: Checkpoint | None = None
    usage: Usage = Usage()
    engine_refs: Mapping[str, str] = {}
    engine_version: str = ""
    input_digest: str = ""
    paused_s: float = 0.0
    paused_at: datetime | None = None
    attempt_started_at: datetime | None = None
    spent_attempts: int = 0


_STATE_FIELDS = State.__struct_fields__
_encode = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(State).decode
_decode_spec = msgspec.json.Decoder(JobSpec).decode
_decode_demand = msgspec.json.Decoder(Resources).decode
_decode_progress = msgspec.json.Decoder(Progress).decode
_decode_payload = {name: msgspec.json.Decoder(cls).decode for name, cls in PAYLOAD_TYPES.items()}


def to_us(time: datetime) -> int:
    """Microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def from_us(time_us: int) -> datetime:
    """Aware UTC time."""
    return _EPOCH + timedelta(microseconds=time_us)


def _to_us(time: datetime | None) -> int | None:
    return None if time is None else to_us(time)


def _from_us(time_us: int | None) -> datetime | None:
    return None if time_us is None else from_us(time_us)


def resources_from_row(demand: bytes | None) -> Resources:
    """The hardware that a row asks for."""
    return NO_RESOURCES if demand is None else _decode_demand(demand)


def job_to_row(job: Job) -> dict[str, Any]:
    """Every column that changes with the job's durable state."""
    failure = job.failure
    ready, ready_us = _readiness(job)
    return {
        "status": job.status.value,
        "done": int(job.status.is_terminal),
        "sequence": job.sequence,
        "attempt": job.attempt,
        "priority": job.priority,
        "queue": job.queue,
        "failure_reason": failure.reason if failure else None,
        "failure_category": failure.category.value if failure else None,
        "updated_us": to_us(job.updated_at),
        "started_us": _to_us(job.started_at),
        "finished_us": _to_us(job.finished_at),
        "expires_us": _to_us(job.expires_at),
        "heartbeat_us": _to_us(job.heartbeat_at),
        "ready": ready,
        "ready_us": ready_us,
        "rank_us": rank_us(job),
        "due_us": _to_us(next_due(job)),
        "state": _encode(State(*[getattr(job, name) for name in _STATE_FIELDS])),
        "progress": _encode(job.progress) if job.progress else None,
    }


def _readiness(job: Job) -> tuple[int, int | None]:
    if job.wait is None or job.status is not JobStatus.QUEUED:
        return 1, None
    return 0, _to_us(job.wait.not_before)


def new_job_to_row(job: Job, *, lane: str) -> dict[str, Any]:
    """Every column of a new job."""
    resources = job.spec.resources
    return {
        **job_to_row(job),
        "project": job.project,
        "job_id": job.job_id,
        "kind": job.spec.kind,
        "job_set": job.job_set or None,
        "creator": job.creator,
        "schedule": job.schedule or None,
        "display_name": job.spec.display_name or None,
        "created_us": to_us(job.created_at),
        "lane": lane,
        "shape": shape_of(resources),
        "demand": None if resources == NO_RESOURCES else _encode(resources),
        "worker": "",
        "spec": _encode(job.spec),
    }


def job_from_row(row: Row[Any]) -> Job:
    """The job that a row of the jobs table holds."""
    state: State = _decode_state(row.state)
    return Job(
        project=row.project,
        job_id=row.job_id,
        spec=_decode_spec(row.spec),
        status=JobStatus(row.status),
        sequence=row.sequence,
        created_at=from_us(row.created_us),
        updated_at=from_us(row.updated_us),
        attempt=row.attempt,
        priority=row.priority,
        queue=row.queue,
        job_set=row.job_set or "",
        creator=row.creator,
        schedule=row.schedule or "",
        progress=_decode_progress(row.progress) if row.progress else None,
        started_at=_from_us(row.started_us),
        finished_at=_from_us(row.finished_us),
        expires_at=_from_us(row.expires_us),
        heartbeat_at=_from_us(row.heartbeat_us),
        **{name: getattr(state, name) for name in _STATE_FIELDS},
    )


def event_to_row(event: JobEvent, job_pk: int) -> dict[str, Any]:
    """Every column of an event but its revision."""
    return {
        "job_pk": job_pk,
        "sequence": event.sequence,
        "occurred_us": to_us(event.occurred_at),
        "attempt": event.attempt,
        "status": event.status.value,
        "type": event.type,
        "payload": _encode(event.payload),
    }


def event_from_row(row: Row[Any], *, project: str, job_id: str) -> JobEvent:
    """The event that a row holds."""
    payload: DurablePayload = _decode_payload[row.type](row.payload)
    return JobEvent(
        project=project,
        job_id=job_id,
        sequence=row.sequence,
        occurred_at=from_us(row.occurred_us),
        status=JobStatus(row.status),
        payload=payload,
        attempt=row.attempt,
        revision=row.revision,
    )


def progress_to_json(progress: Progress) -> bytes:
    """Progress as it is stored."""
    return _encode(progress)
