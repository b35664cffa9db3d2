"""Tells live attempts what became of their jobs, after it is durable."""

from collections.abc import Iterable, Sequence

from jobplane.engine.domain.attempt import Intent
from jobplane.engine.domain.change import Change
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.executors.port import Executor


class Steering:
    """Acts on the row first, the worker second: a lost message is made good by the reaper."""

    def __init__(self, executors: Iterable[Executor]) -> None:
        self._executors = tuple(executors)

    def follow(self, changes: Sequence[Change]) -> None:
        """Pass on what the changes mean for live attempts."""
        for change in changes:
            intent = _intent(change)
            if intent is not None and change.before is not None:
                before = change.before
                self.send((before.project, before.job_id, before.attempt), intent)

    def send(self, fence: tuple[str, str, int], intent: Intent) -> None:
        """Pass an intent to whichever executor has the attempt."""
        for executor in self._executors:
            executor.control(fence, intent)


def _intent(change: Change) -> Intent | None:
    before, after = change.before, change.job
    if before is None or not before.status.is_active:
        return None
    if not after.status.is_active:
        # An attempt that concluded itself is unknown to its executor by now.
        return Intent.KILL
    match before.status, after.status:
        case _, JobStatus.CANCELLING if before.status is not after.status:
            return Intent.CANCEL
        case JobStatus.RUNNING, JobStatus.PAUSING:
            return Intent.PAUSE
        case JobStatus.PAUSING, JobStatus.RUNNING:
            return Intent.CONTINUE
        case _:
            return None
