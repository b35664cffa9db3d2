"""An executor with a recorder, and a short way to launch work on it."""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobplane.engine.domain.attempt import Assignment, Intent
from jobplane.engine.domain.errors import UnknownKindError
from jobplane.engine.domain.job import JobSpec, RunPolicy
from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.kinds.base import Isolation, Kind
from jobplane.engine.kinds.probe import KIND as PROBE
from tests.executors import work
from tests.executors.recorder import Recorder, Told

ROOT = Path(__file__).parents[2]
STALL_S = 0.8


class TestKinds:
    """Every function of the module `work` as a kind of its own, and the probe."""

    __test__ = False

    def __init__(self, isolation: Isolation = Isolation.PROCESS) -> None:
        self._isolation = isolation
        self._changes: dict[str, Mapping[str, Any]] = {
            "hang": {"stall_timeout_s": STALL_S},
            "missing_module": {"work": "no_such_module_at_all:run", "extra": "toys"},
            "missing_function": {"work": f"{work.__name__}:no_such_function"},
        }

    def get(self, name: str) -> Kind:
        if name == PROBE.name:
            return PROBE
        if name not in self._changes and not hasattr(work, name):
            raise UnknownKindError(name, [PROBE.name])
        kind = Kind(
            name=name,
            description="A test.",
            work=f"{work.__name__}:{name}",
            schema={},
            isolation=lambda _: self._isolation,
        )
        return replace(kind, **self._changes.get(name, {}))


def settings_of_test(
    *, slots: int = 2, environment: Mapping[str, str] | None = None, **processes: Any
) -> ExecutorSettings:
    chosen: dict[str, Any] = {"warm_per_kind": 0, **processes}
    return ExecutorSettings(
        threads=ThreadSettings(slots=slots),
        processes=ProcessSettings(
            slots=slots, environment={"PYTHONPATH": str(ROOT), **(environment or {})}, **chosen
        ),
        kinds={"show_surroundings": {"colour": "green"}},
        engine_version="1.2.3",
    )


class Rig:
    """An executor under test."""

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.executor = executor
        self.reports = Recorder()
        self._folder = folder
        self._numbers = itertools.count(1)
        executor.start(self.reports)

    def assignment(
        self,
        kind: str,
        params: Mapping[str, Any] | bytes | None = None,
        *,
        stage_timeouts_s: Mapping[str, float] | None = None,
        **details: Any,
    ) -> Assignment:
        number = next(self._numbers)
        text = params if isinstance(params, bytes) else json.dumps(params or {}).encode()
        policy = RunPolicy(stage_timeouts_s=stage_timeouts_s or {})
        return Assignment(
            project="p",
            job_id=f"job-{number}",
            attempt=details.pop("attempt", 1),
            spec=JobSpec(kind, text, policy=policy),
            folder=self._folder / f"attempt-{number}",
            **details,
        )

    def launch(self, kind: str, *args: Any, **details: Any) -> Assignment:
        assignment = self.assignment(kind, *args, **details)
        self.executor.launch(assignment)
        return assignment

    def run(self, kind: str, *args: Any, **details: Any) -> Told:
        return self.reports.ended(self.launch(kind, *args, **details))

    def control(self, assignment: Assignment, intent: Intent) -> None:
        self.executor.control(assignment.fence, intent)


MakeRig = Callable[..., Rig]
