"""Batches: many jobs submitted or cancelled by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobplane.client import _requests as requests
from jobplane.client._requests import Spec, Submission
from jobplane.client._status import error_of_status
from jobplane.v1 import job_service_pb2, spec_pb2

if TYPE_CHECKING:
    from jobplane.client import errors

MAX_NAMES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchItem:
    """One job of a batch."""

    spec: Spec
    # What later items may call it, after a "#", in their depends_on.
    ref: str = ""
    kind: str = ""
    # Names of jobs, or "#ref" of earlier items, that must succeed first.
    depends_on: Sequence[str] = ()
    idempotency_key: str | None = None
    job_id: str = ""
    priority: int | None = None
    queue: str = ""
    job_set: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    display_name: str = ""

    def item(self, project: str) -> job_service_pb2.BatchSubmitJobsRequest.Item:
        """The item of the wire; it always has a key, so that a repeat makes no second job."""
        spec = requests.job_spec(self.spec, kind=self.kind)
        spec.depends_on.extend(spec_pb2.Dependency(job=job) for job in self.depends_on)
        submission = Submission(
            idempotency_key=self.idempotency_key,
            job_id=self.job_id,
            priority=self.priority,
            queue=self.queue,
            job_set=self.job_set,
            labels=self.labels,
            display_name=self.display_name,
        )
        return job_service_pb2.BatchSubmitJobsRequest.Item(
            ref=self.ref, request=requests.submit_request(spec, submission, project=project)
        )


def batch_request(
    items: Sequence[BatchItem], *, project: str, allow_partial: bool
) -> job_service_pb2.BatchSubmitJobsRequest:
    """Request for a batch."""
    return job_service_pb2.BatchSubmitJobsRequest(
        project=project,
        items=[one.item(project) for one in items],
        allow_partial=allow_partial,
    )


def batch_error(
    result: job_service_pb2.BatchSubmitJobsResponse.Result,
) -> errors.JobplaneError | None:
    """Why an item was refused; None when it was not."""
    return error_of_status(result.error) if result.HasField("error") else None


@dataclass(slots=True)
class CancelledJobs:
    """What a cancel of many jobs did, or, as a dry run, would do."""

    affected: int = 0
    # By full name, why a job could not be cancelled.
    refused: dict[str, errors.JobplaneError] = field(
        default_factory=dict[str, "errors.JobplaneError"]
    )

    def take(self, response: job_service_pb2.BatchCancelJobsResponse) -> bool:
        """Add what one call did; whether another one is needed."""
        self.affected += response.affected
        for name, status in response.errors.items():
            self.refused[name] = error_of_status(status)
        return response.more


def cancel_requests(
    names: Sequence[str],
    *,
    project: str,
    filter: str,  # noqa: A002 - the contract's own word
    reason: str,
    dry_run: bool,
) -> list[job_service_pb2.BatchCancelJobsRequest]:
    """Requests of bounded size; each is repeated while its answer says that there is more."""
    if bool(names) == bool(filter):
        raise ValueError("give either jobs or a filter")
    parts = [names[at : at + MAX_NAMES] for at in range(0, len(names), MAX_NAMES)] or [()]
    return [
        job_service_pb2.BatchCancelJobsRequest(
            project=project, names=part, filter=filter, reason=reason, validate_only=dry_run
        )
        for part in parts
    ]
