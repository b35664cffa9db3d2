"""Decides how a watch goes on, without doing any input or output itself.

A shell asks `step` what to do, does it, and tells what came of it. The machine never lets
a sequence through twice or out of order, resumes after every cut, and ends only when the
job does: an OK without an End frame is a broken stream, not an end.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from jobplane.client import errors
from jobplane.client._event import Event, event_from_snapshot, event_from_wire
from jobplane.client._requests import watch_request
from jobplane.client._steps import Ask, Fail, Interruption, Read, Step, Stop, WatchPlan
from jobplane.v1 import event_pb2, job_pb2, job_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Frame = job_service_pb2.WatchJobResponse
End = job_service_pb2.WatchJobResponse.End

BACKOFF_FIRST_S = 0.2
BACKOFF_CEILING_S = 10.0
STALL_HEARTBEATS = 3
# A stream that lived this long was healthy: its end starts the back-off anew.
HEALTHY_S = 5.0
# The End frame follows the last event at once; a server that died between them must not hold us.
END_FRAME_PATIENCE_S = 2.0
GAP_PATIENCE = 5
FATAL_CODES = frozenset(
    {
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "INVALID_ARGUMENT",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
    }
)


class _State(Enum):
    CLOSED = auto()
    OPEN = auto()
    # The last event was told; only the End frame with the final job is awaited.
    FINISHING = auto()
    DONE = auto()


class WatchMachine:
    """One watch of one job, over as many streams as it takes."""

    def __init__(
        self,
        job: str,
        *,
        plan: WatchPlan,
        after_sequence: int | None,
        now: float,
        jitter: Callable[[], float],
    ) -> None:
        self.job: job_pb2.Job | None = None
        self.interruptions: list[Interruption] = []
        self._name = job
        self._plan = plan
        self._jitter = jitter
        self._cursor = after_sequence
        self._state = _State.CLOSED
        self._error: errors.JobplaneError | None = None
        self._deadline = None if plan.timeout_s is None else now + plan.timeout_s
        self._delay_s = 0.0
        self._failures = 0
        self._gaps = 0
        self._opened_at = now
        self._heard_at = now
        self._lost_at: float | None = None
        self._lost_to = "the stream was never opened"
        self._last_progress: bytes = b""

    @property
    def cursor(self) -> int | None:
        """Sequence to come back with; None before the first frame of a watch from now."""
        return self._cursor

    def step(self, now: float) -> Step:
        """What to do next."""
        if self._error is not None:
            return Fail(self._error)
        if self._state is _State.DONE:
            return Stop()
        if self._deadline is not None and now >= self._deadline:
            return Fail(self._too_late())
        if self._state is _State.CLOSED:
            return self._step_to_open(now)
        timeout_s = self._patience_until() - now
        if timeout_s <= 0:
            self.silent(now)
            return self.step(now)
        return Read(timeout_s)

    def opened(self, now: float) -> None:
        """Take note that a stream was opened."""
        self._state = _State.OPEN
        self._opened_at = self._heard_at = now

    def received(self, frame: Frame, now: float) -> list[Event]:
        """Events to hand to the caller for a frame."""
        self._heard_at = now
        kind = frame.WhichOneof("frame")
        if kind == "end":
            self._take_end(frame.end, now)
            return []
        if kind == "snapshot":
            events = self._take_snapshot(frame, now)
        elif kind == "events":
            events = self._take_events(frame.events.events, now)
        else:
            events = []
        if self._state is _State.OPEN:
            self._advance(frame.cursor, now)
        if self._state is not _State.CLOSED:
            self._healed(now)
        if any(event.is_durable for event in events):
            self._failures = self._gaps = 0
        return events

    def ended(self, now: float) -> None:
        """Take note that the stream ended with OK but said no End."""
        self._lose("the server ended the stream without an end frame", now)

    def failed(self, error: errors.JobplaneError, now: float) -> None:
        """Take note that the stream broke."""
        if self._state is not _State.FINISHING and error.code in FATAL_CODES:
            self._error = error
            return
        self._lose(error.message, now, retry_after_s=error.retry_after or 0.0)

    def silent(self, now: float) -> None:
        """Take note that the time to wait passed without a frame."""
        if self._deadline is not None and now >= self._deadline:
            return
        self._lose(f"no sign of life for {now - self._heard_at:.0f} s", now)

    def looked(self, job: job_pb2.Job) -> None:
        """Take note of what the job says: a watch is told by its frames alone."""

    def _step_to_open(self, now: float) -> Step:
        if self._lost_at is not None and now - self._lost_at >= self._plan.max_resume_s:
            return Fail(self._stalled())
        delay_s = self._delay_s
        if self._deadline is not None:
            delay_s = min(delay_s, self._deadline - now)
        return Ask(watch_request(self._name, self._plan, self._cursor), delay_s)

    def _patience_until(self) -> float:
        """When to stop waiting for a frame."""
        if self._state is _State.FINISHING:
            until = self._heard_at + END_FRAME_PATIENCE_S
        else:
            until = self._heard_at + STALL_HEARTBEATS * self._plan.heartbeat_s
        return until if self._deadline is None else min(until, self._deadline)

    def _take_end(self, end: End, now: float) -> None:
        if end.reason == End.REASON_FINISHED:
            if end.HasField("job"):
                self.job = end.job
            self._state = _State.DONE
        elif end.reason == End.REASON_DELETED:
            self._error = self._deleted()
        else:
            cause = End.Reason.Name(end.reason) if end.reason in End.Reason.values() else "END"
            retry_after_s = end.retry_after.ToTimedelta().total_seconds()
            self._lose(cause.removeprefix("REASON_"), now, retry_after_s=retry_after_s)

    def _take_snapshot(self, frame: Frame, now: float) -> list[Event]:
        truncated = frame.snapshot.history_truncated
        if self._cursor is not None and not truncated:
            # Asked for what came after the cursor, the server skipped it and said nothing.
            if frame.cursor > self._cursor:
                self._gap(frame.cursor, now)
            return []
        if self._cursor is not None and frame.cursor <= self._cursor:
            return []
        self.job = frame.snapshot.job
        self._cursor = frame.cursor
        if frame.snapshot.job.done:
            self._state = _State.FINISHING
        return [event_from_snapshot(frame)]

    def _take_events(self, events: Iterable[event_pb2.JobEvent], now: float) -> list[Event]:
        taken: list[Event] = []
        for event in events:
            if self._state is not _State.OPEN:
                break
            if event.sequence == 0:
                taken += self._take_progress(event)
            elif self._is_next(event.sequence):
                self._cursor = event.sequence
                taken.append(event_from_wire(event))
                if event.WhichOneof("payload") == "finished":
                    self._state = _State.FINISHING
            elif event.sequence > (self._cursor or 0):
                self._gap(event.sequence, now)
        return taken

    def _take_progress(self, event: event_pb2.JobEvent) -> list[Event]:
        """Pass on the latest value, unless a resumed stream tells it again."""
        content = event.SerializeToString(deterministic=True)
        if content == self._last_progress:
            return []
        self._last_progress = content
        return [event_from_wire(event)]

    def _is_next(self, sequence: int) -> bool:
        if self._cursor is None:
            return True
        if self._plan.event_types:
            return sequence > self._cursor
        return sequence == self._cursor + 1

    def _advance(self, cursor: int, now: float) -> None:
        """Follow the server's cursor over filtered events; unfiltered, it must equal ours."""
        if self._cursor is None or self._plan.event_types:
            self._cursor = max(cursor, self._cursor or 0)
        elif cursor > self._cursor:
            self._gap(cursor, now)

    def _gap(self, sequence: int, now: float) -> None:
        """Ask again from the last good event; a server that insists has lost history."""
        self._gaps += 1
        missing = f"events {(self._cursor or 0) + 1} to {sequence - 1} of {self._name}"
        if self._gaps > GAP_PATIENCE:
            self._error = errors.DataLoss(
                errors.Refusal(
                    code="DATA_LOSS",
                    reason="EVENT_GAP",
                    message=f"the server leaves out {missing}",
                    resource=self._name,
                )
            )
        self._lose(f"{missing} were left out", now)

    def _healed(self, now: float) -> None:
        """Take note that the stream works again."""
        if self._lost_at is not None:
            self.interruptions.append(
                Interruption(self._cursor or 0, self._lost_to, True, now - self._lost_at)
            )
            self._lost_at = None
        if now - self._opened_at >= HEALTHY_S:
            self._failures = self._gaps = 0

    def _lose(self, cause: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """Plan the next stream, with full jitter so that many watchers do not come at once."""
        if self._state is _State.FINISHING:
            self._state = _State.DONE
            return
        ceiling = min(BACKOFF_CEILING_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 16))
        self._delay_s = retry_after_s + self._jitter() * ceiling
        self._failures += 1
        self._state = _State.CLOSED
        self._lost_to = cause
        if self._lost_at is None:
            self._lost_at = now
            self.interruptions.append(Interruption(self._cursor or 0, cause, False))

    def _too_late(self) -> errors.WaitTimeout:
        job_id = self._name.rpartition("/")[2]
        return errors.WaitTimeout(
            errors.Refusal(
                code="DEADLINE_EXCEEDED",
                reason="WAIT_TIMEOUT",
                message=(
                    f"job {job_id} has not ended within {self._plan.timeout_s:g} s; it goes on, "
                    f"seen up to event {self._cursor or 0}"
                ),
                resource=self._name,
                hint=f"come back with client.job({job_id!r}).wait(), or: jobplane watch {job_id}",
            )
        )

    def _stalled(self) -> errors.WatchStalled:
        job_id = self._name.rpartition("/")[2]
        return errors.WatchStalled(
            errors.Refusal(
                code="UNAVAILABLE",
                reason="WATCH_STALLED",
                message=(
                    f"the watch of job {job_id} could not be resumed within "
                    f"{self._plan.max_resume_s:g} s ({self._lost_to}); the job goes on"
                ),
                resource=self._name,
                metadata={"cursor": str(self._cursor or 0)},
                hint=f"come back with client.job({job_id!r}).events("
                f"after_sequence={self._cursor or 0})",
            )
        )

    def _deleted(self) -> errors.NotFound:
        return errors.NotFound(
            errors.Refusal(
                code="NOT_FOUND",
                reason="JOB_NOT_FOUND",
                message=f"{self._name} was deleted while it was watched",
                resource=self._name,
            )
        )
