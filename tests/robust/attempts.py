"""P6-P8: cancels, fences, checkpoints, and ends that fit what was asked for."""

import base64
from collections.abc import Iterator

from jobplane.kinds.probe.v1.probe_pb2 import ProbeResult
from tests.robust.dependents import UNSATISFIABLE
from tests.robust.history import History
from tests.robust.promises import TERMINAL, Broken, Verdict
from tests.robust.record import EventRow, JobRow, Record
from tests.robust.shapes import SHAPES

_ENDS_OF_WORK = {"SUCCEEDED", "SUCCEEDED_WITH_GAPS", "FAILED", "EVAL_FAILED"}
# The table of the contract, page 6.3, written down a second time on purpose.
MOVES = {
    "QUEUED": {"RUNNING", "PAUSED", "CANCELLED", "TIMED_OUT"},
    "RUNNING": {*_ENDS_OF_WORK, "TIMED_OUT", "QUEUED", "PAUSING", "AWAITING_INPUT", "CANCELLING"},
    "PAUSING": {*_ENDS_OF_WORK, "TIMED_OUT", "PAUSED", "RUNNING", "CANCELLING"},
    "PAUSED": {"QUEUED", "CANCELLED"},
    "AWAITING_INPUT": {"QUEUED", "TIMED_OUT", "CANCELLED"},
    "CANCELLING": {*_ENDS_OF_WORK, "CANCELLED"},
} | {status: set[str]() for status in TERMINAL}
# What only a live attempt may write.
_OF_ATTEMPT = frozenset(
    {
        "attempt_finished",
        "stage_started",
        "stage_finished",
        "metric_reported",
        "artifact_ready",
        "checkpoint_saved",
        "warning",
    }
)


def moves_are_allowed(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P3: every change of status is one of the contract's, and starts where the last ended."""
    for job in record.jobs.values():
        status = "QUEUED"
        for event in job.of_type("status_changed"):
            source, target = event.payload["source"], event.payload["target"]
            out.looked_at["P3"] += 1
            if source != status or target not in MOVES[source]:
                evidence = f"event {event.sequence}: {source} to {target}, it was {status}"
                yield Broken("P3", "move_not_allowed", evidence, job.job_id)
            status = target


def cancels_hold(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P6: after an acknowledged cancel the job ends cancelled, or its work had won the race."""
    for one in history.operations:
        if one.verb != "cancel" or one.outcome == "unknown":
            continue
        job = record.jobs.get(one.job_id)
        if job is None:
            continue
        out.looked_at["P6"] += 1
        if one.is_ok:
            yield from _cancel_faults(job, one.sequence)
        elif one.detail != "JOB_FINISHED" or job.status == "CANCELLED":
            yield Broken("P6", "cancel_refused", f"#{one.number}: {one.detail}", job.job_id)


def _cancel_faults(job: JobRow, acked: int) -> Iterator[Broken]:
    asked = [
        event.sequence
        for event in job.of_type("control_requested")
        if event.payload["action"] == "cancel"
    ]
    if not asked and job.failure == UNSATISFIABLE:
        # It had ended so before, which is what the caller wanted.
        return
    if not asked or asked[0] > acked:
        evidence = f"acknowledged at {acked}, asked for at {asked}"
        yield Broken("P6", "cancel_lost", evidence, job.job_id)
        return
    after = [event for event in job.events if event.sequence > asked[0]]
    if any(event.type == "attempt_started" for event in after):
        yield Broken("P6", "ran_after_cancel", "an attempt began after the cancel", job.job_id)
    if job.status == "TIMED_OUT":
        yield Broken("P6", "timed_out_after_cancel", "it must end CANCELLED", job.job_id)
    if job.status in _ENDS_OF_WORK:
        raced = any(
            event.type == "status_changed" and event.payload["target"] == "CANCELLING"
            for event in after
        )
        done = any(event.type == "attempt_finished" for event in after)
        if not (raced and done):
            yield Broken("P6", "succeeded_after_cancel", f"ended {job.status}", job.job_id)


def attempts_are_fenced(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P7: attempts come one after another, and none writes once it is over."""
    for job in record.jobs.values():
        out.looked_at["P7"] += len(job.of_type("attempt_started"))
        for error, evidence in _fence_faults(job):
            yield Broken("P7", error, evidence, job.job_id)


def _fence_faults(job: JobRow) -> Iterator[tuple[str, str]]:
    attempt, live = 0, False
    for event in job.events:
        if event.type == "attempt_started":
            if live:
                yield "two_live_attempts", f"event {event.sequence}: {attempt} was live"
            if event.attempt != attempt + 1:
                yield (
                    "attempt_not_counted",
                    f"event {event.sequence}: {event.attempt} after {attempt}",
                )
            attempt, live = event.attempt, True
        elif event.type in _OF_ATTEMPT:
            if not live or event.attempt != attempt:
                yield (
                    "stale_attempt_wrote",
                    (f"event {event.sequence}: {event.type} of attempt {event.attempt}"),
                )
            live = live and event.type != "attempt_finished"
    if live and job.status in TERMINAL:
        yield "attempt_never_ended", f"attempt {attempt} of a job that is {job.status}"


def checkpoints_are_kept(_: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P8: each attempt goes on from the last durable checkpoint, and its work says so."""
    for job in record.jobs.values():
        newest: EventRow | None = None
        from_step = 0
        for event in job.events:
            if event.type == "checkpoint_saved":
                out.looked_at["P8"] += 1
                newest = event
            elif event.type == "attempt_started":
                expected = newest.payload["checkpoint"] if newest else ""
                from_step = newest.payload["completed_units"] if newest else 0
                found = event.payload.get("from_checkpoint", "")
                if found != expected:
                    evidence = f"event {event.sequence}: from {found!r}, newest is {expected!r}"
                    yield Broken("P8", "checkpoint_forgotten", evidence, job.job_id)
        if job.status in {"SUCCEEDED", "SUCCEEDED_WITH_GAPS"} and from_step:
            resumed = _resumed_from(job)
            if resumed < from_step:
                evidence = f"step {from_step} was durable, the work went on from {resumed}"
                yield Broken("P8", "progress_lost", evidence, job.job_id)


def _resumed_from(job: JobRow) -> int:
    details = base64.b64decode((job.result or {}).get("details", ""))
    return ProbeResult.FromString(details).resumed_from_step


def ends_fit(history: History, record: Record, out: Verdict) -> Iterator[Broken]:
    """P8: a crash costs an attempt, never the job: it ends as it would have without one."""
    cancelled = {one.job_id for one in history.operations if one.verb == "cancel"}
    for job in record.jobs.values():
        shape = SHAPES.get(job.labels.get("shape", ""))
        if shape is None or job.status not in TERMINAL:
            continue
        out.looked_at["P8"] += 1
        may_be_cancelled = job.job_id in cancelled or job.labels.get("schedule") == "cancels"
        allowed = shape.ends | ({"CANCELLED"} if may_be_cancelled else set())
        reasons = shape.reasons | ({"FORCED"} if may_be_cancelled else set())
        if job.failure == UNSATISFIABLE and job.spec.get("depends_on"):
            # Whether that is right is for the rules of dependencies to say.
            allowed, reasons = {"CANCELLED"}, {UNSATISFIABLE}
        if job.status not in allowed:
            evidence = f"a {shape.name} job ended {job.status} {job.failure}".rstrip()
            yield Broken("P8", "ended_otherwise", evidence, job.job_id)
        elif job.failure and job.failure not in reasons:
            evidence = f"a {shape.name} job gave the reason {job.failure}"
            yield Broken("P8", "failed_otherwise", evidence, job.job_id)
