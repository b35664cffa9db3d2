"""Builds requests, and refuses here what can be seen to be wrong here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from jobplane.client import errors
from jobplane.client._view import JobView
from jobplane.v1 import job_service_pb2, spec_pb2

if TYPE_CHECKING:
    from jobplane.client._steps import WatchPlan

Number = TypeVar("Number", bound=int)
Spec = Message | Mapping[str, Any] | str
Duplicates = job_service_pb2.DuplicatePolicy
KIND_FIELDS = spec_pb2.JobSpec.DESCRIPTOR.oneofs_by_name["kind"].fields
KIND_OF_MESSAGE: dict[str, str] = {
    str(member.message_type.full_name): str(member.name)
    for member in KIND_FIELDS
    if member.message_type is not None
}
NO_SUCH_FIELD = re.compile(r'has no field named "(?P<name>[^"]*)" at "(?P<path>[^"]*)"')
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
JOB_NAME = re.compile(r"projects/(?P<project>[^/]+)/jobs/(?P<job_id>[^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Everything beside the spec that a submit may say."""

    idempotency_key: str | None = None
    reject_duplicate: bool = False
    job_id: str = ""
    priority: int | None = None
    queue: str = ""
    job_set: str = ""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    display_name: str = ""
    validate_only: bool = False


def new_key() -> str:
    """Idempotency key that nobody used before."""
    return str(uuid.uuid4())


def job_name(job: str | JobView, project: str) -> str:
    """Full name for an id or a handle; a full name stays what it is."""
    if isinstance(job, JobView):
        return job.name
    if JOB_NAME.fullmatch(job):
        return job
    if not JOB_ID.fullmatch(job):
        raise invalid("name", f"{job!r} is neither a job id nor projects/{{project}}/jobs/{{id}}")
    return f"projects/{project}/jobs/{job}"


def job_spec(spec: Spec, *, kind: str = "", schema_version: str = "") -> spec_pb2.JobSpec:
    """Spec to send, from a JobSpec, a kind's message, or JSON; unknown fields are refused.

    With `kind`, JSON holds the parameters of that kind alone; a kind that is not built in
    goes as custom.
    """
    if isinstance(spec, spec_pb2.JobSpec):
        copy = spec_pb2.JobSpec()
        copy.CopyFrom(spec)
        return copy
    if isinstance(spec, Message):
        return _spec_of_message(spec)
    content = _object(spec)
    if not kind:
        return _parsed(content)
    if kind in KIND_OF_MESSAGE.values():
        return _parsed({kind: content})
    return _parsed({"custom": {"kind": kind, "schema_version": schema_version, "params": content}})


def submit_request(
    spec: spec_pb2.JobSpec, submission: Submission, *, project: str
) -> job_service_pb2.SubmitJobRequest:
    """Request that can be repeated without making a second job: it always has a key."""
    if submission.display_name:
        spec.display_name = submission.display_name
    request = job_service_pb2.SubmitJobRequest(
        project=project,
        spec=spec,
        idempotency_key=submission.idempotency_key or new_key(),
        duplicate_policy=(
            Duplicates.DUPLICATE_POLICY_REJECT
            if submission.reject_duplicate
            else Duplicates.DUPLICATE_POLICY_RETURN_EXISTING
        ),
        job_id=submission.job_id,
        queue=submission.queue,
        job_set=submission.job_set,
        labels=submission.labels,
        validate_only=submission.validate_only,
    )
    if submission.priority is not None:
        request.priority = submission.priority
    return request


def watch_request(
    name: str, plan: WatchPlan, after_sequence: int | None
) -> job_service_pb2.WatchJobRequest:
    """Request for one stream of a watch."""
    request = job_service_pb2.WatchJobRequest(
        name=name,
        heartbeat_interval=duration(plan.heartbeat_s),
        durable_only=plan.durable_only,
        event_types=plan.event_types,
    )
    if after_sequence is not None:
        request.after_sequence = after_sequence
    return request


def full_name(collection: str, given: str, project: str) -> str:
    """Full name for an id of a collection; a full name stays what it is."""
    return given if "/" in given else f"projects/{project}/{collection}/{given}"


def chosen(where: str, word: str, words: Mapping[str, Number]) -> Number:
    """Number of a word; one that is not among them is refused."""
    found = words.get(word.lower())
    if found is None:
        raise invalid(where, f"{word!r} is none of {', '.join(words)}")
    return found


def duration(seconds: float) -> Duration:
    """Duration of the wire."""
    return Duration(seconds=int(seconds), nanos=round((seconds - int(seconds)) * 1e9))


def _spec_of_message(message: Message) -> spec_pb2.JobSpec:
    """Wrap a kind's own message into a spec."""
    kind = KIND_OF_MESSAGE.get(str(message.DESCRIPTOR.full_name))
    if kind is None:
        raise TypeError(f"{message.DESCRIPTOR.full_name} is no spec of a kind")
    spec = spec_pb2.JobSpec()
    target: Message = getattr(spec, kind)
    target.CopyFrom(message)
    target.SetInParent()  # a spec without values is still its kind
    return spec


def _object(spec: Mapping[str, Any] | str) -> Mapping[str, Any]:
    """Read JSON text; what is no JSON object is refused."""
    if not isinstance(spec, str):
        return spec
    import json  # noqa: PLC0415 - most callers send no text

    try:
        content: Any = json.loads(spec)
    except json.JSONDecodeError as error:
        raise invalid("spec", f"no JSON: {error}") from error
    if not isinstance(content, dict):
        raise invalid("spec", f"must be an object, not {type(content).__name__}")
    return cast("dict[str, Any]", content)


def _parsed(content: Mapping[str, Any]) -> spec_pb2.JobSpec:
    """Parse strictly, and say which field is wrong."""
    try:
        return json_format.ParseDict(dict(content), spec_pb2.JobSpec())
    except json_format.ParseError as error:
        text = str(error).partition("\n")[0]
        unknown = NO_SUCH_FIELD.search(text)
        if unknown is None:
            raise invalid("spec", text) from error
        path = unknown["path"].replace("JobSpec", "spec", 1)
        raise invalid(
            f"{path}.{unknown['name']}", "there is no such field", reason="UNKNOWN_FIELD"
        ) from error


def invalid(where: str, description: str, *, reason: str = "INVALID_SPEC") -> errors.InvalidSpec:
    """Refusal of one field, as the server would word it."""
    return errors.InvalidSpec(
        errors.Refusal(
            code="INVALID_ARGUMENT",
            reason=reason,
            message=f"{where}: {description}",
            violations=(errors.Violation(where, description, reason),),
        )
    )
