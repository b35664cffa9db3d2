"""Decides how a stream that can be gone on from goes on, without any input or output itself.

A shell asks `step` what to do, does it, and tells what came of it. What the frames mean,
and where to come back to, is for the kinds of stream to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jobplane.client import errors
from jobplane.client._steps import Ask, Fail, Look, Read, Step, Stop
from jobplane.client._watch import (
    BACKOFF_CEILING_S,
    BACKOFF_FIRST_S,
    FATAL_CODES,
    HEALTHY_S,
    STALL_HEARTBEATS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message

    from jobplane.v1 import job_pb2

Item = TypeVar("Item")


class Resuming(ABC, Generic[Item]):
    """One reading of something, over as many streams as it takes."""

    def __init__(
        self,
        what: str,
        *,
        heartbeat_s: float,
        timeout_s: float | None,
        max_resume_s: float,
        now: float,
        jitter: Callable[[], float],
    ) -> None:
        self._what = what
        self._heartbeat_s = heartbeat_s
        self._max_resume_s = max_resume_s
        self._jitter = jitter
        self._deadline = None if timeout_s is None else now + timeout_s
        self._timeout_s = timeout_s
        self._is_open = False
        self._is_done = False
        self._is_to_look = False
        self._error: errors.JobplaneError | None = None
        self._delay_s = 0.0
        self._failures = 0
        self._opened_at = now
        self._heard_at = now
        self._lost_at: float | None = None
        self._lost_to = "the stream was never opened"

    @abstractmethod
    def _request(self) -> Message:
        """What to open the next stream with."""

    @abstractmethod
    def _take(self, frame: Any) -> Sequence[Item]:
        """What a frame holds for the caller."""

    def looked(self, job: job_pb2.Job) -> None:
        """Take note of what the job says."""

    def step(self, now: float) -> Step:
        """What to do next."""
        if self._error is not None:
            return Fail(self._error)
        if self._is_done:
            return Stop()
        if self._deadline is not None and now >= self._deadline:
            return Fail(self._too_late())
        return self._step_on(now)

    def _step_on(self, now: float) -> Step:
        if self._is_to_look:
            self._is_to_look = False
            return Look()
        if not self._is_open:
            if self._lost_at is not None and now - self._lost_at >= self._max_resume_s:
                return Fail(self._stalled())
            return Ask(self._request(), self._within(self._delay_s, now))
        left_s = self._heard_at + STALL_HEARTBEATS * self._heartbeat_s - now
        if left_s <= 0:
            self.silent(now)
            return self.step(now)
        return Read(self._within(left_s, now))

    def _within(self, span_s: float, now: float) -> float:
        return span_s if self._deadline is None else min(span_s, self._deadline - now)

    def opened(self, now: float) -> None:
        """Take note that a stream was opened."""
        self._is_open = True
        self._opened_at = self._heard_at = now

    def received(self, frame: Any, now: float) -> Sequence[Item]:
        """What to hand to the caller for a frame."""
        self._heard_at = now
        items = self._take(frame)
        if self._is_open:
            self._lost_at = None
        if items or now - self._opened_at >= HEALTHY_S:
            self._failures = 0
        return items

    def ended(self, now: float) -> None:
        """Take note that the stream ended with OK but said no end."""
        if self._is_open:
            self._lose("the server ended the stream without an end frame", now)

    def failed(self, error: errors.JobplaneError, now: float) -> None:
        """Take note that the stream broke."""
        if error.code in FATAL_CODES:
            self._error = error
        else:
            self._lose(error.message, now, retry_after_s=error.retry_after or 0.0)

    def silent(self, now: float) -> None:
        """Take note that the time to wait passed without a frame."""
        if self._deadline is None or now < self._deadline:
            self._lose(f"no sign of life for {now - self._heard_at:.0f} s", now)

    def _lose(self, cause: str, now: float, *, retry_after_s: float = 0.0) -> None:
        """Plan the next stream, with full jitter so that many readers do not come at once."""
        ceiling = min(BACKOFF_CEILING_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 16))
        self._delay_s = retry_after_s + self._jitter() * ceiling
        self._failures += 1
        self._is_open = False
        self._lost_to = cause
        self._lost_at = now if self._lost_at is None else self._lost_at

    def _again(self) -> None:
        """Open the next stream at once: the last one ended as it should."""
        self._is_open = False
        self._delay_s = 0.0

    def _too_late(self) -> errors.WaitTimeout:
        message = f"{self._what} did not end within {self._timeout_s or 0.0:g} s; the work goes on"
        return errors.WaitTimeout(
            errors.Refusal(code="DEADLINE_EXCEEDED", reason="WAIT_TIMEOUT", message=message)
        )

    def _stalled(self) -> errors.WatchStalled:
        message = (
            f"{self._what} could not be resumed within {self._max_resume_s:g} s "
            f"({self._lost_to}); the work goes on"
        )
        return errors.WatchStalled(
            errors.Refusal(code="UNAVAILABLE", reason="WATCH_STALLED", message=message)
        )
