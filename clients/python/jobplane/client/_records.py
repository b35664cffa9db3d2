"""Jobs as records: one flat row each, in the words of the filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobplane.client._event import instant
from jobplane.client._outcome import phase_name, status_name
from jobplane.v1 import job_pb2

if TYPE_CHECKING:
    from jobplane.client._view import JobView

TIMES = ("create_time", "start_time", "finish_time", "update_time")
_CATEGORIES = {
    number: name.removeprefix("FAILURE_CATEGORY_")
    for name, number in job_pb2.FailureCategory.items()
    if number
}


def record_of(view: JobView) -> dict[str, Any]:
    """Fields of a job by the names that filters use, with labels and metrics as columns."""
    job = view.wire
    record: dict[str, Any] = {
        "job_id": job.job_id,
        "project": job.project,
        "kind": job.kind,
        "status": status_name(job.status, job.phase),
        "phase": phase_name(job.phase),
        "done": job.done,
        "queue": job.queue,
        "job_set": job.job_set,
        "creator": job.creator,
        "priority": job.priority,
        "attempt": job.attempt,
        "schedule": job.schedule,
        "progress": job.progress.fraction if job.HasField("progress") else None,
        "headline": job.result.headline,
        "failure.reason": job.failure.reason,
        "failure.category": _CATEGORIES.get(job.failure.category, ""),
        "display_name": job.spec.display_name,
    }
    known = {field.name: instant(stamp) for field, stamp in job.ListFields() if field.name in TIMES}
    record.update({name: known.get(name) for name in TIMES})
    record.update({f"labels.{key}": value for key, value in sorted(job.labels.items())})
    record.update({f"metrics.{key}": value for key, value in sorted(job.result.metrics.items())})
    return record
