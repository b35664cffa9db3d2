"""The describe command: the cause first, then everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobplane.cli.exits import Exit
from jobplane.cli.lines import failure_text, metrics_text
from jobplane.cli.report import ran_for
from jobplane.cli.safe import Safe
from jobplane.cli.screen import colored
from jobplane.cli.selection import find_job
from jobplane.cli.session import Session, plain, with_session
from jobplane.cli.units import size, span
from jobplane.client._event import instant
from jobplane.v1 import event_pb2, job_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobplane.client import Event, Job

LABEL_WIDTH = 10


@click.command()
@click.argument("job")
@with_session
def describe(session: Session, *, job: str) -> int:
    """Tell everything about JOB, the cause of a failure first."""
    handle = find_job(session.client, job)
    if session.is_json:
        session.write_json(plain(handle.wire))
    elif session.output == "name":
        session.write(handle.name)
    else:
        for label, text in _sections(handle, list(handle.history())):
            line = Safe(" ").join([f"{label:<{LABEL_WIDTH - 1}}", text])
            session.write_folded(line, indent=LABEL_WIDTH)
    return Exit.OK


def _sections(job: Job, history: list[Event]) -> Iterator[tuple[str, str]]:
    wire = job.wire
    yield "Job", f"{job.id}  kind={job.kind}  project={wire.project}  queue={wire.queue or '-'}"
    yield "Status", _status(job)
    yield from _why(job)
    if wire.spec.display_name:
        yield "Name", wire.spec.display_name
    yield "Spec", _spec(wire)
    if wire.labels:
        yield "Labels", " ".join(f"{name}={value}" for name, value in sorted(wire.labels.items()))
    yield "Times", _times(wire)
    for at, text in enumerate(_attempts(history)):
        yield "Attempts" if at == 0 else "", text
    stages = _stages(history)
    if stages:
        yield "Stages", " | ".join(stages)
    yield from _result(wire)
    for label, request in (("Cancel", wire.cancel_request), ("Pause", wire.pause_request)):
        if request.HasField("request_time"):
            yield label, f"asked for by {request.requester} {request.reason}".rstrip()
    yield "Usage", _usage(wire)
    yield "Events", f"{wire.sequence} (jobplane events {job.id})"
    if wire.origin_job:
        yield "Origin", wire.origin_job


def _status(job: Job) -> Safe:
    status = colored(job.status, job.status)
    ran = span(ran_for(job.wire))
    told = f"attempt {job.attempt}", f"{'ran' if job.done else 'for'} {ran}"
    return Safe("  ").join([status, *told])


def _why(job: Job) -> Iterator[tuple[str, str]]:
    """Cause of the state that the job is in."""
    wire = job.wire
    if job.failure is not None:
        where = f" in stage {job.failure.stage}" if job.failure.stage else ""
        category = job_pb2.FailureCategory.Name(job.failure.category)
        category = category.removeprefix("FAILURE_CATEGORY_").lower()
        yield (
            "Why",
            f"{failure_text(job.failure)}{where} (attempt {job.failure.attempt}, {category})",
        )
    for gap in wire.gaps:
        yield "Gap", f"{gap.reason} {gap.message} {gap.subject}".rstrip()
    if job.pending_input is not None:
        yield "Question", f"{job.pending_input.prompt}"
        for question in job.pending_input.questions:
            choices = f" one of {', '.join(question.choices)}" if question.choices else ""
            yield "", f"{question.id}: {question.label}{choices}"
        yield "", f"-> jobplane answer {job.id} -a ID=VALUE"
    if wire.HasField("wait"):
        yield "Waits", f"{wire.wait.message} {_position(wire.wait)}".rstrip()
    if job.progress is not None and not job.done:
        yield "Progress", f"{job.progress.fraction:.0%} {job.progress.stage} {job.progress.message}"


def _position(wait: job_pb2.Wait) -> str:
    return f"(place {wait.position})" if wait.position else ""


def _spec(wire: job_pb2.Job) -> str:
    kind = wire.spec.WhichOneof("kind")
    if kind is None:
        return "-"
    content = plain(getattr(wire.spec, kind))
    return " ".join(f"{name}={value}" for name, value in content.items()) or "all defaults"


def _times(wire: job_pb2.Job) -> str:
    told = [
        f"{name} {instant(getattr(wire, field)):%Y-%m-%dT%H:%M:%SZ}"
        for name, field in (
            ("submitted", "create_time"),
            ("started", "start_time"),
            ("finished", "finish_time"),
            ("expires", "expire_time"),
        )
        if wire.HasField(field)  # type: ignore[arg-type]  # the names above are fields of Job
    ]
    return "  ".join(told)


def _attempts(history: list[Event]) -> Iterator[str]:
    for event in history:
        payload = event.payload
        if isinstance(payload, event_pb2.JobEvent.AttemptStarted):
            yield f"{event.attempt}  {_moment(event)}  started on {payload.worker}"
        if isinstance(payload, event_pb2.JobEvent.AttemptFinished):
            how = failure_text(payload.failure) if payload.HasField("failure") else "done"
            yield f"{event.attempt}  {_moment(event)}  {how}"


def _moment(event: Event) -> str:
    return event.time.strftime("%H:%M:%S") if event.time else "-"


def _stages(history: list[Event]) -> list[str]:
    """Each stage with the time it took, or how it stands."""
    started: dict[str, Event] = {}
    told: dict[str, str] = {}
    for event in history:
        payload = event.payload
        if isinstance(payload, event_pb2.JobEvent.StageStarted):
            started[payload.stage] = event
            told[payload.stage] = f"{payload.stage} …"
        if isinstance(payload, event_pb2.JobEvent.StageFinished):
            begin = started.get(payload.stage)
            took = span(event.time - begin.time) if begin and begin.time and event.time else ""
            mark = "✗" if payload.HasField("failure") else ("kept" if payload.reused else "")
            told[payload.stage] = " ".join(part for part in (payload.stage, took, mark) if part)
    return list(told.values())


def _result(wire: job_pb2.Job) -> Iterator[tuple[str, str]]:
    if wire.result.headline:
        yield "Result", wire.result.headline
    if wire.result.metrics:
        yield "Metrics", metrics_text(wire.result.metrics)
    for warning in wire.result.warnings:
        yield "Warning", warning


def _usage(wire: job_pb2.Job) -> str:
    usage = wire.usage
    told = [f"ran {span(usage.run_duration.ToTimedelta())}"]
    if usage.cpu_seconds:
        told.append(f"cpu {usage.cpu_seconds:.1f} s")
    if usage.peak_memory_bytes:
        told.append(f"peak memory {size(usage.peak_memory_bytes)}")
    return "  ".join(told)
