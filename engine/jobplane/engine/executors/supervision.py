"""Supervision: the server's side of one attempt in a child process, from launch to its end."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Assignment, Broke, Conclusion
from jobplane.engine.domain.job import Failure
from jobplane.engine.executors import failures, frames
from jobplane.engine.executors.attempts import names
from jobplane.engine.executors.deadlines import Deadlines
from jobplane.engine.executors.family import Exit
from jobplane.engine.executors.leash import Leash
from jobplane.engine.executors.listening import Listener, conclusion_of
from jobplane.engine.executors.pool import Recipe, WarmPool
from jobplane.engine.executors.port import Reports
from jobplane.engine.executors.settings import ProcessSettings
from jobplane.engine.kinds.base import Kind

_log = logging.getLogger(__name__)
_ALIVE_S = 1.0
_PINGS_PER_TIMEOUT = 4
# A spare child may have died before it was taken; a fresh one that dies is a failure.
_MAX_SPARES_TRIED = 4
_TURN_S = 1.0
# A killed process that does not end hangs in the kernel; the job must not hang with it.
_KILL_PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What supervisions of one executor share."""

    reports: Reports
    pool: WarmPool
    settings: ProcessSettings
    kind_settings: Mapping[str, Mapping[str, Any]]
    engine_version: str
    when_over: Callable[["Supervision"], None]


class Supervision:
    """One attempt in one child. The thread of `run` tells its end exactly once."""

    def __init__(self, assignment: Assignment, kind: Kind, around: Surroundings) -> None:
        self.assignment = assignment
        self._recipe = Recipe.of(kind)
        self._around = around
        self._settings = around.settings
        self._lock = threading.Lock()
        self._orders: deque[frames.ToChild] = deque()
        self._verdict: Failure | None = None
        self._ended_by_force_at: float | None = None
        self._leash: Leash | None = None
        self._deadlines = Deadlines(assignment, kind, time.monotonic())
        self._listener = Listener(
            assignment, reports=around.reports, deadlines=self._deadlines, reply=self._send
        )
        self._has_begun = False
        self._result_at: float | None = None
        self._alive_due = 0.0
        self._ping_due = 0.0
        self._is_over = False

    # Asked by other threads.

    def order(self, control: frames.Control) -> None:
        """Pass an intent on to the work."""
        self._orders.append(control)
        self._nudge()

    def end(self, verdict: Failure) -> None:
        """End the attempt by force; the first verdict stands."""
        with self._lock:
            self._verdict = self._verdict or verdict
            self._ended_by_force_at = self._ended_by_force_at or time.monotonic()
            leash = self._leash
        if leash is not None:
            leash.child.kill()
            leash.nudge()

    def _nudge(self) -> None:
        leash = self._leash
        if leash is not None:
            leash.nudge()

    def watch(self, now: float) -> None:
        """Tell that the attempt is live, and end it when it is overdue."""
        if self._is_over:
            return
        if now >= self._alive_due:
            self._alive_due = now + _ALIVE_S
            self._around.reports.alive(self.assignment)
        if self._result_at is not None:
            if now - self._result_at > self._settings.exit_grace_s and self._leash is not None:
                self._leash.child.kill()
        elif self._has_begun and self._verdict is None:
            overdue = self._deadlines.overdue(now) or self._unanswered(now)
            if overdue is not None:
                self.end(overdue)

    def _unanswered(self, now: float) -> Failure | None:
        timeout_s = self._settings.ping_timeout_s
        if not timeout_s or self._deadlines.is_keeping:
            return None
        if now - self._listener.ponged_at > timeout_s:
            return failures.stalled(timeout_s)
        if now >= self._ping_due:
            self._ping_due = now + timeout_s / _PINGS_PER_TIMEOUT
            self._orders.append(frames.Ping())
            self._nudge()
        return None

    # The thread of the attempt.

    def run(self) -> None:
        """Follow the attempt to its end and tell it."""
        how = Exit(code=None)
        try:
            conclusion, how = self._followed()
        except Exception as error:  # noqa: BLE001  whatever happens, the attempt ends once
            _log.exception("an attempt can't be followed", extra=names(self.assignment))
            conclusion = Broke(self._verdict or failures.internal(error))
        finally:
            self._let_go()
        if isinstance(conclusion, Broke):
            conclusion = Broke(self._located(conclusion.failure))
        self._is_over = True
        self._around.when_over(self)
        self._around.reports.concluded(
            self.assignment, conclusion, cpu_s=how.cpu_s, peak_memory_bytes=how.peak_bytes
        )

    def _located(self, failure: Failure) -> Failure:
        stage = failure.stage or self._deadlines.stage
        return replace(failure, stage=stage, attempt=self.assignment.attempt)

    def _followed(self) -> tuple[Conclusion, Exit]:
        leash = self._started()
        if leash is None:
            return Broke(self._verdict or failures.child_start_failed("no child lived")), Exit(
                code=None
            )
        if self._listener.is_ready and self._verdict is None:
            self._begin(leash)
            # Its first word comes first: the imports of the next child would take its cores.
            self._turn(leash)
            self._around.pool.refill(self._recipe)
        while leash.child.exit is None and not self._is_patience_over():
            while self._orders and self._has_begun:
                self._send(self._orders.popleft())
            self._turn(leash)
        leash.drain(self._hear)
        self._report_output(leash)
        how = leash.child.exit or Exit(code=None)
        return self._conclusion(how), how

    def _started(self) -> Leash | None:
        """Give a child that is ready or told why not; None when the attempt is to end first."""
        deadline = time.monotonic() + self._settings.start_timeout_s
        for _ in range(_MAX_SPARES_TRIED):
            if self._verdict is not None:
                return None
            child, was_warm = self._around.pool.take(self._recipe)
            tap = partial(self._around.reports.log, self.assignment)
            leash = Leash(child, self.assignment.folder, self._settings.log_limit_bytes, tap)
            with self._lock:
                self._leash = leash
            if self._verdict is not None:
                child.kill()
            child.when_exited(leash.nudge)
            while not self._is_settled(leash):
                self._turn(leash)
                if time.monotonic() > deadline:
                    limit_s = self._settings.start_timeout_s
                    self.end(failures.child_start_failed(f"not ready after {limit_s:g} s"))
                    break
            if not was_warm or child.exit is None or self._verdict is not None:
                return leash
            self._let_go()
        return None

    def _is_settled(self, leash: Leash) -> bool:
        heard = self._listener.is_ready or self._listener.refusal is not None
        return heard or leash.child.exit is not None or self._verdict is not None

    def _begin(self, leash: Leash) -> None:
        assignment = self.assignment
        limit = assignment.memory_limit_bytes or self._settings.memory_limit_bytes
        if limit:
            leash.child.limit_memory(limit)
        now = time.monotonic()
        self._deadlines.restart(now)
        self._listener.ponged_at = now
        self._ping_due = now + self._settings.ping_timeout_s / _PINGS_PER_TIMEOUT
        self._send(self._begin_frame())
        self._has_begun = True

    def _begin_frame(self) -> frames.Begin:
        assignment = self.assignment
        return frames.Begin(
            project=assignment.project,
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            engine_version=self._around.engine_version,
            folder=str(assignment.folder),
            params=assignment.spec.params,
            inputs={
                role: frames.GivenInput(
                    str(content.path),
                    content.filename,
                    content.media_type,
                    content.size_bytes,
                    content.sha256,
                )
                for role, content in assignment.inputs.items()
            },
            settings=dict(self._around.kind_settings.get(self._recipe.kind, {})),
            checkpoint=assignment.checkpoint,
            answers=dict(assignment.answers),
            cpu_limit_s=self._settings.cpu_limit_s,
        )

    def _turn(self, leash: Leash) -> None:
        try:
            is_open = leash.turn(_TURN_S, self._hear)
        except frames.FrameError as error:
            self.end(failures.protocol_broken(str(error)))
            return
        is_mute = not is_open and self._listener.ending is None and self._has_begun
        # A dying child closes its line too; its exit is told right after and says more.
        if is_mute and not leash.await_exit():
            self.end(failures.worker_lost("the process closed its line to the server"))

    def _hear(self, arrived: list[frames.ToServer]) -> None:
        self._listener.take(arrived)
        if self._listener.ending is not None and self._result_at is None:
            self._result_at = time.monotonic()

    def _send(self, frame: frames.ToChild) -> None:
        leash = self._leash
        if leash is not None and not leash.send(frame):
            self.end(failures.worker_lost("the process does not read from the server"))

    def _is_patience_over(self) -> bool:
        since = self._ended_by_force_at
        return since is not None and time.monotonic() - since > _KILL_PATIENCE_S

    def _report_output(self, leash: Leash) -> None:
        for output in leash.outputs:
            output.finish()
            if not output.is_empty:
                self._around.reports.artifact(
                    self.assignment,
                    name=f"logs/{output.path.name}",
                    path=output.path,
                    media_type="text/plain",
                    type=ArtifactType.LOG,
                    stage="",
                )

    def _conclusion(self, how: Exit) -> Conclusion:
        if self._listener.ending is not None:
            return conclusion_of(self._listener.ending)
        return Broke(self._listener.refusal or self._verdict or self._cause(how))

    def _cause(self, how: Exit) -> Failure:
        if how.refusal:
            return failures.child_start_failed(how.refusal)
        if how.code is None:
            return failures.worker_lost("the process was lost with its keeper")
        if not self._has_begun:
            return failures.child_start_failed(f"it ended with {how.code} before it was ready")
        return self._cause_of_end(how, how.code)

    def _cause_of_end(self, how: Exit, code: int) -> Failure:
        if how.was_over_limit:
            limit = self.assignment.memory_limit_bytes or self._settings.memory_limit_bytes
            return failures.memory_limit(limit)
        if how.was_oom:
            return failures.out_of_memory()
        return failures.of_signal(-code) if code < 0 else failures.of_exit_code(code)

    def _let_go(self) -> None:
        with self._lock:
            leash, self._leash = self._leash, None
        if leash is not None:
            if leash.child.exit is None:
                leash.child.kill()
            leash.close()
