"""A small server: owns an executor, runs one stubborn probe, says so, and waits to be killed."""

import sys
import threading
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from jobplane.engine.domain.attempt import Assignment
from jobplane.engine.domain.job import JobSpec
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from tests.executors.recorder import Recorder
from tests.executors.rig import TestKinds, settings_of_test


def main(owner: str, folder: str) -> None:
    executor = ProcessExecutor(TestKinds(), settings_of_test(owner=owner, warm_per_kind=1))
    reports = Recorder()
    executor.start(reports)
    spec = ProbeSpec(
        steps=2, step_duration=Duration(seconds=600), orphans=2, ignore_cancel=True, log_bytes=10
    )
    assignment = Assignment(
        "p", "stubborn", 1, JobSpec("probe", spec.SerializeToString()), Path(folder)
    )
    executor.launch(assignment)
    reports.begun(assignment)
    print(executor.keeper_pid, flush=True)  # noqa: T201  the test waits for this line
    threading.Event().wait(120)


if __name__ == "__main__":
    main(*sys.argv[1:])
