"""What can be asked of schedules, and what callers may say of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from jobplane.client._page import Listing
from jobplane.client._requests import (
    Spec,
    Submission,
    duration,
    invalid,
    job_spec,
    new_key,
    submit_request,
)
from jobplane.client._talk import Talk, ask
from jobplane.v1 import job_service_pb2
from jobplane.v1 import schedule_service_pb2 as wire

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEDULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SCHEDULE_NAME = re.compile(r"projects/[^/]+/schedules/[^/]+")
_OVERLAP = "OVERLAP_POLICY_"
OVERLAPS = tuple(
    str(value.name).removeprefix(_OVERLAP).lower()
    for value in wire.OverlapPolicy.DESCRIPTOR.values
    if value.number
)
_SPANS = {"catchup_window", "jitter"}
# How the keywords of callers are called in the contract.
_FIELDS = {"overlap": "overlap_policy"}


class ScheduleFields(TypedDict, total=False):
    """What can be said of a schedule; spans are seconds."""

    cron: str
    time_zone: str
    # "skip", "queue_one", "cancel_running" or "allow".
    overlap: str
    catchup_window: float
    jitter: float
    paused: bool
    pause_reason: str
    pause_after_failures: int


class TemplateFields(TypedDict, total=False):
    """What can be said of the jobs beside their spec."""

    kind: str
    schema_version: str
    queue: str
    job_set: str
    priority: int | None
    labels: Mapping[str, str]
    display_name: str


class NewSchedule(ScheduleFields, TemplateFields, total=False):
    """Everything that a create may say."""


class ScheduleChanges(ScheduleFields, TemplateFields, total=False):
    """Everything that an update may say."""


def schedule_name(schedule: str, project: str) -> str:
    """Full name for an id; a full name stays what it is."""
    if SCHEDULE_NAME.fullmatch(schedule):
        return schedule
    if not SCHEDULE_ID.fullmatch(schedule):
        form = "projects/{project}/schedules/{id}"
        raise invalid("name", f"{schedule!r} is neither a schedule id nor {form}")
    return f"projects/{project}/schedules/{schedule}"


def create(
    schedule: str, spec: Spec, said: Mapping[str, Any], *, project: str
) -> Talk[wire.Schedule]:
    """New schedule."""
    project, schedule_id = schedule_name(schedule, project).split("/")[1::2]
    message, _ = _message(spec, said, project=project)
    request = wire.CreateScheduleRequest(project=project, schedule_id=schedule_id, schedule=message)
    return (yield from ask(request, wire.CreateScheduleResponse)).schedule


def get(schedule: str, *, project: str) -> Talk[wire.Schedule]:
    """Schedule with its next times and its last jobs."""
    request = wire.GetScheduleRequest(name=schedule_name(schedule, project))
    return (yield from ask(request, wire.GetScheduleResponse)).schedule


def listing(*, project: str) -> Listing[wire.Schedule]:
    """Schedules of a project, by name."""
    return Listing(wire.ListSchedulesRequest(project=project), lambda page: page.schedules)


def update(
    schedule: str, spec: Spec | None, said: Mapping[str, Any], *, project: str, etag: str
) -> Talk[wire.Schedule]:
    """Schedule, changed in what is said and nothing else."""
    name = schedule_name(schedule, project)
    message, paths = _message(spec, said, project=name.split("/")[1])
    message.name, message.etag = name, etag
    request = wire.UpdateScheduleRequest(schedule=message)
    request.update_mask.paths.extend(paths)
    return (yield from ask(request, wire.UpdateScheduleResponse)).schedule


def delete(schedule: str, *, project: str) -> Talk[None]:
    """Remove a schedule."""
    request = wire.DeleteScheduleRequest(name=schedule_name(schedule, project))
    yield from ask(request, wire.DeleteScheduleResponse)


def trigger(
    schedule: str, *, project: str, idempotency_key: str | None
) -> Talk[job_service_pb2.SubmitJobResponse]:
    """Job that the schedule submits now."""
    request = wire.TriggerScheduleRequest(
        name=schedule_name(schedule, project), idempotency_key=idempotency_key or new_key()
    )
    return (yield from ask(request, wire.TriggerScheduleResponse)).submitted


def preview(
    cron: str, *, time_zone: str, count: int, after: datetime | None
) -> Talk[list[datetime]]:
    """Fire times of such a schedule, aware, in UTC."""
    request = wire.PreviewScheduleRequest(cron=cron, time_zone=time_zone, count=count)
    if after is not None:
        request.after.FromDatetime(after.astimezone(UTC))
    response = yield from ask(request, wire.PreviewScheduleResponse)
    return [time.ToDatetime(tzinfo=UTC) for time in response.times]


def _message(
    spec: Spec | None, said: Mapping[str, Any], *, project: str
) -> tuple[wire.Schedule, list[str]]:
    """Schedule with what is said, and the paths of it."""
    values = {
        _FIELDS.get(name, name): _value(name, said[name])
        for name in ScheduleFields.__annotations__
        if name in said
    }
    paths = list(values)
    template = {name: said[name] for name in TemplateFields.__annotations__ if name in said}
    if spec is not None:
        values["template"] = _template(spec, template, project=project)
        paths.append("template")
    elif template:
        raise invalid("template", f"{', '.join(template)} must come with a spec: it is replaced")
    return wire.Schedule(**values), paths


def _template(spec: Spec, said: dict[str, Any], *, project: str) -> Any:
    checked = job_spec(
        spec, kind=said.pop("kind", ""), schema_version=said.pop("schema_version", "")
    )
    request = submit_request(checked, Submission(**said), project=project)
    # Each job gets a key of its own.
    request.ClearField("idempotency_key")
    return request


def _value(name: str, value: Any) -> Any:
    if name in _SPANS:
        return duration(value)
    if name != "overlap":
        return value
    if value.lower() not in OVERLAPS:
        raise invalid("overlap_policy", f"{value!r} is none of {', '.join(OVERLAPS)}")
    return wire.OverlapPolicy.Value(_OVERLAP + value.upper())
