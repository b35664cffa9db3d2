"""A server that is killed between any two steps of a fire doubles none and loses none."""

import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from jobplane.engine.domain.schedule import OverlapPolicy
from jobplane.engine.store.database import sqlite_url
from tests.schedules.rig import START, HandClock, rig_at

ROOT = Path(__file__).parents[2]
MINUTES = 10
SCHEDULES = 3


def live(path, failpoints):
    """One life of a server; whether it was killed."""
    command = [sys.executable, "-m", "tests.schedules.mortal", str(path), str(MINUTES), failpoints]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in {0, -signal.SIGKILL}, ran.stderr
    return ran.returncode != 0


@pytest.mark.parametrize("point", ["submit_before_commit", "commit_before", "commit_after"])
def test_every_time_has_one_job_whenever_the_server_dies(tmp_path, point):
    path = tmp_path / "jobs.db"
    with rig_at(sqlite_url(path)) as rig:
        names = rig.add_many(
            [(f"s{n}", "* * * * *") for n in range(SCHEDULES)], overlap=OverlapPolicy.ALLOW
        )
    killed = sum(live(path, f"{point}:exit@{visit}") for visit in (1, 2, 1, 2))
    assert killed == 4
    assert not live(path, "")
    clock = HandClock(START + timedelta(minutes=MINUTES))
    with rig_at(sqlite_url(path), clock) as rig:
        for name in names:
            assert rig.nominals(name) == [START + timedelta(minutes=n + 1) for n in range(MINUTES)]
            fires = rig.get(name).fires
            assert [fire.outcome.value for fire in fires] == ["SUBMITTED"] * MINUTES
            assert [fire.job for fire in fires][::-1] == [job.name for job in rig.jobs(name)]
