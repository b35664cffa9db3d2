"""Log lines of a job, in order, over cuts and attempts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobplane.client._event import instant
from jobplane.client._resuming import Resuming
from jobplane.v1 import job_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from jobplane.v1 import job_pb2

# A server that has nothing to tell says so this often.
HEARTBEAT_S = 15.0


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that an attempt printed."""

    # 1, 2, 3 ... within the attempt.
    number: int
    attempt: int
    time: datetime
    # "stdout", "stderr" or "system".
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines to read."""

    name: str
    attempt: int = 0
    after_line: int = 0
    tail: int = 0
    follow: bool = False

    def request(self) -> job_service_pb2.TailJobLogsRequest:
        """Request for one stream."""
        return job_service_pb2.TailJobLogsRequest(
            name=self.name,
            attempt=self.attempt,
            after_line=self.after_line,
            tail_lines=self.tail,
            follow=self.follow,
        )


class LogMachine(Resuming[LogLine]):
    """One reading of a log. After a cut it goes on in the attempt that it was in."""

    def __init__(
        self,
        query: LogQuery,
        *,
        timeout_s: float | None,
        max_resume_s: float,
        now: float,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(
            f"the log of {query.name}",
            heartbeat_s=HEARTBEAT_S,
            timeout_s=timeout_s,
            max_resume_s=max_resume_s,
            now=now,
            jitter=jitter,
        )
        self._asked = query
        self._next = query
        # Once cut, a stream is about one attempt, and the ones after it are asked for.
        self._was_cut = False

    def _request(self) -> job_service_pb2.TailJobLogsRequest:
        return self._next.request()

    def _take(self, frame: Any) -> Sequence[LogLine]:
        lines = [
            LogLine(one.line, one.attempt, instant(one.time), one.stream, one.text)
            for one in frame.lines
        ]
        if lines:
            last = lines[-1]
            self._next = replace(self._next, attempt=last.attempt, after_line=last.number, tail=0)
        if frame.end:
            self._take_end()
        return lines

    def _take_end(self) -> None:
        goes_on = self._asked.follow and not self._asked.attempt
        if goes_on and self._was_cut and self._next.attempt:
            self._is_to_look = True
            self._again()
        else:
            self._is_done = True

    def looked(self, job: job_pb2.Job) -> None:
        """Go on with the next attempt, if one came or may come."""
        if job.attempt > self._next.attempt or not job.done:
            self._next = replace(self._next, attempt=self._next.attempt + 1, after_line=0)
        else:
            self._is_done = True

    def _lose(self, cause: str, now: float, *, retry_after_s: float = 0.0) -> None:
        self._was_cut = True
        super()._lose(cause, now, retry_after_s=retry_after_s)
