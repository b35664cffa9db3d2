"""Attempts in threads of the server: for trusted work that is over soon.

A thread can't be killed. Work that is to be killed is abandoned: its attempt concludes,
its reports are refused, and another thread takes its slot.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Assignment, Broke, Conclusion, Intent
from jobplane.engine.domain.errors import EngineError
from jobplane.engine.domain.event import DurablePayload
from jobplane.engine.domain.job import Failure, Progress
from jobplane.engine.executors import failures
from jobplane.engine.executors.attempts import Kinds, attempt_of, names
from jobplane.engine.executors.code_version import engine_version
from jobplane.engine.executors.context import AttemptContext
from jobplane.engine.executors.deadlines import Deadlines
from jobplane.engine.executors.perform import loaded, parsed, perform
from jobplane.engine.executors.port import Reports
from jobplane.engine.executors.settings import ExecutorSettings
from jobplane.engine.kinds.base import Kind, Stopped

_log = logging.getLogger(__name__)
_TICK_S = 0.05
# Between looks at an empty executor: launches wake nobody, they are too many.
_REST_S = 0.25
_ALIVE_S = 1.0
# After the grace only reports that are under way are waited for.
_LAST_WAIT_S = 5.0


class _Live:
    """One attempt in a thread: the sink of its context, and the guard of its end."""

    def __init__(
        self, assignment: Assignment, reports: Reports, when_over: "Callable[[_Live], None]"
    ) -> None:
        self.assignment = assignment
        self._reports = reports
        self._when_over = when_over
        # Held while a report is under way and while concluding, so that the end is last.
        self._lock = threading.Lock()
        self.context: AttemptContext | None = None
        self.deadlines: Deadlines | None = None
        self._intents: list[Intent] = []
        self._draining = False
        self.verdict: Failure | None = None
        self.is_over = False
        self.is_running = False
        self.is_replaced = False

    def begin(self, context: AttemptContext, kind: Kind) -> None:
        """Bind the context; what was ordered before reaches it now."""
        self.deadlines = Deadlines(self.assignment, kind, time.monotonic())
        with self._lock:
            self.context = context
            for intent in self._intents:
                context.order(intent)
            if self._draining:
                context.drain()

    def order(self, intent: Intent) -> None:
        """Pass an intent to the work, now or when it begins."""
        if self.context is not None:
            self.context.order(intent)
            return
        self._intents.append(intent)
        if (context := self.context) is not None:
            context.order(intent)

    def drain(self) -> None:
        """Have the work stop because the server does."""
        self._draining = True
        if (context := self.context) is not None:
            context.drain()

    def conclude(self, conclusion: Conclusion, *, cpu_s: float, wait: bool) -> None:
        """Tell the end if nobody did; without a wait not while a report is in the way."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            if not self.is_over:
                self.is_over = True
                # The commit of this end can fill the slot with the next attempt.
                self._when_over(self)
                self._reports.concluded(
                    self.assignment, conclusion, cpu_s=cpu_s, peak_memory_bytes=0
                )
        except Exception:  # noqa: BLE001  see below
            # The sink promises not to raise; if it does, the slot must come back all the same.
            _log.exception("the end of an attempt was refused", extra=names(self.assignment))
        finally:
            self._lock.release()

    @contextmanager
    def _reporting(self) -> Generator[Reports]:
        with self._lock:
            if self.is_over:
                raise Stopped
            yield self._reports
            if self.deadlines is not None:
                self.deadlines.heard(time.monotonic())

    @contextmanager
    def _keeping(self) -> Generator[Reports]:
        with self._reporting() as reports:
            if self.deadlines is not None:
                self.deadlines.keeping(True, time.monotonic())
            try:
                yield reports
            finally:
                if self.deadlines is not None:
                    self.deadlines.keeping(False, time.monotonic())

    def alive(self) -> None:
        """Tell that the attempt is live."""
        if not self.is_over:
            self._reports.alive(self.assignment)

    def beat(self) -> None:
        """Note that the work came by."""
        with self._reporting():
            pass

    def progress(self, progress: Progress) -> None:
        """Pass the latest progress on."""
        with self._reporting() as reports:
            reports.progress(self.assignment, progress)

    def events(self, payloads: Sequence[DurablePayload]) -> None:
        """Pass events on."""
        with self._reporting() as reports:
            if self.deadlines is not None:
                self.deadlines.follow(payloads, time.monotonic())
            reports.events(self.assignment, payloads)

    def artifact(
        self, *, name: str, path: Path, media_type: str, artifact_type: ArtifactType, stage: str
    ) -> None:
        """Pass a file on."""
        with self._keeping() as reports:
            reports.artifact(
                self.assignment,
                name=name,
                path=path,
                media_type=media_type,
                type=artifact_type,
                stage=stage,
            )

    def checkpoint(self, data: bytes, *, completed_units: int) -> None:
        """Pass a checkpoint on."""
        with self._keeping() as reports:
            reports.checkpoint(self.assignment, data, completed_units=completed_units)


class ThreadExecutor:
    """An Executor over a bounded pool of threads."""

    def __init__(self, kinds: Kinds, settings: ExecutorSettings | None = None) -> None:
        self._kinds = kinds
        self._settings = settings or ExecutorSettings()
        self._version = engine_version(self._settings)
        self._queue: queue.SimpleQueue[_Live | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._live: dict[tuple[str, str, int], _Live] = {}
        self._threads: set[threading.Thread] = set()
        self._stuck: set[_Live] = set()
        self._reports: Reports | None = None
        self._wake = threading.Event()
        self._is_idle = threading.Condition(self._lock)
        self._watcher: threading.Thread | None = None
        self._stopped = False

    @property
    def stuck_slots(self) -> int:
        """Threads whose work was abandoned and still runs."""
        return len(self._stuck)

    def start(self, reports: Reports) -> None:
        """Make ready to run attempts."""
        self._reports = reports
        with self._lock:
            for _ in range(self._settings.threads.slots):
                self._add_thread()
        self._watcher = threading.Thread(target=self._watch_loop, name="attempts", daemon=True)
        self._watcher.start()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work_loop, name="attempt", daemon=True)
        self._threads.add(thread)
        thread.start()

    def free_slots(self) -> int:
        """How many more attempts can be launched now."""
        with self._lock:
            lost = sum(not live.is_replaced for live in self._stuck)
            return max(0, self._settings.threads.slots - lost - len(self._live))

    def launch(self, assignment: Assignment) -> None:
        """Run an attempt as soon as a thread is free."""
        if self._reports is None:
            raise RuntimeError("launch before start")
        live = _Live(assignment, self._reports, self._free)
        with self._lock:
            self._live[assignment.fence] = live
        if self._stopped:
            # No pool is left to tell the end.
            live.verdict = failures.server_stopped()
            threading.Thread(target=self._run, args=(live,), name="attempt", daemon=True).start()
        else:
            self._queue.put(live)

    def control(self, fence: tuple[str, str, int], intent: Intent) -> None:
        """Pass an intent on; KILL abandons the attempt."""
        live = self._live.get(fence)
        if live is None:
            return
        if intent is Intent.KILL:
            live.verdict = live.verdict or failures.killed()
            self._wake.set()
        else:
            live.order(intent)

    def stop(self, grace_s: float) -> None:
        """End everything within the grace; returns when it is done."""
        with self._lock:
            self._stopped = True
            live_ones = tuple(self._live.values())
        for live in live_ones:
            live.drain()
        self._wait_idle(grace_s)
        for live in tuple(self._live.values()):
            live.verdict = live.verdict or failures.server_stopped()
        self._wake.set()
        self._wait_idle(_LAST_WAIT_S)
        for _ in range(len(self._threads)):
            self._queue.put(None)
        self._wake.set()
        last_wait_s = _TICK_S if self._stuck else _LAST_WAIT_S
        for thread in tuple(self._threads):
            thread.join(last_wait_s)
        if self._watcher is not None:
            self._watcher.join(_LAST_WAIT_S)

    def _wait_idle(self, timeout_s: float) -> None:
        with self._lock:
            self._is_idle.wait_for(lambda: not self._live, timeout_s)

    def _work_loop(self) -> None:
        while (live := self._queue.get()) is not None:
            self._run(live)
            with self._lock:
                self._stuck.discard(live)
                if live.is_replaced:
                    break
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _run(self, live: _Live) -> None:
        live.is_running = True
        if live.is_over or live.verdict is not None:
            live.conclude(Broke(live.verdict or failures.killed()), cpu_s=0.0, wait=True)
            return
        began = time.thread_time()
        try:
            conclusion = self._performed(live)
        except Exception as error:  # noqa: BLE001  see below
            _log.exception("attempt failed in the executor", extra=names(live.assignment))
            conclusion = Broke(failures.internal(error))
        live.conclude(conclusion, cpu_s=time.thread_time() - began, wait=True)

    def _performed(self, live: _Live) -> Conclusion:
        assignment = live.assignment
        try:
            kind = self._kinds.get(assignment.spec.kind)
            work = loaded(kind.work)
        except (EngineError, ImportError, AttributeError) as error:
            return Broke(failures.kind_unavailable(assignment.spec.kind, str(error)))
        attempt = attempt_of(
            assignment, settings=self._settings.kinds.get(kind.name, {}), code_version=self._version
        )
        context = AttemptContext(attempt, live)
        live.begin(context, kind)
        return perform(work, parsed(kind.spec, assignment.spec.params), context)

    def _free(self, live: _Live) -> None:
        """Give back the slot of an attempt that is over."""
        with self._lock:
            if self._live.get(live.assignment.fence) is live:
                del self._live[live.assignment.fence]
            self._is_idle.notify_all()

    def _watch_loop(self) -> None:
        alive_due = 0.0
        while not (self._stopped and not self._live):
            self._wake.wait(_TICK_S if self._live else _REST_S)
            self._wake.clear()
            now = time.monotonic()
            tell_alive = now >= alive_due
            if tell_alive:
                alive_due = now + _ALIVE_S
            for live in tuple(self._live.values()):
                try:
                    self._watch(live, now, tell_alive=tell_alive)
                except Exception:  # noqa: BLE001  see below
                    # One attempt must not end the watch over all the others.
                    _log.exception("an attempt can't be watched", extra=names(live.assignment))

    def _watch(self, live: _Live, now: float, *, tell_alive: bool) -> None:
        if live.verdict is None and live.deadlines is not None:
            live.verdict = live.deadlines.overdue(now)
        if live.verdict is not None:
            self._abandon(live, live.verdict)
            return
        if tell_alive:
            live.alive()
        if live.context is not None:
            live.context.flush_due()

    def _abandon(self, live: _Live, verdict: Failure) -> None:
        with self._lock:
            if live.is_running and not live.is_over and live not in self._stuck:
                self._stuck.add(live)
                if len(self._stuck) <= self._settings.threads.max_stuck:
                    live.is_replaced = True
                    self._add_thread()
        live.conclude(Broke(verdict), cpu_s=0.0, wait=False)
