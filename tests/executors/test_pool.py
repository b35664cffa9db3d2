"""Warm children: imports are done before a job needs them, and each serves once."""

import json
import os
import signal
import time
from pathlib import Path

from jobplane.engine.domain.attempt import Completed
from jobplane.engine.executors.processes import ProcessExecutor
from tests.executors.processes_of_machine import eventually, marked, open_descriptors
from tests.executors.recorder import Told
from tests.executors.rig import MakeRig, Rig


def pid_of(told: Told) -> int:
    assert isinstance(told.conclusion, Completed), told.conclusion
    return int(json.loads(told.conclusion.result.details)["pid"])


def spares(rig: Rig) -> list[int]:
    """Give the spare children that are up, none of which runs a job."""
    assert isinstance(rig.executor, ProcessExecutor)
    pool = rig.executor._pool
    with pool._lock:
        return [child.pid for kept in pool._spares.values() for child, _ in kept if child.pid]


def test_a_job_is_run_by_a_child_that_was_there_before(make_rig: MakeRig) -> None:
    rig = make_rig(warm_per_kind=1)
    rig.run("show_surroundings")
    eventually(lambda: len(spares(rig)) == 1)
    waiting = spares(rig)

    assert [pid_of(rig.run("show_surroundings"))] == waiting


def test_a_job_that_says_nothing_has_a_successor_ready_too(
    make_rig: MakeRig, release: Path
) -> None:
    rig = make_rig(warm_per_kind=1)
    silent = rig.launch("say_nothing", {"release": str(release)})
    eventually(lambda: len(spares(rig)) == 1)
    release.touch()
    rig.reports.ended(silent)


def test_a_child_serves_once(make_rig: MakeRig) -> None:
    rig = make_rig(warm_per_kind=2)
    pids = [pid_of(rig.run("show_surroundings")) for _ in range(5)]

    assert len(set(pids)) == 5


def test_a_spare_that_died_is_not_used(make_rig: MakeRig) -> None:
    rig = make_rig(warm_per_kind=1)
    rig.run("show_surroundings")
    eventually(lambda: len(spares(rig)) == 1)
    (dead,) = spares(rig)
    os.kill(dead, signal.SIGKILL)

    assert pid_of(rig.run("show_surroundings")) != dead


def test_a_spare_of_another_kind_gives_way_when_the_pool_is_full(make_rig: MakeRig) -> None:
    rig = make_rig(warm_per_kind=1, warm_total=1)
    rig.run("show_surroundings")
    eventually(lambda: len(spares(rig)) == 1)
    old = spares(rig)
    rig.run("succeed")

    eventually(lambda: len(spares(rig)) == 1 and spares(rig) != old)


def test_a_pool_of_nothing_keeps_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(warm_per_kind=1, warm_total=0)
    rig.run("succeed")

    assert spares(rig) == []


def test_idle_spares_are_let_go(make_rig: MakeRig) -> None:
    owner = f"idle-{os.getpid()}-{time.monotonic_ns()}"
    rig = make_rig(warm_per_kind=2, warm_idle_s=0.0, owner=owner)
    before = open_descriptors()
    rig.run("succeed")

    eventually(lambda: marked(f"JOBPLANE_OWNER={owner}") == [])
    # The keeper's socket stays.
    eventually(lambda: open_descriptors() <= before + 1)
