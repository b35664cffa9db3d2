"""An executor that runs each attempt where its kind wants it, as the dispatcher does."""

from jobplane.engine.domain.attempt import Assignment, Intent
from jobplane.engine.executors.attempts import Kinds
from jobplane.engine.executors.perform import parsed
from jobplane.engine.executors.port import Executor, Reports
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.kinds.base import Isolation


class EitherExecutor:
    def __init__(self, kinds: Kinds, settings: ExecutorSettings) -> None:
        self._kinds = kinds
        self._executors: dict[Isolation, Executor] = {
            Isolation.THREAD: ThreadExecutor(kinds, settings),
            Isolation.PROCESS: ProcessExecutor(kinds, settings),
        }

    def start(self, reports: Reports) -> None:
        for executor in self._executors.values():
            executor.start(reports)

    def free_slots(self) -> int:
        return min(executor.free_slots() for executor in self._executors.values())

    def launch(self, assignment: Assignment) -> None:
        kind = self._kinds.get(assignment.spec.kind)
        wanted = kind.isolation(parsed(kind.spec, assignment.spec.params))
        self._executors[wanted].launch(assignment)

    def control(self, fence: tuple[str, str, int], intent: Intent) -> None:
        for executor in self._executors.values():
            executor.control(fence, intent)

    def stop(self, grace_s: float) -> None:
        for executor in self._executors.values():
            executor.stop(grace_s)
