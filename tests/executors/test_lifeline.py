"""Nothing outlives the server: neither children, nor what they started, nor the keeper."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executors.processes_of_machine import eventually, is_live, marked
from tests.executors.rig import ROOT, MakeRig

# The promise is one second; a loaded machine gets more before the test fails.
GONE_WITHIN_S = 10.0


class Host:
    """A server in a process of its own, with a stubborn job and two orphans of it."""

    def __init__(self, owner: str, folder: Path) -> None:
        self.marker = f"JOBPLANE_OWNER={owner}\0"
        self.owner = owner
        command = [sys.executable, "-m", "tests.executors.host", owner, str(folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.keeper = int(self.process.stdout.readline())

    def kill(self, *, with_keeper: bool = False) -> None:
        self.process.kill()
        if with_keeper:
            os.kill(self.keeper, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        for pid in marked(self.marker):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(f"host-{os.getpid()}-{tmp_path.name}", tmp_path / "attempt")
    yield host
    host.close()


def test_children_and_orphans_end_with_a_killed_server(host: Host) -> None:
    # The probe, its two orphans and a spare child.
    eventually(lambda: len(marked(host.marker)) >= 4)
    host.kill()

    eventually(lambda: marked(host.marker) == [], deadline_s=GONE_WITHIN_S)
    eventually(lambda: not is_live(host.keeper), deadline_s=GONE_WITHIN_S)


def test_a_child_that_is_stopped_ends_too(host: Host) -> None:
    for pid in marked(host.marker):
        os.kill(pid, signal.SIGSTOP)
    host.kill()

    eventually(lambda: marked(host.marker) == [], deadline_s=GONE_WITHIN_S)


def test_a_polite_signal_does_not_end_the_keeper(host: Host) -> None:
    os.kill(host.keeper, signal.SIGTERM)
    os.kill(host.keeper, signal.SIGINT)
    host.kill()

    eventually(lambda: marked(host.marker) == [], deadline_s=GONE_WITHIN_S)


def test_the_next_keeper_ends_what_a_lost_one_left(host: Host) -> None:
    os.kill(host.keeper, signal.SIGKILL)

    eventually(lambda: marked(host.marker) == [], deadline_s=GONE_WITHIN_S)


def test_the_next_server_ends_what_a_lost_one_and_its_keeper_left(
    host: Host, make_rig: MakeRig
) -> None:
    old = marked(host.marker)
    host.kill(with_keeper=True)
    make_rig(owner=host.owner).run("succeed")

    eventually(lambda: not any(is_live(pid) for pid in old), deadline_s=GONE_WITHIN_S)
