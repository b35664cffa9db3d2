"""What child processes add: causes told apart, limits, clean surroundings, no leftovers."""

import json
import logging
import os
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.domain.attempt import Completed, Conclusion, Intent
from jobplane.engine.domain.job import FailureCategory
from jobplane.engine.executors.keeper import child_pids
from jobplane.engine.executors.processes import ProcessExecutor
from tests.executors.processes_of_machine import (
    eventually,
    is_live,
    marked,
    open_descriptors,
    zombies_below,
)
from tests.executors.rig import MakeRig, Rig

MIB = 1 << 20


def details(conclusion: Conclusion) -> dict[str, Any]:
    assert isinstance(conclusion, Completed), conclusion
    seen: dict[str, Any] = json.loads(conclusion.result.details)
    return seen


def headline(conclusion: Conclusion) -> str:
    assert isinstance(conclusion, Completed), conclusion
    return conclusion.result.headline


def keeper_of(rig: Rig) -> int:
    assert isinstance(rig.executor, ProcessExecutor)
    return rig.executor.keeper_pid


@pytest.mark.parametrize("code", [1, 7])
def test_an_exit_code_is_told_and_worth_another_try(processes: Rig, code: int) -> None:
    failure = processes.run("exit_at_once", {"code": code}).failure

    assert (failure.reason, failure.exit_code) == ("EXIT_CODE", code)
    assert failure.category is FailureCategory.USER_CODE
    assert failure.retryable


def test_an_exit_with_zero_and_no_result_is_a_failure(processes: Rig) -> None:
    assert processes.run("exit_at_once", {"code": 0}).failure.reason == "EXIT_CODE"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGTERM])
def test_a_signal_is_a_crash(processes: Rig, number: signal.Signals) -> None:
    failure = processes.run("kill_self", {"signal": int(number)}).failure

    assert failure.reason == "CRASHED"
    assert number.name in failure.message
    assert failure.exit_code == -number
    assert failure.retryable


def test_a_kill_from_outside_is_told_from_ours_and_from_the_kernels(processes: Rig) -> None:
    failure = processes.run("kill_self", {"signal": int(signal.SIGKILL)}).failure

    assert failure.reason == "CRASHED"
    assert failure.category is FailureCategory.INFRASTRUCTURE


def test_a_crash_leaves_its_stack_in_the_log(processes: Rig) -> None:
    told = processes.run("kill_self", {"signal": int(signal.SIGSEGV)})

    assert b"kill_self" in told.artifacts["logs/stderr.log"].content


def test_processor_time_is_limited(make_rig: MakeRig) -> None:
    failure = make_rig(cpu_limit_s=1).run("burn_cpu").failure

    assert (failure.reason, failure.category) == ("CPU_LIMIT", FailureCategory.RESOURCE)


def test_memory_is_limited_by_the_job(processes: Rig) -> None:
    told = processes.run("hoard", memory_limit_bytes=150 * MIB)

    assert (told.failure.reason, told.failure.category) == (
        "MEMORY_LIMIT",
        FailureCategory.RESOURCE,
    )
    assert "150 MiB" in told.failure.message
    assert told.peak_memory_bytes > 150 * MIB


def test_memory_is_limited_by_the_server_when_the_job_says_nothing(make_rig: MakeRig) -> None:
    rig = make_rig(memory_limit_bytes=120 * MIB)

    assert rig.run("hoard").failure.reason == "MEMORY_LIMIT"


def test_memory_of_descendants_counts(make_rig: MakeRig) -> None:
    rig = make_rig(memory_limit_bytes=200 * MIB)

    assert rig.run("hoard_in_child").failure.reason == "MEMORY_LIMIT"


def test_usage_is_measured(processes: Rig) -> None:
    told = processes.run("succeed")

    assert 0.0 < told.cpu_s < 30.0
    assert told.peak_memory_bytes > 5 * MIB


def test_a_missing_module_is_told_with_the_way_to_install_it(processes: Rig) -> None:
    assert 'pip install "jobplane[toys]"' in processes.run("missing_module").failure.message


def test_a_missing_function_is_an_error_of_the_kind(processes: Rig) -> None:
    assert processes.run("missing_function").failure.reason == "UNHANDLED_ERROR"


def test_an_interpreter_that_is_not_there_is_told(
    processes: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    failure = processes.run("succeed").failure

    assert failure.reason in {"CHILD_START_FAILED", "INTERNAL"}
    assert failure.retryable


def test_a_child_that_is_not_ready_in_time_is_told(make_rig: MakeRig) -> None:
    failure = make_rig(start_timeout_s=0.0).run("succeed").failure

    assert failure.reason == "CHILD_START_FAILED"
    assert failure.category is FailureCategory.INFRASTRUCTURE


def test_an_interpreter_that_answers_no_ping_is_stalled(make_rig: MakeRig) -> None:
    failure = make_rig(ping_timeout_s=0.6).run("stop_self").failure

    assert failure.reason == "STALLED"


def test_live_work_answers_pings(make_rig: MakeRig) -> None:
    rig = make_rig(ping_timeout_s=0.6)
    assignment = rig.launch("count")
    told = rig.reports.of(assignment)
    rig.reports.wait(lambda: told.alive >= 4)

    assert told.conclusions == []


@pytest.mark.parametrize("text", ["\0\0\0\5hello", "\xff\xff\xff\xff", "\0\0\0\1\xc1"])
def test_garbage_on_the_line_ends_the_attempt(processes: Rig, text: str) -> None:
    assert processes.run("write_garbage", {"bytes": text}).failure.reason == "PROTOCOL_BROKEN"


def test_a_closed_line_ends_the_attempt(processes: Rig) -> None:
    assert processes.run("close_line").failure.reason == "WORKER_LOST"


def test_closed_outputs_do_no_harm(processes: Rig) -> None:
    assert headline(processes.run("close_outputs").conclusion) == "silent"


def test_a_fork_of_the_work_has_no_say(processes: Rig) -> None:
    assert headline(processes.run("leave_fork").conclusion) == "child"


@pytest.mark.parametrize("kind", ["leave_thread", "exit_hook_hangs"])
def test_threads_and_exit_hooks_do_not_hold_up_the_end(processes: Rig, kind: str) -> None:
    assert headline(processes.run(kind).conclusion) == "done"


def test_a_file_outside_the_folder_is_not_taken(processes: Rig, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    told = processes.run("artifact_outside", {"path": str(secret)})

    assert told.failure.reason == "ARTIFACT_REFUSED"
    assert "secret" not in told.artifacts


def test_a_link_out_of_the_folder_is_not_taken(processes: Rig, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the server")
    told = processes.run("artifact_link", {"path": str(secret)})

    assert told.failure.reason == "ARTIFACT_REFUSED"


def test_a_folder_that_vanishes_does_not_hide_the_failure(processes: Rig) -> None:
    told = processes.run("remove_folder")

    assert told.failure.reason == "UNHANDLED_ERROR"
    assert told.failure.detail_artifact in {"", "logs/traceback.txt"}


def test_the_environment_holds_nothing_of_the_server(
    processes: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBPLANE_TOKEN", "canary-of-the-server")
    monkeypatch.setenv("DATABASE_URL", "canary-of-the-server")
    seen = details(processes.run("show_surroundings").conclusion)

    assert "canary" not in json.dumps(seen)
    assert seen["environ"]["PYTHONHASHSEED"] == "0"
    assert seen["environ"]["OMP_NUM_THREADS"] == "1"
    assert seen["environ"]["MPLBACKEND"] == "Agg"
    assert seen["environ"]["HOME"] == seen["folder"]


def test_every_child_is_marked(processes: Rig) -> None:
    first, second = (details(processes.run("show_surroundings").conclusion) for _ in range(2))

    assert first["environ"]["JOBPLANE_CHILD"] != second["environ"]["JOBPLANE_CHILD"]
    assert first["environ"]["JOBPLANE_OWNER"] == second["environ"]["JOBPLANE_OWNER"]


def test_the_work_runs_in_its_own_folder_and_session(processes: Rig) -> None:
    seen = details(processes.run("show_surroundings").conclusion)

    assert seen["cwd"] == seen["folder"]
    assert seen["sid"] == seen["pid"]
    assert seen["folder"] not in seen["path"]
    assert "" not in seen["path"]


def test_the_child_holds_no_descriptor_but_its_own(processes: Rig, tmp_path: Path) -> None:
    with (tmp_path / "of the server").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        seen = details(processes.run("show_surroundings").conclusion)

    targets = {name: target for name, target in seen["fds"].items() if "/proc" not in target}
    assert set(targets) == {"0", "1", "2", "3"}
    assert targets["0"] == "/dev/null"
    assert targets["3"].startswith("socket:")


def test_output_is_kept_as_artifacts(processes: Rig) -> None:
    artifacts = processes.run("talk", {"out": "to stdout", "err": "to stderr"}).artifacts

    assert artifacts["logs/stdout.log"].content == b"to stdout\n"
    assert artifacts["logs/stderr.log"].content == b"to stderr\n"


def test_silence_leaves_no_logs(processes: Rig) -> None:
    assert processes.run("succeed").artifacts == {}


def test_output_beyond_the_limit_is_dropped_and_marked(make_rig: MakeRig) -> None:
    rig = make_rig(log_limit_bytes=1000)
    log = rig.run("flood", {"bytes": 100 * MIB}).artifacts["logs/stdout.log"].content

    assert len(log) < 1200
    assert log.endswith(b"more bytes were dropped]\n")
    assert str(100 * MIB - 1000).encode() in log


def test_output_that_can_not_be_written_does_not_hold_up_the_work(processes: Rig) -> None:
    assignment = processes.assignment("flood", {"bytes": 10 * MIB})
    assignment.folder.mkdir(parents=True)
    (assignment.folder / "logs").write_text("a file where the logs should be")
    processes.executor.launch(assignment)

    assert isinstance(processes.reports.ended(assignment).conclusion, Completed)


def test_background_processes_end_with_the_work(processes: Rig) -> None:
    told = processes.run("leave_sleeper")
    pid = int(headline(told.conclusion))

    assert not is_live(pid)


def test_a_background_process_that_holds_the_outputs_does_not_hold_up_the_end(
    processes: Rig,
) -> None:
    processes.run("succeed")
    assignment = processes.launch("leave_sleeper")
    told = processes.reports.ended(assignment, patience_s=20)

    assert isinstance(told.conclusion, Completed)


def test_a_daemon_without_session_environment_or_parent_ends_with_the_work(processes: Rig) -> None:
    pid = int(headline(processes.run("daemonise").conclusion))

    assert not is_live(pid)


def test_a_kill_ends_the_whole_tree(processes: Rig) -> None:
    assignment = processes.launch("tree")
    told = processes.reports.begun(assignment)
    pids = [int(word) for word in told.progresses[-1].message.split()]
    assert all(is_live(pid) for pid in pids)
    processes.control(assignment, Intent.KILL)
    processes.reports.ended(assignment)

    assert not any(is_live(pid) for pid in pids)


def test_no_zombie_stays(processes: Rig) -> None:
    for kind in ("daemonise", "leave_sleeper", "succeed"):
        processes.run(kind)

    assert zombies_below(keeper_of(processes)) == []
    assert zombies_below(os.getpid()) == []


def test_all_children_are_the_keepers_and_none_stays(processes: Rig) -> None:
    processes.run("daemonise")
    keeper = keeper_of(processes)

    assert keeper in child_pids(os.getpid())
    assert child_pids(keeper) == []


def test_the_loss_of_the_keeper_ends_its_attempts_and_another_takes_over(
    processes: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    assignment = processes.launch("count")
    processes.reports.begun(assignment)
    first = keeper_of(processes)
    os.kill(first, signal.SIGKILL)
    failure = processes.reports.ended(assignment).failure

    assert failure.reason == "WORKER_LOST"
    assert failure.retryable
    assert isinstance(processes.run("succeed").conclusion, Completed)
    assert keeper_of(processes) != first
    assert [record.levelno for record in caplog.records if "keeper" in record.message] == [
        logging.ERROR
    ]


def test_what_an_earlier_server_of_the_same_name_left_is_ended(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    owner = f"owner-{os.getpid()}-{tmp_path.name}"
    child = os.posix_spawn("/bin/sleep", ["sleep", "300"], {"JOBPLANE_OWNER": owner}, setsid=True)
    make_rig(owner=owner).run("succeed")
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def test_stop_leaves_no_process(make_rig: MakeRig, tmp_path: Path) -> None:
    owner = f"stopped-{os.getpid()}-{tmp_path.name}"
    rig = make_rig(owner=owner, warm_per_kind=2)
    for kind in ("succeed", "tree"):
        told = rig.reports.of(rig.launch(kind))
        rig.reports.wait(partial(bool, told.log))
    keeper = keeper_of(rig)
    rig.executor.stop(0)

    eventually(lambda: not marked(owner) and not is_live(keeper))


def test_many_jobs_leave_descriptors_and_threads_where_they_were(make_rig: MakeRig) -> None:
    rig = make_rig(slots=4, warm_per_kind=1)
    rig.run("succeed")
    descriptors, threads = open_descriptors(), threading.active_count()
    for assignment in [rig.launch("succeed") for _ in range(40)]:
        rig.reports.ended(assignment)

    eventually(lambda: threading.active_count() <= threads)
    # A spare child more or less is three descriptors.
    assert open_descriptors() <= descriptors + 3
