import os
import shutil
import subprocess
import sys

import pytest

from bench.slow_disk import slow_disk

SYNCS = """
import os, sqlite3, sys, time
began = time.perf_counter()
with open(sys.argv[1], "wb") as file:
    os.fsync(file.fileno())
    os.fdatasync(file.fileno())
plain = time.perf_counter() - began
database = sqlite3.connect(sys.argv[2])
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE jobs (id)")
began = time.perf_counter()
database.execute("INSERT INTO jobs VALUES (1)")
database.commit()
print(plain, time.perf_counter() - began)
"""


@pytest.fixture
def slowed(tmp_path):
    if shutil.which("gcc") is None:
        message = "no C compiler: apt-get install gcc libc6-dev"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    return {**os.environ, **slow_disk(str(tmp_path), 20)}


def test_a_sync_takes_longer_on_the_slow_disk_and_so_does_a_commit_of_sqlite(slowed, tmp_path):
    command = [sys.executable, "-c", SYNCS, str(tmp_path / "file"), str(tmp_path / "jobs.db")]
    done = subprocess.run(
        command, env=slowed, check=True, capture_output=True, text=True, timeout=60
    )
    plain_s, commit_s = map(float, done.stdout.split())
    assert plain_s >= 0.040
    assert commit_s >= 0.020
