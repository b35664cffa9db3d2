"""Attempts in child processes: they can be killed, and can't hurt the server."""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable

from jobplane.engine.domain.attempt import Assignment, Broke, Intent
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.job import Failure
from jobplane.engine.executors import failures, frames
from jobplane.engine.executors.attempts import Kinds, names
from jobplane.engine.executors.code_version import engine_version
from jobplane.engine.executors.family import Family
from jobplane.engine.executors.pool import WarmPool
from jobplane.engine.executors.port import Reports
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.executors.supervision import Supervision, Surroundings

_log = logging.getLogger(__name__)
_TICK_S = 0.1
# After the grace everything is killed; reports that are under way get this long.
_LAST_WAIT_S = 20.0
_Fence = tuple[str, str, int]


class ProcessExecutor:
    """An Executor over child processes: one thread follows each live attempt."""

    def __init__(self, kinds: Kinds, settings: ExecutorSettings | None = None) -> None:
        self._kinds = kinds
        self._settings = settings or ExecutorSettings()
        self._family = Family(self._settings.processes.owner or uuid.uuid4().hex)
        self._pool = WarmPool(self._family, self._settings.processes)
        self._around: Surroundings | None = None
        self._lock = threading.Lock()
        self._is_quiet = threading.Condition(self._lock)
        self._live: dict[_Fence, Supervision] = {}
        self._waiting: deque[Supervision] = deque()
        # Attempts whose thread runs; a slot is free before its attempt has told its end.
        self._running: set[Supervision] = set()
        self._threads: set[threading.Thread] = set()
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper, 0 before the first child."""
        return self._family.keeper_pid

    def start(self, reports: Reports) -> None:
        """Make ready to run attempts."""
        self._around = Surroundings(
            reports=reports,
            pool=self._pool,
            settings=self._settings.processes,
            kind_settings=self._settings.kinds,
            engine_version=engine_version(self._settings),
            when_over=self._free,
        )
        self._watcher = threading.Thread(target=self._watch_loop, name="children", daemon=True)
        self._watcher.start()

    def free_slots(self) -> int:
        """How many more attempts can be launched now."""
        with self._lock:
            return max(0, self._settings.processes.slots - len(self._live))

    def launch(self, assignment: Assignment) -> None:
        """Run an attempt; beyond the slots it waits for one."""
        around = self._around
        if around is None:
            raise RuntimeError("launch before start")
        try:
            kind = self._kinds.get(assignment.spec.kind)
        except EngineError as error:
            self._refuse(assignment, around.reports, error)
            return
        supervision = Supervision(assignment, kind, around)
        with self._lock:
            self._live[assignment.fence] = supervision
            self._waiting.append(supervision)
        if self._stop.is_set():
            self._end(supervision, failures.server_stopped())
        self._run_waiting()

    def _refuse(self, assignment: Assignment, reports: Reports, error: EngineError) -> None:
        failure = failures.kind_unavailable(assignment.spec.kind, error.message)

        def tell() -> None:
            reports.concluded(assignment, Broke(failure), cpu_s=0.0, peak_memory_bytes=0)

        with self._lock:
            self._start_thread(tell)

    def _run_waiting(self) -> None:
        with self._lock:
            while self._waiting and len(self._running) < self._settings.processes.slots:
                self._run(self._waiting.popleft())

    def _run(self, supervision: Supervision) -> None:
        self._running.add(supervision)
        self._start_thread(supervision.run)

    def _start_thread(self, call: Callable[[], None]) -> None:
        def run() -> None:
            try:
                call()
            except Exception:  # noqa: BLE001  see below
                # Only a sink that raises comes here; the thread ends, the executor goes on.
                _log.exception("the end of an attempt was refused")
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())
                    self._is_quiet.notify_all()

        thread = threading.Thread(target=run, name="attempt", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _free(self, supervision: Supervision) -> None:
        """Give the slot of an attempt that is over to the next one."""
        with self._lock:
            self._running.discard(supervision)
            if self._live.get(supervision.assignment.fence) is supervision:
                del self._live[supervision.assignment.fence]
        self._run_waiting()

    def control(self, fence: _Fence, intent: Intent) -> None:
        """Pass an intent on; KILL ends the whole process tree."""
        supervision = self._live.get(fence)
        if supervision is None:
            return
        if intent is Intent.KILL:
            self._end(supervision, failures.killed())
        else:
            supervision.order(frames.Control(intent))

    def _end(self, supervision: Supervision, verdict: Failure) -> None:
        """End an attempt by force; one that waits for a slot tells its end without one."""
        supervision.end(verdict)
        with self._lock:
            if supervision in self._waiting:
                self._waiting.remove(supervision)
                self._run(supervision)

    def stop(self, grace_s: float) -> None:
        """End everything within the grace; returns when it is done."""
        self._stop.set()
        for supervision in tuple(self._waiting):
            self._end(supervision, failures.server_stopped())
        for supervision in tuple(self._live.values()):
            supervision.order(frames.Control(Intent.PAUSE, draining=True))
        self._wait_quiet(grace_s)
        for supervision in tuple(self._live.values()):
            self._end(supervision, failures.server_stopped())
        self._wait_quiet(_LAST_WAIT_S)
        self._pool.close()
        self._family.close()
        if self._watcher is not None:
            self._watcher.join(_LAST_WAIT_S)

    def _wait_quiet(self, timeout_s: float) -> None:
        with self._lock:
            self._is_quiet.wait_for(lambda: not self._threads, timeout_s)

    def _watch_loop(self) -> None:
        while not (self._stop.wait(_TICK_S) and not self._threads):
            now = time.monotonic()
            for supervision in tuple(self._live.values()):
                try:
                    supervision.watch(now)
                except Exception:  # noqa: BLE001  see below
                    # One attempt must not end the watch over all the others.
                    _log.exception("a child can't be watched", extra=names(supervision.assignment))
            self._pool.retire_idle(now)
