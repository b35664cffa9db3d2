"""The pytest plugin, used as a user does: in test files of their own."""

import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from jobplane.client import Client, errors, specs
from jobplane.testing import FakeClock, assert_events

QUICK = specs.Probe(steps=1, isolation=specs.Probe.ISOLATION_THREAD)
USERS_FILE = """
import sys

import pytest

from jobplane.client import Client, specs

def quick(steps=1):
    return specs.Probe(steps=steps, isolation=specs.Probe.ISOLATION_THREAD)

def test_a_job_runs(submit_and_wait, assert_events):
    job = submit_and_wait(quick(), job_id="first")
    assert job.status == "SUCCEEDED"
    assert_events(job, ["QUEUED", "RUNNING", "SUCCEEDED"], exactly=True)

def test_every_test_has_its_own_server(jobplane_client):
    assert jobplane_client.count() == 0
    jobplane_client.submit(quick(), job_id="first")

def test_code_under_test_finds_the_server(jobplane):
    with Client() as client:
        assert client.address == jobplane.address
        assert client.server_info().development

def test_a_fault_is_survived(jobplane_client, jobplane_faults):
    jobplane_faults.lose_answer("SubmitJob")
    job = jobplane_client.submit(quick())
    assert jobplane_client.count() == 1
    assert job.deduplicated

def test_the_clock_is_the_tests_own(jobplane_client, fake_clock):
    job = jobplane_client.submit(quick()).wait(30)
    assert job.created_at == fake_clock.now()

def test_a_wrong_expectation(submit_and_wait, assert_events):
    assert_events(submit_and_wait(quick()), ["QUEUED", "PAUSED"])

@pytest.fixture
def no_server(monkeypatch):
    monkeypatch.setitem(sys.modules, "jobplane.testing.local_server", None)

def test_without_the_server(no_server, jobplane):
    pass
"""


@pytest.fixture(scope="module")
def users_run(tmp_path_factory):
    """One run of pytest over a user's files, as a process of its own, with what it printed."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "test_users.py").write_text(USERS_FILE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rA"]
    done = subprocess.run(
        [*command, "--rootdir", folder, folder],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "outcome",
    [
        "PASSED test_users.py::test_a_job_runs",
        "PASSED test_users.py::test_every_test_has_its_own_server",
        "PASSED test_users.py::test_code_under_test_finds_the_server",
        "PASSED test_users.py::test_a_fault_is_survived",
        "PASSED test_users.py::test_the_clock_is_the_tests_own",
        "FAILED test_users.py::test_a_wrong_expectation",
        "ERROR test_users.py::test_without_the_server",
    ],
)
def test_a_users_tests_end_as_they_should(users_run, outcome):
    assert outcome in users_run


def test_a_failed_check_shows_what_happened(users_run):
    assert "expected QUEUED PAUSED" in users_run
    assert "it went submitted QUEUED" in users_run


def test_without_the_server_the_fixture_says_how_to_install_it(users_run):
    assert "pip install 'jobplane[server]'" in users_run


def test_the_plugin_loads_nothing_heavy():
    heavy = {"grpc", "google.protobuf", "sqlalchemy", "pandas", "jobplane.client"}
    code = f"import sys, jobplane.testing.plugin; print({heavy!r} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_a_refused_call_is_repeated_by_the_client(jobplane):
    jobplane.faults.refuse("GetJob", times=2)
    job = jobplane.client.submit(QUICK)
    assert jobplane.client.get(job).id == job.id
    assert jobplane.faults.left == 0


def test_a_cut_watch_goes_on_where_it_was(jobplane):
    jobplane.faults.cut("WatchJob", after=1, times=3)
    step = specs.Duration(nanos=100_000_000)
    slow = specs.Probe(steps=5, step_duration=step, isolation=QUICK.isolation)
    job = jobplane.client.submit(slow)
    causes = []
    sequences = [
        event.sequence
        for event in job.events(on_interruption=lambda lost: causes.append(lost.cause))
        if event.is_durable
    ]
    assert sequences == list(range(1, len(sequences) + 1))
    assert any("a test has it cut" in cause for cause in causes)


def test_a_delayed_call_is_given_up_after_its_time(jobplane):
    jobplane.faults.delay("CancelJob", 30)
    with Client(jobplane.address, timeout=0.2) as client, pytest.raises(errors.DeadlineExceeded):
        client.cancel("anything")


def test_a_fault_of_a_method_that_there_is_not_is_refused(jobplane):
    with pytest.raises(ValueError, match="SubmitJobs"):
        jobplane.faults.refuse("SubmitJobs")
    jobplane.faults.refuse("SubmitJob")
    jobplane.faults.clear()
    assert jobplane.faults.left == 0


def test_what_was_acknowledged_survives_a_restart(jobplane):
    job = jobplane.client.submit(QUICK).wait(30)
    jobplane.restart()
    assert jobplane.client.get(job.id).status == "SUCCEEDED"
    assert_events(job, ["submitted", "attempt_started", "finished"])


def test_a_schedule_fires_when_the_clock_is_moved(jobplane, fake_clock: FakeClock):
    jobplane.client.create_schedule("nightly", QUICK, cron="0 3 * * *")
    with jobplane.client.watch_jobs('schedule : "nightly"', timeout=60) as watch:
        fake_clock.advance(timedelta(hours=3))
        fired = next(change for change in watch if change.job.done)
    assert fired.job.status == "SUCCEEDED"


def test_time_goes_forward_only(fake_clock: FakeClock):
    with pytest.raises(ValueError, match="forward"):
        fake_clock.advance(-1)


def test_nothing_of_a_server_is_left_after_its_end(jobplane):
    assert jobplane.client.submit(QUICK).wait(30).done
    jobplane.stop()
    assert "jobplane-server" not in {thread.name for thread in threading.enumerate()}
    jobplane.stop()
