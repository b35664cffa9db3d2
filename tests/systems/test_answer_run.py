"""Seed 003 through a real server, by the smoke command and by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

from jobplane.client import Client

ROOT = Path(__file__).parents[2]


def test_the_smoke_command_finds_the_lifecycle_as_the_contract_says(server, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "jobplane.cli",
            "smoke",
            "answer-run",
            "--documents",
            str(ROOT / "examples/documents"),
            "--question",
            "Who leads the office?",
            "--run-id",
            "smoke-1",
            "--save",
            str(tmp_path),
        ],
        env={**os.environ, "JOBPLANE_ADDRESS": server},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bundle = json.loads((tmp_path / "context_bundle.json").read_text())
    assert bundle["run_id"] == "smoke-1"
    assert "## " in (tmp_path / "final.md").read_text()


def test_the_smoke_command_fails_where_the_server_is_not(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "jobplane.cli",
            "smoke",
            "answer-run",
            "--documents",
            str(ROOT / "examples/documents"),
            "--question",
            "Who?",
            "--save",
            str(tmp_path),
        ],
        env={**os.environ, "JOBPLANE_ADDRESS": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0


def test_gaps_are_on_the_job_as_in_the_bundle(server):
    with Client(server) as client:
        job = client.get("smoke-1")
        bundle = json.loads(job.artifact("context_bundle.json").text())
        assert [gap.reason for gap in job.wire.gaps] == [gap["reason"] for gap in bundle["gaps"]]
