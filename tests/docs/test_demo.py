"""`make demo` does what it says."""

import subprocess
import sys


def test_the_demo_runs_to_its_end():
    done = subprocess.run(
        [sys.executable, "-m", "jobplane.cli.demo"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "finished           SUCCEEDED" in done.stdout
    assert "table.csv" in done.stdout
    assert "deduplicated=True" in done.stdout
