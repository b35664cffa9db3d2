"""Events, as they go out."""

from collections.abc import Callable, Mapping
from typing import Any

from jobplane.engine.domain import event as domain
from jobplane.engine.domain.job import Progress, job_name
from jobplane.service.convert.artifact import artifact_to_wire
from jobplane.service.convert.job import (
    PHASES,
    STATUSES,
    control_to_wire,
    failure_to_wire,
    input_request_to_wire,
    progress_to_wire,
    wait_to_wire,
)
from jobplane.service.convert.scalar import optional, timestamp_to_wire
from jobplane.v1 import event_pb2 as wire
from jobplane.v1 import job_pb2


def event_to_wire(event: domain.JobEvent) -> wire.JobEvent:
    """Give the event."""
    payload: Any = {event.type: _PAYLOADS[type(event.payload)](event.payload)}
    return wire.JobEvent(
        job=job_name(event.project, event.job_id),
        sequence=event.sequence,
        revision=event.revision,
        ephemeral=event.is_ephemeral,
        event_time=timestamp_to_wire(event.occurred_at),
        attempt=event.attempt,
        status=STATUSES.to_wire(event.status),
        phase=PHASES.to_wire(event.status.phase),
        **payload,
    )


def _submitted(payload: domain.Submitted) -> wire.JobEvent.Submitted:
    return wire.JobEvent.Submitted(creator=payload.creator, kind=payload.kind)


def _status_changed(payload: domain.StatusChanged) -> wire.JobEvent.StatusChanged:
    # `from` is a word of Python.
    moved: Any = {"from": STATUSES.to_wire(payload.source)}
    return wire.JobEvent.StatusChanged(
        **moved,
        to=STATUSES.to_wire(payload.target),
        reason=payload.reason,
        wait=optional(payload.wait, wait_to_wire),
    )


def _attempt_started(payload: domain.AttemptStarted) -> wire.JobEvent.AttemptStarted:
    return wire.JobEvent.AttemptStarted(
        worker=payload.worker, from_checkpoint=payload.from_checkpoint
    )


def _attempt_finished(payload: domain.AttemptFinished) -> wire.JobEvent.AttemptFinished:
    return wire.JobEvent.AttemptFinished(
        failure=optional(payload.failure, failure_to_wire),
        will_retry=payload.will_retry,
        next_attempt_time=timestamp_to_wire(payload.next_attempt_at),
    )


def _stage_started(payload: domain.StageStarted) -> wire.JobEvent.StageStarted:
    return wire.JobEvent.StageStarted(stage=payload.stage)


def _stage_finished(payload: domain.StageFinished) -> wire.JobEvent.StageFinished:
    return wire.JobEvent.StageFinished(
        stage=payload.stage,
        reused=payload.reused,
        failure=optional(payload.failure, failure_to_wire),
    )


def _metric(payload: domain.MetricReported) -> wire.JobEvent.MetricReported:
    return wire.JobEvent.MetricReported(step=payload.step, values=dict(payload.values))


def _artifact_ready(payload: domain.ArtifactReady) -> wire.JobEvent.ArtifactReady:
    return wire.JobEvent.ArtifactReady(artifact=artifact_to_wire(payload.artifact))


def _checkpoint_saved(payload: domain.CheckpointSaved) -> wire.JobEvent.CheckpointSaved:
    return wire.JobEvent.CheckpointSaved(
        checkpoint=payload.checkpoint, completed_units=payload.completed_units
    )


def _warning(payload: domain.Warned) -> wire.JobEvent.Warning:
    return wire.JobEvent.Warning(reason=payload.reason, message=payload.message)


def _input_requested(payload: domain.InputRequested) -> job_pb2.InputRequest:
    return input_request_to_wire(payload.request)


def _input_provided(payload: domain.InputProvided) -> wire.JobEvent.InputProvided:
    return wire.JobEvent.InputProvided(
        input_id=payload.input_id, responder=payload.responder, answers=dict(payload.answers)
    )


def _control(payload: domain.ControlRequested) -> wire.JobEvent.ControlRequested:
    return wire.JobEvent.ControlRequested(
        action=payload.action, request=control_to_wire(payload.request)
    )


def _updated(payload: domain.Updated) -> wire.JobEvent.Updated:
    return wire.JobEvent.Updated(paths=payload.paths, updater=payload.updater)


def _finished(payload: domain.Finished) -> wire.JobEvent.Finished:
    return wire.JobEvent.Finished(
        failure=optional(payload.failure, failure_to_wire), headline=payload.headline
    )


_PAYLOADS: Mapping[type, Callable[[Any], Any]] = {
    domain.Submitted: _submitted,
    domain.StatusChanged: _status_changed,
    domain.AttemptStarted: _attempt_started,
    domain.AttemptFinished: _attempt_finished,
    domain.StageStarted: _stage_started,
    domain.StageFinished: _stage_finished,
    domain.MetricReported: _metric,
    domain.ArtifactReady: _artifact_ready,
    domain.CheckpointSaved: _checkpoint_saved,
    domain.Warned: _warning,
    domain.InputRequested: _input_requested,
    domain.InputProvided: _input_provided,
    domain.ControlRequested: _control,
    domain.Updated: _updated,
    domain.Finished: _finished,
    Progress: progress_to_wire,
}
