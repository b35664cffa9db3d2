"""Simulated work: attempts as actors that do one thing when it is their turn."""

import json
from functools import partial
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Asked, Broke, Completed, Intent, Yielded
from jobplane.engine.domain.event import MetricReported, StageStarted, Warned
from jobplane.engine.domain.job import (
    DefaultAction,
    Failure,
    FailureCategory,
    Gap,
    InputRequest,
    JobResult,
    Progress,
    Question,
)
from jobplane.engine.kinds.base import Isolation, Kind

LANES = ("THREAD", "PROCESS")
PAUSABLE = "sim"
UNPAUSABLE = "rigid"
_PROPERTIES: dict[str, Any] = {name: {} for name in ("lane", "units", "end", "asks", "deaf")}
KINDS = tuple(
    Kind(
        name=name,
        description="Simulated work.",
        work="",
        schema={"type": "object", "properties": _PROPERTIES},
        pausable=name == PAUSABLE,
        checkpointing=True,
        interactive=True,
        isolation=lambda params: Isolation(params["lane"]),
    )
    for name in (PAUSABLE, UNPAUSABLE)
)


class Attempt:
    """One live attempt in the hands of a worker."""

    def __init__(self, *, number, assignment, reports, server, world):
        self.number = number
        self.assignment = assignment
        self.reports = reports
        self.server = server
        self._world = world
        self.params = json.loads(assignment.spec.params)
        self.intent = None
        self.is_hung = False
        # A thread that can't be killed works on, for a job that is no longer its own.
        self.defiance = world.rng.choice((0, 0, 4, 20))
        self.is_over = False
        # Reports that must become durable, so far.
        self.told = 0
        self.done_units = 0
        if assignment.checkpoint is not None:
            self.done_units = json.loads(assignment.checkpoint)["units"]

    def step(self):
        """Do one thing: obey, work, report, or end in some way."""
        rng = self._world.rng
        if self.is_over:
            return
        is_replaced = self._world.model.is_replaced(self.assignment)
        if is_replaced:
            self._world.sometimes("stale_attempt_works")
        if self.intent is Intent.KILL and self._obeys_kill():
            self._end(self._broke("KILLED", retryable=True))
        elif self._is_still(is_replaced=is_replaced):
            return
        elif self.intent in {Intent.CANCEL, Intent.PAUSE} and rng.chance(0.8):
            self._obey()
        elif self.done_units >= self.params["units"] and self.intent is not Intent.KILL:
            self._finish()
        else:
            self._work()

    def _is_still(self, *, is_replaced):
        """Whether it does nothing, though it could."""
        rng = self._world.rng
        if self.intent is Intent.KILL:
            # It does most harm, if it can, when another has its job.
            return not is_replaced and rng.chance(0.9)
        return self.is_hung or bool(self.params["deaf"] and self.intent and rng.chance(0.7))

    def _obeys_kill(self):
        self.defiance -= 1
        return self.defiance < 0

    def control(self, intent):
        if intent is Intent.CONTINUE:
            if self.intent is Intent.PAUSE:
                self.intent = None
        elif self.intent is not Intent.KILL:
            self.intent = intent

    def stop(self):
        """The server drains: save what can be saved, and end."""
        if not self.is_over:
            if self._world.rng.chance(0.5):
                self._checkpoint()
            self._end(self._broke("SERVER_STOPPED", retryable=True))

    def linger(self):
        """Report though it is over, or not the job's any more."""
        self._world.sometimes("late_report")
        rng = self._world.rng
        if rng.chance(0.5):
            self.reports.events(self.assignment, [Warned("LATE", f"late {self.number}")])
        else:
            self._conclude(Completed(JobResult(headline="late")))

    def _obey(self):
        if self.intent is Intent.PAUSE:
            self._checkpoint()
            self._world.sometimes("paused_by_work")
        self._end(Yielded(self.intent))

    def _work(self):
        rng = self._world.rng
        if rng.chance(0.02):
            self.is_hung = True
            self._world.note(f"attempt {self.number} hangs")
            self._world.sometimes("hung")
            return
        if self.params["asks"] and not self.assignment.answers and rng.chance(0.3):
            self._checkpoint()
            self._ask()
            return
        self.done_units += 1
        tell = (
            self._progress,
            self._checkpoint,
            self._metric,
            partial(self._emit, Warned("MARK", self._mark())),
            partial(self._emit, StageStarted(self._mark())),
            self._artifact,
            lambda: self.reports.alive(self.assignment),
        )
        rng.choice(tell)()

    def _progress(self):
        self.reports.progress(self.assignment, Progress(completed_units=self.done_units))

    def _metric(self):
        mark = {"attempt": float(self.number), "told": float(self.told + 1)}
        self._emit(MetricReported(self.done_units, mark))

    def _mark(self):
        return f"{self.number}:{self.told + 1}"

    def _emit(self, payload):
        self.told += 1
        self.reports.events(self.assignment, [payload])

    def _artifact(self):
        name = self._mark().replace(":", "-")
        self.told += 1
        self.reports.artifact(
            self.assignment,
            name=name,
            path=self.assignment.folder / name,
            media_type="text/plain",
            type=ArtifactType.OPAQUE,
            stage="",
        )

    def _checkpoint(self):
        mark = {"mark": self._mark(), "units": self.done_units}
        self.told += 1
        data = json.dumps(mark).encode()
        self.reports.checkpoint(self.assignment, data, completed_units=self.done_units)

    def _ask(self):
        action = self._world.rng.choice(list(DefaultAction))
        questions = (Question("q", choices=("yes", "no"), default_value="no"),)
        request = InputRequest("", "go on?", questions, default_action=action)
        self._world.sometimes("asked")
        self._end(Asked(request, timeout_s=self._world.rng.choice((1.0, 10.0, 600.0))))

    def _finish(self):
        match self.params["end"]:
            case "success":
                self._end(Completed(self._result()))
            case "gaps":
                self._end(Completed(self._result(), gaps=(Gap("NONE", "a gap"),)))
            case "gate":
                self._end(Completed(self._result(), gate_refusal="0.7 < 0.8"))
            case "flaky":
                fails = self.assignment.attempt < 2
                flop = self._broke("CRASHED", retryable=True)
                self._end(flop if fails else Completed(self._result()))
            case "crash":
                self._end(self._broke("CRASHED", retryable=True))
            case "bug":
                self._end(self._broke("UNHANDLED_ERROR", retryable=False))
            case "late":
                self._end(self._broke("ATTEMPT_TIMEOUT", category=FailureCategory.DEADLINE))
            case "poison":
                self._world.sometimes("poison")
                self._world.crash_server(self.server, f"attempt {self.number} is poison")

    def _result(self):
        return JobResult(headline=f"end {self.number}")

    def _broke(self, reason, *, retryable=False, category=FailureCategory.USER_CODE):
        return Broke(Failure(reason, category, f"end {self.number}", retryable=retryable))

    def _end(self, conclusion):
        self.is_over = True
        self._world.model.ends(self)
        self._world.note(f"attempt {self.number} ends: {type(conclusion).__name__}")
        self._conclude(conclusion)
        if self._world.rng.chance(0.05):
            self._conclude(conclusion)
        self._world.executor_forgets(self)

    def _conclude(self, conclusion):
        self.reports.concluded(self.assignment, conclusion, cpu_s=0.1, peak_memory_bytes=1)


class SimulatedExecutor:
    """Runs attempts as actors of the simulation; steering may be lost on its way to them."""

    def __init__(self, world, server, slots):
        self._world = world
        self._server = server
        self._slots = slots
        self._reports = None
        self.live = {}

    def start(self, reports):
        self._reports = reports

    def free_slots(self):
        return self._slots - len(self.live)

    def launch(self, assignment):
        self._server.must_live()
        self.live[assignment.fence] = self._world.launched(
            assignment, reports=self._reports, server=self._server
        )

    def control(self, fence, intent):
        attempt = self.live.get(fence)
        if attempt is None:
            return
        if self._world.is_stormy and self._world.rng.chance(0.4):
            self._world.note(f"{intent} to attempt {attempt.number} is lost")
            self._world.sometimes("lost_steering")
            return
        self._world.note(f"{intent} reaches attempt {attempt.number}")
        attempt.control(intent)

    def forget(self, attempt):
        self.live.pop(attempt.assignment.fence, None)

    def stop(self, grace_s):  # noqa: ARG002
        for attempt in list(self.live.values()):
            attempt.stop()
