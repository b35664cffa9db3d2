"""The local executor runs each attempt where its kind wants it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobplane.engine.domain.attempt import Completed, Intent, Yielded
from jobplane.engine.executors.local import LocalExecutor
from jobplane.engine.executors.port import Executor
from jobplane.engine.kinds.base import Isolation
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from tests.executors.rig import Rig, TestKinds, settings_of_test

IN_THREAD = ProbeSpec(isolation=ProbeSpec.ISOLATION_THREAD).SerializeToString()


@pytest.fixture
def local() -> LocalExecutor:
    return LocalExecutor(TestKinds(), settings_of_test(slots=2))


@pytest.fixture
def rig(local: LocalExecutor, tmp_path: Path) -> Iterator[Rig]:
    executor: Executor = local
    rig = Rig(executor, tmp_path)
    yield rig
    executor.stop(0)


def test_both_isolations_run_side_by_side(rig: Rig) -> None:
    launched = [rig.launch("probe", params) for params in (b"", IN_THREAD, b"", IN_THREAD)]

    assert all(isinstance(rig.reports.ended(each).conclusion, Completed) for each in launched)


def test_control_reaches_both(rig: Rig) -> None:
    spec = ProbeSpec(steps=100_000, isolation=ProbeSpec.ISOLATION_THREAD)
    spec.step_duration.nanos = 10_000_000
    in_thread = rig.launch("probe", spec.SerializeToString())
    spec.isolation = ProbeSpec.ISOLATION_PROCESS
    in_process = rig.launch("probe", spec.SerializeToString())
    for assignment in (in_thread, in_process):
        rig.reports.begun(assignment)
        rig.control(assignment, Intent.CANCEL)

        assert rig.reports.ended(assignment).conclusion == Yielded(Intent.CANCEL)


def test_slots_are_told_for_each_isolation(rig: Rig, local: LocalExecutor) -> None:
    assignment = rig.launch("count")
    rig.reports.begun(assignment)

    assert local.free_slots_by_isolation() == {Isolation.THREAD: 2, Isolation.PROCESS: 1}
    assert local.free_slots() == 1


@pytest.mark.parametrize("kind", ["no_such_kind", "probe"])
def test_what_can_not_be_read_still_ends(rig: Rig, kind: str) -> None:
    failure = rig.run(kind, b"\xff\xff").failure

    assert failure.reason in {"KIND_UNAVAILABLE", "CHILD_START_FAILED"}
