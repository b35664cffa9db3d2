"""Seed 003 through a real server, by the smoke command and by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobplane.client import Client, errors, specs
from jobplane.engine.kinds.answer_run import minilm

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


def test_a_run_by_meaning_answers_with_the_pinned_model(server):
    if missing := minilm.missing_packages():
        message = f"no {', '.join(missing)}: {minilm.INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    paper = b"# Clinic\n\nThe veterinary surgeon sees cats on Tuesdays.\n"
    spec = specs.AnswerRun(
        question="When does the veterinary surgeon see cats?", retrieval={"mode": "MODE_HYBRID"}
    )
    with Client(server) as client:
        job = client.submit(spec, inputs={"documents": paper})
        assert job.result(timeout=120).answer_run.finish_reason == "ANSWERED"
        bundle = json.loads(job.artifact("context_bundle.json").text())
    assert bundle["evidence"][0]["scores"]["dense"] > 0.5
    assert bundle["embedding"]["weights_sha256"] == minilm.SHA256[minilm.WEIGHTS]


def test_a_run_past_its_time_is_timed_out_and_says_so(server):
    spec = specs.JobSpec(answer_run=specs.AnswerRun(question="When does the ferry come back?"))
    spec.policy.attempt_timeout.FromMilliseconds(500)
    paper = b"# Harbour\n\nThe ferry crosses the bay at dawn.\n\n" * 200_000
    with Client(server) as client:
        job = client.submit(spec, inputs={"documents": paper})
        with pytest.raises(errors.JobTimedOut) as late:
            job.result(timeout=120)
        assert late.value.reason == "ATTEMPT_TIMEOUT"
        assert job.refresh().status == "TIMED_OUT"
        with pytest.raises(errors.NotFound):
            job.artifact("final.md").text()
