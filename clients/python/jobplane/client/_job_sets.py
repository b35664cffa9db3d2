"""What can be asked of many jobs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client._batch import BatchItem, CancelledJobs, batch_request, cancel_requests
from jobplane.client._page import Listing
from jobplane.client._talk import Talk, ask
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Sequence


def listing(
    *, project: str, where: str, order_by: str, limit: int | None, full: bool
) -> Listing[job_pb2.Job]:
    """Jobs that match."""
    request = wire.ListJobsRequest(
        project=project,
        filter=where,
        order_by=order_by,
        view=wire.JOB_VIEW_FULL if full else wire.JOB_VIEW_BASIC,
    )
    return Listing(request, lambda page: page.jobs, limit=limit)


def count(*, project: str, where: str, group_by: str = "") -> Talk[wire.CountJobsResponse]:
    """Exact number of jobs that match, in all and by group."""
    request = wire.CountJobsRequest(project=project, filter=where, group_by=group_by)
    return (yield from ask(request, wire.CountJobsResponse))


def submit_batch(
    items: Sequence[BatchItem], *, project: str, allow_partial: bool
) -> Talk[Sequence[wire.BatchSubmitJobsResponse.Result]]:
    """What became of each item, in order."""
    request = batch_request(items, project=project, allow_partial=allow_partial)
    return (yield from ask(request, wire.BatchSubmitJobsResponse)).results


def cancel_all(
    names: Sequence[str], *, project: str, where: str, reason: str, dry_run: bool
) -> Talk[CancelledJobs]:
    """What a cancel of many jobs did, in as many calls as it takes."""
    done = CancelledJobs()
    for request in cancel_requests(
        names, project=project, filter=where, reason=reason, dry_run=dry_run
    ):
        while done.take((yield from ask(request, wire.BatchCancelJobsResponse))):
            pass
    return done
