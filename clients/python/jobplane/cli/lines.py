"""Says in one line what an event tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobplane.cli.units import number, size
from jobplane.v1 import event_pb2, job_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobplane.client import Event

METRICS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A label, what to say to it, and whether the compact form shows it."""

    label: str
    text: str
    essential: bool = True


def line_of(event: Event) -> Line | None:
    """Line for an event; None for what is shown in another way."""
    tell = _TELLERS.get(event.type)
    if tell is None:
        return None if event.type in {"progress", "snapshot"} else Line(event.type, "", False)
    return tell(event)


def metrics_text(values: Mapping[str, float]) -> str:
    """First few metrics on one line."""
    shown = sorted(values.items())[:METRICS_SHOWN]
    return " ".join(f"{name}={number(value)}" for name, value in shown)


def failure_text(failure: job_pb2.Failure) -> str:
    """Why something failed, on one line."""
    return " ".join(part for part in (failure.reason, failure.message) if part)


def _submitted(event: Event) -> Line | None:
    payload = event.wire.submitted if isinstance(event.wire, event_pb2.JobEvent) else None
    return Line(event.status, f"kind {payload.kind}" if payload else "")


def _status_changed(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.StatusChanged):
        return None
    if event.done:
        # The finished event follows and says more.
        return Line(event.status, payload.reason, False)
    parts = [payload.reason]
    if payload.HasField("wait"):
        parts.append(payload.wait.message)
        parts.append(f"position {payload.wait.position}" if payload.wait.position else "")
    if event.attempt > 1:
        parts.append(f"attempt {event.attempt}")
    return Line(event.status, " ".join(part for part in parts if part))


def _attempt_started(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.AttemptStarted):
        return None
    text = f"attempt {event.attempt} on {payload.worker}"
    if payload.from_checkpoint:
        text += f", from checkpoint {payload.from_checkpoint}"
    return Line("attempt", text, event.attempt > 1)


def _attempt_finished(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.AttemptFinished):
        return None
    if not payload.HasField("failure"):
        return Line("attempt", f"attempt {event.attempt} done", False)
    after = ", another attempt follows" if payload.will_retry else ""
    text = f"attempt {event.attempt} failed: {failure_text(payload.failure)}{after}"
    return Line("attempt", text, payload.will_retry)


def _stage_started(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.StageStarted):
        return None
    return Line(payload.stage, "started", False)


def _stage_finished(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.StageFinished):
        return None
    if payload.HasField("failure"):
        return Line(payload.stage, f"failed: {failure_text(payload.failure)}")
    return Line(payload.stage, "done before, kept" if payload.reused else "done")


def _metric(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.MetricReported):
        return None
    return Line("metric", f"step {payload.step} {metrics_text(payload.values)}", False)


def _artifact(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.ArtifactReady):
        return None
    artifact = payload.artifact
    return Line("artifact", f"{artifact.artifact_id} {size(artifact.size_bytes)}", False)


def _checkpoint(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.CheckpointSaved):
        return None
    return Line("checkpoint", payload.checkpoint, False)


def _warning(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.Warning):
        return None
    return Line("warning", f"{payload.reason} {payload.message}".strip())


def _input_requested(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, job_pb2.InputRequest):
        return None
    asked = ", ".join(
        question.id + (f" ({'|'.join(question.choices)})" if question.choices else "")
        for question in payload.questions
    )
    return Line("question", f"{payload.prompt} {asked}".strip())


def _input_provided(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.InputProvided):
        return None
    return Line("answer", f"given by {payload.responder}")


def _control(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.ControlRequested):
        return None
    why = f": {payload.request.reason}" if payload.request.reason else ""
    return Line(payload.action, f"asked for by {payload.request.requester}{why}")


def _updated(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.Updated):
        return None
    return Line("updated", ", ".join(payload.paths), False)


def _finished(event: Event) -> Line | None:
    payload = event.payload
    if not isinstance(payload, event_pb2.JobEvent.Finished):
        return None
    text = failure_text(payload.failure) if payload.HasField("failure") else payload.headline
    return Line(event.status, text)


_TELLERS: dict[str, Callable[[Event], Line | None]] = {
    "submitted": _submitted,
    "status_changed": _status_changed,
    "attempt_started": _attempt_started,
    "attempt_finished": _attempt_finished,
    "stage_started": _stage_started,
    "stage_finished": _stage_finished,
    "metric_reported": _metric,
    "artifact_ready": _artifact,
    "checkpoint_saved": _checkpoint,
    "warning": _warning,
    "input_requested": _input_requested,
    "input_provided": _input_provided,
    "control_requested": _control,
    "updated": _updated,
    "finished": _finished,
}
