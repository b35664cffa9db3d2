"""What can be asked of one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import _requests as requests
from jobplane.client._artifacts import input_name
from jobplane.client._event import Event, event_from_wire
from jobplane.client._page import EVENT_PAGE_SIZE, Listing
from jobplane.client._steps import WatchPlan
from jobplane.client._talk import Talk, ask
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobplane.client._artifacts import Input
    from jobplane.client._requests import Spec, Submission


def submit(
    spec: Spec,
    submission: Submission,
    *,
    project: str,
    kind: str = "",
    schema_version: str = "",
    inputs: Mapping[str, Input] | None = None,
) -> Talk[wire.SubmitJobResponse]:
    """Durable job; its inputs are uploaded first."""
    checked = requests.job_spec(spec, kind=kind, schema_version=schema_version)
    for role, given in (inputs or {}).items():
        checked.inputs[role].artifact = yield from input_name(given, project=project)
    request = requests.submit_request(checked, submission, project=project)
    return (yield from ask(request, wire.SubmitJobResponse))


def get(name: str) -> Talk[job_pb2.Job]:
    """Job with everything that the server knows about it."""
    return (yield from ask(wire.GetJobRequest(name=name), wire.GetJobResponse)).job


def cancel(name: str, *, reason: str, force: bool) -> Talk[job_pb2.Job]:
    """Job, CANCELLED or on its way there."""
    request = wire.CancelJobRequest(name=name, reason=reason, force=force)
    return (yield from ask(request, wire.CancelJobResponse)).job


def pause(name: str, *, reason: str) -> Talk[job_pb2.Job]:
    """Job, PAUSED or on its way there."""
    request = wire.PauseJobRequest(name=name, reason=reason)
    return (yield from ask(request, wire.PauseJobResponse)).job


def resume(name: str, *, reason: str) -> Talk[job_pb2.Job]:
    """Job, queued again or still running."""
    request = wire.ResumeJobRequest(name=name, reason=reason)
    return (yield from ask(request, wire.ResumeJobResponse)).job


def answer(name: str, answers: Mapping[str, str], *, input_id: str) -> Talk[job_pb2.Job]:
    """Job, queued again; the open question is looked up unless one is named."""
    if not input_id:
        input_id = (yield from get(name)).pending_input.input_id
    request = wire.ProvideJobInputRequest(name=name, input_id=input_id, answers=answers)
    return (yield from ask(request, wire.ProvideJobInputResponse)).job


def retry(name: str, *, from_checkpoint: bool, idempotency_key: str | None) -> Talk[job_pb2.Job]:
    """Job made new from a finished one."""
    request = wire.RetryJobRequest(
        name=name,
        from_checkpoint=from_checkpoint,
        idempotency_key=idempotency_key or requests.new_key(),
    )
    return (yield from ask(request, wire.RetryJobResponse)).job


def update(
    name: str,
    *,
    priority: int | None,
    queue: str,
    labels: Mapping[str, str | None] | None,
    etag: str,
) -> Talk[job_pb2.Job]:
    """Job, changed in what is said and nothing else; a label of None is removed."""
    changed = job_pb2.Job(name=name, queue=queue, etag=etag)
    paths: list[str] = []
    if priority is not None:
        changed.priority = priority
        paths.append("priority")
    if queue:
        paths.append("queue")
    for key, value in (labels or {}).items():
        if value is not None:
            changed.labels[key] = value
        paths.append(f"labels.{key}")
    if not paths:
        raise requests.invalid("update_mask", "nothing to change: give priority, queue or labels")
    request = wire.UpdateJobRequest(job=changed)
    request.update_mask.paths.extend(paths)
    return (yield from ask(request, wire.UpdateJobResponse)).job


def delete(name: str, *, etag: str) -> Talk[None]:
    """Remove the record of a finished job."""
    yield from ask(wire.DeleteJobRequest(name=name, etag=etag), wire.DeleteJobResponse)


def history(name: str, *, after_sequence: int) -> Listing[Event]:
    """Durable events so far, in order."""
    return Listing(
        wire.ListJobEventsRequest(name=name, after_sequence=after_sequence),
        lambda page: [event_from_wire(event) for event in page.events],
        page_size=EVENT_PAGE_SIZE,
    )


def until_done(timeout_s: float | None) -> WatchPlan:
    """How to watch a job of which only the end is wanted."""
    return WatchPlan(timeout_s=timeout_s, durable_only=True, event_types=("finished",))
