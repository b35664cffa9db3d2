"""The dev command where there is no server to run, and a real one where there is."""

import os
import signal
import subprocess
import sys

import pytest

from jobplane.client import Client, Event, WatchPlan, specs
from tests.cli.conftest import dev_server

HIDDEN_SERVER = """
import sys
sys.modules["jobplane.service"] = None
from jobplane.cli.main import main
main()
"""


def test_without_the_server_part_dev_says_how_to_install_it():
    ran = subprocess.run(
        [sys.executable, "-c", HIDDEN_SERVER, "dev"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "pip install 'jobplane[server]'" in ran.stderr
    assert ran.stdout == ""


def test_a_file_in_place_of_the_folder_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    ran = subprocess.run(
        [*command, "--data", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == f"jobplane dev: {tmp_path / 'file'} can't be used: it is a file, not a folder\n"
    )


def test_a_real_server_runs_a_job_to_its_result(tmp_path):
    with dev_server(tmp_path / "data") as (_, address), Client(address) as client:
        job = client.submit(specs.Probe(steps=3, metrics=True))
        types = [event.type for event in job.events(plan=WatchPlan(timeout_s=60))]
        assert (types[0], types[-1]) == ("submitted", "finished")
        assert job.result(timeout=60).probe.completed_steps == 3
        assert client.count() == 1
        assert client.server_info().version


def test_a_watch_goes_on_over_the_death_of_a_real_server(tmp_path):
    seen: list[Event] = []
    with dev_server(tmp_path / "data") as (process, address), Client(address) as client:
        spec = specs.Probe(steps=20, step_duration=specs.Duration(nanos=100_000_000))
        job = client.submit(spec)
        watch = job.events(plan=WatchPlan(heartbeat_s=1, timeout_s=90))
        while len(seen) < 3:
            event = next(watch)
            seen += [event] if event.is_durable else []
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        with dev_server(tmp_path / "data", port=int(address.rpartition(":")[2])):
            seen += [event for event in watch if event.is_durable]
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].type == "finished"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_the_command_line_ends_with_the_exit_code_of_a_real_job(tmp_path, cli, monkeypatch):
    with dev_server(tmp_path / "data") as (_, address):
        monkeypatch.setenv("JOBPLANE_ADDRESS", address)
        assert cli("submit", "--kind", "probe", "-p", "steps=2", "--watch").code == 0
        failing = ("-p", "fail_at_step=1", "-p", "failure_mode=FAILURE_MODE_RAISE")
        assert cli("submit", "--kind", "probe", *failing, "--wait").code == 1
        assert cli("submit", "--kind", "probe", "-p", "steps=-1").code == 2
        assert cli("count", "--by", "status").out.splitlines()[1:] == [
            "FAILED     1",
            "SUCCEEDED  1",
        ]
