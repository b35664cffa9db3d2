"""Rigs for both executors; whatever a test starts is stopped after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.kinds.base import Isolation
from tests.executors.rig import MakeRig, Rig, TestKinds, settings_of_test

STOP_S = 0.0


@pytest.fixture
def release(tmp_path: Path) -> Iterator[Path]:
    """A file whose presence ends work that can't be stopped otherwise."""
    path = tmp_path / "release"
    yield path
    path.touch()


@pytest.fixture
def make_rig(tmp_path: Path, release: Path) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(isolation: Isolation = Isolation.PROCESS, **settings: Any) -> Rig:
        kinds = TestKinds(isolation)
        chosen = settings_of_test(**settings)
        executor: Executor = ThreadExecutor(kinds, chosen)
        if isolation is Isolation.PROCESS:
            executor = ProcessExecutor(kinds, chosen)
        rigs.append(Rig(executor, tmp_path / f"rig-{len(rigs)}"))
        return rigs[-1]

    yield make
    release.touch()
    for rig in rigs:
        rig.executor.stop(STOP_S)


@pytest.fixture
def processes(make_rig: MakeRig) -> Rig:
    return make_rig(Isolation.PROCESS)


@pytest.fixture
def threads(make_rig: MakeRig) -> Rig:
    return make_rig(Isolation.THREAD)


@pytest.fixture(params=list(Isolation))
def rig(request: pytest.FixtureRequest, make_rig: MakeRig) -> Rig:
    return make_rig(request.param)
