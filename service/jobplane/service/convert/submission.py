"""Submissions as they come in, and what they are answered with."""

from jobplane.engine.domain.job import DEFAULT_PRIORITY, DEFAULT_QUEUE
from jobplane.engine.domain.submission import Accepted, DuplicatePolicy, Submission
from jobplane.service.convert.job import job_to_wire
from jobplane.service.convert.scalar import EnumMap
from jobplane.service.convert.spec import spec_from_wire, spec_to_wire
from jobplane.v1 import job_service_pb2 as wire

_POLICIES = EnumMap(wire.DuplicatePolicy, DuplicatePolicy, "DUPLICATE_POLICY_")


def submission_from_wire(request: wire.SubmitJobRequest, creator: str) -> Submission:
    """Give the submission of a caller."""
    return Submission(
        project=request.project,
        spec=spec_from_wire(request.spec),
        creator=creator,
        idempotency_key=request.idempotency_key,
        duplicate_policy=_POLICIES.from_wire(
            request.duplicate_policy, DuplicatePolicy.RETURN_EXISTING
        ),
        job_id=request.job_id,
        priority=request.priority if request.HasField("priority") else DEFAULT_PRIORITY,
        queue=request.queue or DEFAULT_QUEUE,
        job_set=request.job_set,
        labels=dict(request.labels),
        validate_only=request.validate_only,
    )


def submission_to_wire(submission: Submission) -> wire.SubmitJobRequest:
    """Give the submission as a request for it, with what it left to defaults filled in."""
    return wire.SubmitJobRequest(
        project=submission.project,
        spec=spec_to_wire(submission.spec),
        duplicate_policy=_POLICIES.to_wire(submission.duplicate_policy),
        priority=submission.priority,
        queue=submission.queue,
        job_set=submission.job_set,
        labels=dict(submission.labels),
    )


def accepted_to_wire(accepted: Accepted, *, validate_only: bool) -> wire.SubmitJobResponse:
    """Give the accepted job; nothing that was only validated has a name."""
    job = job_to_wire(accepted.job)
    if validate_only:
        job.ClearField("name")
    return wire.SubmitJobResponse(job=job, deduplicated=accepted.deduplicated)
