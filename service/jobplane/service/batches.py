"""JobService, the methods over many jobs at once."""

import asyncio

from google.rpc import status_pb2

from jobplane.engine.batch import BatchItem
from jobplane.engine.domain.errors import EngineError, InvalidSpecError, Violation
from jobplane.engine.domain.submission import Accepted, Submission
from jobplane.service.batches_port import BatchesPort
from jobplane.service.convert.submission import accepted_to_wire, submission_from_wire
from jobplane.service.names import split_job_name
from jobplane.service.rpc.call import Call
from jobplane.service.rpc.decoding import rule_violations
from jobplane.service.settings import ServiceSettings
from jobplane.service.status import refuse
from jobplane.v1 import job_service_pb2 as wire


class JobBatches:
    """Submits and cancels many jobs."""

    def __init__(self, batches: BatchesPort, settings: ServiceSettings) -> None:
        self._batches = batches
        self._settings = settings

    async def BatchSubmitJobs(
        self, request: wire.BatchSubmitJobsRequest, call: Call
    ) -> wire.BatchSubmitJobsResponse:
        """Submit jobs in one transaction."""
        validate_only = _is_dry_run(request)
        # The rules of hundreds of specs take a while: others shall not wait for it.
        items = await asyncio.to_thread(_items, request, call.principal.name)
        results = await self._batches.submit(
            items, allow_partial=request.allow_partial, validate_only=validate_only
        )
        response = wire.BatchSubmitJobsResponse()
        room = self._settings.page_bytes
        for result in results:
            message = response.results.add()
            _fill(message, result, validate_only=validate_only)
            room -= message.ByteSize()
            if room < 0 and message.HasField("accepted"):
                # What the caller knows anyway must not make the answer too large to arrive.
                message.accepted.job.ClearField("spec")
        return response

    async def BatchCancelJobs(
        self, request: wire.BatchCancelJobsRequest, call: Call
    ) -> wire.BatchCancelJobsResponse:
        """Cancel jobs by name or by filter."""
        requester = call.principal.name
        if request.names:
            done = await self._batches.cancel_named(
                request.project,
                _job_ids(request),
                requester=requester,
                reason=request.reason,
                validate_only=request.validate_only,
            )
        else:
            done = await self._batches.cancel_matching(
                request.project,
                request.filter,
                requester=requester,
                reason=request.reason,
                validate_only=request.validate_only,
            )
        errors = {name: _status(refusal) for name, refusal in done.refusals.items()}
        return wire.BatchCancelJobsResponse(affected=done.affected, more=done.more, errors=errors)


def _is_dry_run(request: wire.BatchSubmitJobsRequest) -> bool:
    """Whether only checks are wanted; a batch is written as a whole or not at all."""
    wishes = [item.request.validate_only for item in request.items]
    if any(wishes) and not all(wishes):
        index = wishes.index(not wishes[0])
        text = "must be the same in every item"
        raise InvalidSpecError([Violation(f"items[{index}].request.validate_only", text)])
    return wishes[0]


def _items(request: wire.BatchSubmitJobsRequest, creator: str) -> list[BatchItem]:
    return [
        BatchItem(_submission(item.request, request.project, creator), item.ref)
        for item in request.items
    ]


def _submission(
    request: wire.SubmitJobRequest, project: str, creator: str
) -> Submission | EngineError:
    """Give the submission of an item, or why it is none."""
    if request.project not in ("", project):
        text = f"must be empty, or {project!r} as in the batch"
        return InvalidSpecError([Violation("project", text)])
    request.project = project
    violations = rule_violations(request)
    if violations:
        return InvalidSpecError(violations)
    try:
        return submission_from_wire(request, creator)
    except EngineError as refusal:
        return refusal


def _fill(
    message: wire.BatchSubmitJobsResponse.Result,
    result: Accepted | EngineError,
    *,
    validate_only: bool,
) -> None:
    if isinstance(result, EngineError):
        message.error.CopyFrom(_status(result))
    else:
        message.accepted.CopyFrom(accepted_to_wire(result, validate_only=validate_only))


def _job_ids(request: wire.BatchCancelJobsRequest) -> list[str]:
    """Ids of the named jobs; raises when one is no job of the project."""
    ids: list[str] = []
    violations: list[Violation] = []
    for index, name in enumerate(request.names):
        try:
            project, job_id = split_job_name(name, f"names[{index}]")
        except InvalidSpecError as error:
            violations.extend(error.violations)
            continue
        if project != request.project:
            text = f"must be a job of the project {request.project!r}"
            violations.append(Violation(f"names[{index}]", text))
        ids.append(job_id)
    if violations:
        raise InvalidSpecError(violations)
    return ids


def _status(error: EngineError) -> status_pb2.Status:
    """Give a refusal as it would be told of a call for that job alone."""
    refusal = refuse(error)
    if refusal is None:
        raise error
    return status_pb2.Status.FromString(refusal.details)
