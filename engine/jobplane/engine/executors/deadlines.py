"""Deadlines: when a live attempt has taken too long, and why."""

from collections.abc import Iterable

from jobplane.engine.domain.attempt import Assignment
from jobplane.engine.domain.event import DurablePayload, StageFinished, StageStarted
from jobplane.engine.domain.job import Failure
from jobplane.engine.executors import failures
from jobplane.engine.kinds.base import Kind


class Deadlines:
    """The clocks of one attempt, on a monotonic time that callers hand in."""

    def __init__(self, assignment: Assignment, kind: Kind, now: float) -> None:
        self._timeout_s = assignment.attempt_timeout_s
        self._stage_timeouts_s = assignment.spec.policy.stage_timeouts_s
        self._stall_s = kind.stall_timeout_s
        self._began = now
        self._heard = now
        self._stages: dict[str, float] = {}
        # While the server itself keeps an artifact, the work waits and can't be blamed.
        self._keeping = False

    @property
    def is_keeping(self) -> bool:
        """Whether the server keeps something for the work right now."""
        return self._keeping

    @property
    def stage(self) -> str:
        """Stage that began last and has not ended, or empty."""
        return next(reversed(self._stages), "")

    def restart(self, now: float) -> None:
        """Begin to count now."""
        self._began = self._heard = now

    def heard(self, now: float) -> None:
        """Note a sign of life of the work."""
        self._heard = now

    def keeping(self, busy: bool, now: float) -> None:
        """Note that the server keeps something for the work, or is done with it."""
        self._keeping = busy
        self._heard = now

    def follow(self, payloads: Iterable[DurablePayload], now: float) -> None:
        """Note the stages that begin and end."""
        for payload in payloads:
            if isinstance(payload, StageStarted):
                self._stages[payload.stage] = now
            elif isinstance(payload, StageFinished):
                self._stages.pop(payload.stage, None)

    def overdue(self, now: float) -> Failure | None:
        """Give the failure of an attempt that is past one of its deadlines."""
        if self._timeout_s is not None and now - self._began > self._timeout_s:
            return failures.attempt_timeout(self._timeout_s)
        for stage, began in tuple(self._stages.items()):
            limit = self._stage_timeouts_s.get(stage)
            if limit is not None and now - began > limit:
                return failures.stage_timeout(stage, limit)
        if self._stall_s is not None and not self._keeping and now - self._heard > self._stall_s:
            return failures.stalled(self._stall_s)
        return None
