"""Jobs, as they go out."""

from google.rpc import code_pb2, error_details_pb2, status_pb2

from jobplane.engine.domain.job import (
    ControlRequest,
    DefaultAction,
    Failure,
    FailureCategory,
    Gap,
    InputRequest,
    Job,
    JobResult,
    Progress,
    Question,
    Usage,
    Wait,
    WaitReason,
)
from jobplane.engine.domain.status import JobStatus, Phase
from jobplane.service.convert.custom import params_to_wire
from jobplane.service.convert.scalar import EnumMap, duration_to_wire, optional, timestamp_to_wire
from jobplane.service.convert.spec import BUILT_IN_KINDS, fill_member, spec_to_wire
from jobplane.service.status import DOMAIN
from jobplane.v1 import job_pb2 as wire
from jobplane.v1 import spec_pb2

STATUSES = EnumMap(wire.JobStatus, JobStatus, "JOB_STATUS_")
PHASES = EnumMap(wire.JobPhase, Phase, "JOB_PHASE_")
_WAITS = EnumMap(wire.WaitReason, WaitReason, "WAIT_REASON_")
_CATEGORIES = EnumMap(wire.FailureCategory, FailureCategory, "FAILURE_CATEGORY_")
_ACTIONS = EnumMap(wire.InputRequest.DefaultAction, DefaultAction, "DEFAULT_ACTION_")

_NO_USAGE = Usage()

# The nearest code that a failure of the work would have as a failure of a call.
_CODES = {
    FailureCategory.USER_CODE: code_pb2.UNKNOWN,
    FailureCategory.INPUT: code_pb2.INVALID_ARGUMENT,
    FailureCategory.DEPENDENCY: code_pb2.FAILED_PRECONDITION,
    FailureCategory.RESOURCE: code_pb2.RESOURCE_EXHAUSTED,
    FailureCategory.DEADLINE: code_pb2.DEADLINE_EXCEEDED,
    FailureCategory.INFRASTRUCTURE: code_pb2.UNAVAILABLE,
    FailureCategory.GATE: code_pb2.FAILED_PRECONDITION,
    FailureCategory.INTERNAL: code_pb2.INTERNAL,
}


def job_to_wire(job: Job, *, full: bool = True) -> wire.Job:
    """Give the job; without spec and result unless `full`."""
    return wire.Job(
        name=job.name,
        job_id=job.job_id,
        project=job.project,
        kind=job.kind,
        status=STATUSES.to_wire(job.status),
        phase=PHASES.to_wire(job.status.phase),
        done=job.status.is_terminal,
        sequence=job.sequence,
        etag=job.etag,
        attempt=job.attempt,
        wait=optional(job.wait, wait_to_wire),
        progress=optional(job.progress, progress_to_wire),
        pending_input=optional(job.pending_input, input_request_to_wire),
        failure=optional(job.failure, failure_to_wire),
        gaps=[gap_to_wire(gap) for gap in job.gaps],
        cancel_request=optional(job.cancel_request, control_to_wire),
        pause_request=optional(job.pause_request, control_to_wire),
        priority=job.priority,
        queue=job.queue,
        job_set=job.job_set,
        labels=dict(job.labels),
        creator=job.creator,
        schedule=job.schedule,
        origin_job=job.origin_job,
        usage=usage_to_wire(job.usage) if job.usage != _NO_USAGE else None,
        engine_refs=dict(job.engine_refs),
        engine_version=job.engine_version,
        input_digest=job.input_digest,
        create_time=timestamp_to_wire(job.created_at),
        start_time=timestamp_to_wire(job.started_at),
        update_time=timestamp_to_wire(job.updated_at),
        finish_time=timestamp_to_wire(job.finished_at),
        expire_time=timestamp_to_wire(job.expires_at),
        heartbeat_time=timestamp_to_wire(job.heartbeat_at),
        spec=spec_to_wire(job.spec) if full else None,
        result=result_to_wire(job.result, job.kind) if full and job.result else None,
    )


def result_to_wire(result: JobResult, kind: str) -> spec_pb2.JobResult:
    """Give the compact result with its kind's part."""
    message = spec_pb2.JobResult(
        headline=result.headline, metrics=dict(result.metrics), warnings=result.warnings
    )
    if kind in BUILT_IN_KINDS:
        fill_member(message, kind, result.details)
    else:
        params_to_wire(result.details, message.custom)
    return message


def wait_to_wire(wait: Wait) -> wire.Wait:
    """Give the reason to wait."""
    return wire.Wait(
        reason=_WAITS.to_wire(wait.reason),
        message=wait.message,
        position=wait.position,
        not_before=timestamp_to_wire(wait.not_before),
    )


def progress_to_wire(progress: Progress) -> wire.Progress:
    """Give the latest progress."""
    return wire.Progress(
        fraction=progress.fraction,
        message=progress.message,
        stage=progress.stage,
        completed_units=progress.completed_units,
        total_units=progress.total_units,
        unit=progress.unit,
        report_time=timestamp_to_wire(progress.reported_at),
    )


def input_request_to_wire(request: InputRequest) -> wire.InputRequest:
    """Give the open question."""
    return wire.InputRequest(
        input_id=request.input_id,
        prompt=request.prompt,
        questions=[_question_to_wire(one) for one in request.questions],
        deadline=timestamp_to_wire(request.deadline),
        default_action=_ACTIONS.to_wire(request.default_action),
    )


def _question_to_wire(question: Question) -> wire.InputRequest.Question:
    return wire.InputRequest.Question(
        id=question.id,
        label=question.label,
        choices=question.choices,
        default_value=question.default_value,
        required=question.required,
    )


def failure_to_wire(failure: Failure) -> wire.Failure:
    """Give the failure of the work, also in the form of google.rpc.Status."""
    status = status_pb2.Status(code=_CODES[failure.category], message=failure.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN))
    return wire.Failure(
        reason=failure.reason,
        category=_CATEGORIES.to_wire(failure.category),
        retryable=failure.retryable,
        message=failure.message,
        stage=failure.stage,
        attempt=failure.attempt,
        exit_code=failure.exit_code,
        detail_artifact=failure.detail_artifact,
        status=status,
    )


def gap_to_wire(gap: Gap) -> wire.Gap:
    """Give what a result lacks."""
    return wire.Gap(reason=gap.reason, message=gap.message, subject=gap.subject)


def control_to_wire(control: ControlRequest) -> wire.ControlRequest:
    """Give who asked for what and why."""
    return wire.ControlRequest(
        requester=control.requester,
        reason=control.reason,
        request_time=timestamp_to_wire(control.requested_at),
        force_time=timestamp_to_wire(control.force_at),
    )


def usage_to_wire(usage: Usage) -> wire.ResourceUsage:
    """Give what the attempts consumed."""
    return wire.ResourceUsage(
        run_duration=duration_to_wire(usage.run_s),
        cpu_seconds=usage.cpu_s,
        gpu_hours=usage.gpu_hours,
        gpu_hours_budget=usage.gpu_hours_budget,
        peak_memory_bytes=usage.peak_memory_bytes,
    )
