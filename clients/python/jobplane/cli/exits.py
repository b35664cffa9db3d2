"""Exit codes: the same for every command, so that scripts can tell what happened."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from jobplane.client import errors
from jobplane.v1 import job_pb2

if TYPE_CHECKING:
    from jobplane.client import JobplaneError


class Exit(IntEnum):
    """What the end of the command means."""

    OK = 0
    # The job failed, or its quality gate refused the result. Never a failure of the tool.
    JOB_FAILED = 1
    # Wrong usage or an invalid spec; nothing was created.
    USAGE = 2
    CANCELLED = 3
    # The job's own time limit passed.
    JOB_TIMED_OUT = 4
    NOT_FOUND = 5
    DENIED = 6
    # Quota or rate; try later.
    LIMITED = 7
    # The key or id belongs to another job, or the job's state does not allow this.
    CONFLICT = 8
    NEEDS_INPUT = 9
    # With --strict: the job succeeded with gaps.
    GAPS = 10
    UNREACHABLE = 69
    DEFECT = 70
    # --timeout of the command passed; the job goes on.
    TIMEOUT = 124
    # Ctrl-C; the job goes on.
    DETACHED = 130
    # Whoever read our output went away.
    BROKEN_PIPE = 141


BY_STATUS: dict[int, Exit] = {
    job_pb2.JOB_STATUS_SUCCEEDED: Exit.OK,
    job_pb2.JOB_STATUS_SUCCEEDED_WITH_GAPS: Exit.OK,
    job_pb2.JOB_STATUS_CANCELLED: Exit.CANCELLED,
    job_pb2.JOB_STATUS_TIMED_OUT: Exit.JOB_TIMED_OUT,
}
# The first class that fits counts, so children stand before their parents.
BY_ERROR: tuple[tuple[type[errors.JobplaneError], Exit], ...] = (
    (errors.WaitTimeout, Exit.TIMEOUT),
    (errors.InvalidArgument, Exit.USAGE),
    (errors.OutOfRange, Exit.USAGE),
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.PermissionDenied, Exit.DENIED),
    (errors.Unauthenticated, Exit.DENIED),
    (errors.QuotaExceeded, Exit.LIMITED),
    (errors.RateLimited, Exit.LIMITED),
    (errors.AlreadyExists, Exit.CONFLICT),
    (errors.PreconditionFailed, Exit.CONFLICT),
    (errors.Aborted, Exit.CONFLICT),
    (errors.Unavailable, Exit.UNREACHABLE),
    (errors.DeadlineExceeded, Exit.UNREACHABLE),
    (errors.NotEnabled, Exit.UNREACHABLE),
)


def exit_of_job(job: job_pb2.Job, *, strict: bool = False) -> Exit:
    """Exit code for a finished job."""
    if strict and job.status == job_pb2.JOB_STATUS_SUCCEEDED_WITH_GAPS:
        return Exit.GAPS
    return BY_STATUS.get(job.status, Exit.JOB_FAILED)


def exit_of_error(error: JobplaneError) -> Exit:
    """Exit code for a refused call."""
    if isinstance(error, errors.JobUnsuccessful):
        return exit_of_job(error.job)
    return next((code for kind, code in BY_ERROR if isinstance(error, kind)), Exit.DEFECT)
