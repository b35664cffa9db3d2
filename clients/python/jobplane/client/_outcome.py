"""Says how a finished job ended, as a result or as an error."""

from __future__ import annotations

from jobplane.client import errors
from jobplane.v1 import job_pb2, spec_pb2

SUCCESSES = frozenset({job_pb2.JOB_STATUS_SUCCEEDED, job_pb2.JOB_STATUS_SUCCEEDED_WITH_GAPS})
_CLASSES: dict[int, type[errors.JobUnsuccessful]] = {
    job_pb2.JOB_STATUS_CANCELLED: errors.JobCancelled,
    job_pb2.JOB_STATUS_TIMED_OUT: errors.JobTimedOut,
    job_pb2.JOB_STATUS_EVAL_FAILED: errors.EvalFailed,
}
_STATUSES: dict[int, str] = {
    number: name.removeprefix("JOB_STATUS_") for name, number in job_pb2.JobStatus.items()
}
_PHASES: dict[int, str] = {
    job_pb2.JOB_PHASE_WAITING: "WAITING",
    job_pb2.JOB_PHASE_ACTIVE: "ACTIVE",
    job_pb2.JOB_PHASE_SUSPENDED: "SUSPENDED",
    job_pb2.JOB_PHASE_FINISHED: "FINISHED",
}


def phase_name(phase: int) -> str:
    """Short name of a phase, for example ACTIVE."""
    return _PHASES.get(phase, "UNKNOWN")


def status_name(status: int, phase: int) -> str:
    """Short name of a status; one that this client does not know is shown as its phase."""
    return _STATUSES.get(status) or phase_name(phase)


def outcome(job: job_pb2.Job) -> spec_pb2.JobResult:
    """Result of a finished job; raises JobFailed and its like when it did not succeed."""
    if job.status in SUCCESSES:
        return job.result
    raise _CLASSES.get(job.status, errors.JobFailed)(_refusal(job), job)


def _refusal(job: job_pb2.Job) -> errors.Refusal:
    """Tell the failure of the work in the words of an error."""
    status = status_name(job.status, job.phase)
    why = job.failure.message or job.cancel_request.reason
    return errors.Refusal(
        code="OK",
        reason=job.failure.reason or status,
        message=f"job {job.job_id} {status}" + (f": {why}" if why else ""),
        resource=job.name,
        hint=f"see: jobplane describe {job.job_id}",
    )
