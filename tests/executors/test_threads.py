"""What threads add: stuck work is abandoned, and its slot replaced within bounds."""

import threading
from pathlib import Path

from jobplane.engine.domain.attempt import Completed, Intent
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.kinds.base import Isolation
from tests.executors.processes_of_machine import eventually
from tests.executors.rig import MakeRig, Rig


def executor_of(rig: Rig) -> ThreadExecutor:
    assert isinstance(rig.executor, ThreadExecutor)
    return rig.executor


def test_abandoned_work_is_counted_until_it_ends(threads: Rig, release: Path) -> None:
    assignment = threads.launch("ignore_cancel", {"release": str(release)})
    threads.reports.begun(assignment)
    threads.control(assignment, Intent.KILL)
    threads.reports.ended(assignment)
    assert executor_of(threads).stuck_slots == 1
    release.touch()

    eventually(lambda: executor_of(threads).stuck_slots == 0)


def test_reports_of_abandoned_work_are_refused(threads: Rig, release: Path) -> None:
    assignment = threads.launch("ignore_cancel", {"release": str(release)})
    threads.reports.begun(assignment)
    threads.control(assignment, Intent.KILL)
    told = threads.reports.ended(assignment)
    release.touch()
    eventually(lambda: executor_of(threads).stuck_slots == 0)

    assert told.log[-1] == "concluded"
    assert [progress.completed_units for progress in told.progresses] == [1]


def test_a_kill_waits_for_a_report_that_is_under_way(threads: Rig) -> None:
    """Work inside a report can't be abandoned at once; it is as soon as the report is over."""
    hold, held = threading.Event(), threading.Event()

    def wait() -> None:
        held.set()
        hold.wait(30)

    threads.reports.on_artifact = wait
    assignment = threads.launch("report_everything")
    assert held.wait(30)
    threads.control(assignment, Intent.KILL)
    hold.set()
    told = threads.reports.ended(assignment)

    assert len(told.conclusions) == 1
    assert told.log[-1] == "concluded"


def test_slots_are_lost_only_beyond_the_bound_of_stuck_threads(
    make_rig: MakeRig, release: Path
) -> None:
    rig = make_rig(Isolation.THREAD, slots=1)
    executor = executor_of(rig)
    bound = executor._settings.threads.max_stuck
    for _ in range(bound + 1):
        assignment = rig.launch("ignore_cancel", {"release": str(release)})
        rig.reports.begun(assignment)
        rig.control(assignment, Intent.KILL)
        rig.reports.ended(assignment)
    assert executor.free_slots() == 0
    release.touch()
    eventually(lambda: executor.free_slots() == 1)

    assert isinstance(rig.run("succeed").conclusion, Completed)


def test_many_jobs_leave_threads_where_they_were(threads: Rig) -> None:
    threads.run("succeed")
    before = threading.active_count()
    for assignment in [threads.launch("succeed") for _ in range(500)]:
        threads.reports.ended(assignment)

    assert threading.active_count() == before


def test_stop_ends_every_thread(threads: Rig) -> None:
    before = threading.active_count()
    threads.executor.stop(1)

    assert threading.active_count() == before - 3
