"""The local executor: each attempt where its kind wants it, in a thread or in a process."""

import time
from collections.abc import Mapping

from google.protobuf.message import DecodeError

from jobplane.engine.domain.attempt import Assignment, Intent
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.executors.attempts import Kinds
from jobplane.engine.executors.perform import parsed
from jobplane.engine.executors.port import Reports
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.kinds.base import Isolation


class LocalExecutor:
    """An Executor over this machine's threads and processes."""

    def __init__(self, kinds: Kinds, settings: ExecutorSettings | None = None) -> None:
        self._kinds = kinds
        self.threads = ThreadExecutor(kinds, settings)
        self.processes = ProcessExecutor(kinds, settings)

    def start(self, reports: Reports) -> None:
        """Make ready to run attempts."""
        self.threads.start(reports)
        self.processes.start(reports)

    def free_slots(self) -> int:
        """How many more attempts can be launched now, wherever they want to run."""
        return min(self.free_slots_by_isolation().values())

    def free_slots_by_isolation(self) -> Mapping[Isolation, int]:
        """How many more attempts of each isolation can be launched now."""
        return {
            Isolation.THREAD: self.threads.free_slots(),
            Isolation.PROCESS: self.processes.free_slots(),
        }

    def launch(self, assignment: Assignment) -> None:
        """Run an attempt where its kind wants it."""
        if self._isolation(assignment) is Isolation.THREAD:
            self.threads.launch(assignment)
        else:
            self.processes.launch(assignment)

    def _isolation(self, assignment: Assignment) -> Isolation:
        """Give the isolation of an attempt; what can't be read is told as such by a process."""
        try:
            kind = self._kinds.get(assignment.spec.kind)
            return kind.isolation(parsed(kind.spec, assignment.spec.params))
        except (EngineError, DecodeError, ValueError):
            return Isolation.PROCESS

    def control(self, fence: tuple[str, str, int], intent: Intent) -> None:
        """Pass an intent on to where the attempt runs."""
        self.threads.control(fence, intent)
        self.processes.control(fence, intent)

    def stop(self, grace_s: float) -> None:
        """End everything within the grace; returns when it is done."""
        began = time.monotonic()
        self.threads.stop(grace_s)
        self.processes.stop(max(0.0, grace_s - (time.monotonic() - began)))
