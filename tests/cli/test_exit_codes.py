"""Every exit code, from every command that can give it, and each once from a real process."""

import signal
import subprocess
import sys

import pytest
from google.rpc import error_details_pb2 as details

from jobplane.v1 import job_pb2
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, rich_status

ENDS = {
    "SUCCEEDED": 0,
    "SUCCEEDED_WITH_GAPS": 0,
    "FAILED": 1,
    "EVAL_FAILED": 1,
    "CANCELLED": 3,
    "TIMED_OUT": 4,
}
FOLLOWERS = [("watch", "a"), ("wait", "a"), ("result", "a")]
REFUSALS = [
    ("INVALID_ARGUMENT", "INVALID_FILTER", 2),
    ("OUT_OF_RANGE", "SEQUENCE_IN_FUTURE", 2),
    ("NOT_FOUND", "JOB_NOT_FOUND", 5),
    ("PERMISSION_DENIED", "PROJECT_FORBIDDEN", 6),
    ("UNAUTHENTICATED", "CREDENTIALS_MISSING", 6),
    ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", 7),
    ("RESOURCE_EXHAUSTED", "RATE_LIMITED", 7),
    ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED", 8),
    ("FAILED_PRECONDITION", "INVALID_TRANSITION", 8),
    ("ABORTED", "CONFLICT", 8),
    ("UNIMPLEMENTED", "NOT_ENABLED", 69),
    ("DEADLINE_EXCEEDED", "", 69),
    ("INTERNAL", "INTERNAL", 70),
    ("DATA_LOSS", "ARTIFACT_CORRUPT", 70),
]


def ended(server: FakeServer, status: str) -> None:
    server.add(run_to_end(new_job("a"), job_pb2.JobStatus.Value(f"JOB_STATUS_{status}")))


@pytest.mark.parametrize("command", FOLLOWERS, ids=lambda command: command[0])
@pytest.mark.parametrize(("status", "code"), ENDS.items())
def test_who_follows_a_job_exits_as_it_ended(cli, server, command, status, code):
    ended(server, status)
    assert cli(*command).code == code


@pytest.mark.parametrize("command", FOLLOWERS, ids=lambda command: command[0])
def test_gaps_count_only_with_strict(cli, server, command):
    ended(server, "SUCCEEDED_WITH_GAPS")
    assert cli(*command, "--strict").code == 10


@pytest.mark.parametrize("mode", ["--watch", "--wait"])
@pytest.mark.parametrize(("status", "code"), ENDS.items())
def test_a_submit_that_stays_exits_as_the_job_ended(cli, server, mode, status, code):
    ended(server, status)
    cli("submit", "--kind", "probe", "--key", "k", "--job-id", "b")
    name = "projects/default/jobs/b"
    run_to_end(server.jobs[name], job_pb2.JobStatus.Value(f"JOB_STATUS_{status}"))
    assert cli("submit", "--kind", "probe", "--key", "k", "--job-id", "b", mode).code == code


@pytest.mark.parametrize(("grpc_code", "reason", "code"), REFUSALS)
def test_a_refusal_exits_by_its_code(cli, server, grpc_code, reason, code):
    server.refuse("ListJobs", rich_status(grpc_code, reason, "no"))
    assert cli("ls").code == code


@pytest.mark.parametrize("command", ["ls", "describe", "events", "count"])
def test_what_reads_never_exits_as_a_failed_job(cli, server, command):
    ended(server, "FAILED")
    arguments = ["a"] if command in {"describe", "events"} else []
    assert cli(command, *arguments).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit",),
        ("submit", "--kind", "probe", "-p", "steps"),
        ("submit", "--kind", "probe", "-p", "stepz=1"),
        ("submit", "no-such-file.json"),
        ("submit", "spec.yaml"),
        ("submit", "--kind", "probe", "--label", "novalue"),
        ("watch",),
        ("watch", "a", "--timeout", "soon"),
        ("cancel",),
        ("artifacts", "get", "a"),
        ("context", "use", "nowhere"),
        ("ls", "--context", "nowhere"),
        ("ls", "-o", "xml"),
        ("unheard-of",),
        (),
    ],
)
def test_wrong_usage_exits_2_and_creates_nothing(cli, server, arguments):
    ended(server, "SUCCEEDED")
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.err
    assert server.requests("SubmitJob") == []


def test_process_0_succeeded(process, server):
    ended(server, "SUCCEEDED")
    assert process("watch", "a").code == 0


def test_process_1_failed(process, server):
    ended(server, "FAILED")
    assert process("watch", "a").code == 1


@pytest.mark.usefixtures("server")
def test_process_2_usage(process):
    assert process("watch").code == 2


def test_process_3_cancelled(process, server):
    ended(server, "CANCELLED")
    assert process("result", "a").code == 3


def test_process_4_timed_out(process, server):
    ended(server, "TIMED_OUT")
    assert process("wait", "a").code == 4


@pytest.mark.usefixtures("server")
def test_process_5_not_found(process):
    ran = process("watch", "nobody")
    assert ran.code == 5
    assert "nobody does not exist" in ran.err


def test_process_6_denied(process, server):
    server.refuse("ListJobs", rich_status("PERMISSION_DENIED", "PROJECT_FORBIDDEN", "no"))
    assert process("ls").code == 6


def test_process_7_limited(process, server):
    violation = details.QuotaFailure.Violation(subject="project default", description="full")
    server.refuse(
        "SubmitJob",
        rich_status(
            "RESOURCE_EXHAUSTED",
            "QUOTA_EXCEEDED",
            "running is at 4 of 4",
            details.QuotaFailure(violations=[violation]),
        ),
    )
    assert process("submit", "--kind", "probe").code == 7


@pytest.mark.usefixtures("server")
def test_process_8_conflict(process):
    assert process("submit", "--kind", "probe", "--key", "k").code == 0
    assert process("submit", "--kind", "probe", "--key", "k", "-p", "steps=2").code == 8


def test_process_9_needs_input(process, server):
    job = server.add(new_job("a"))
    job.move(job_pb2.JOB_STATUS_AWAITING_INPUT)
    ran = process("watch", "a", "--no-wait-input")
    assert ran.code == 9
    assert "jobplane answer a" in ran.err


def test_process_10_gaps(process, server):
    ended(server, "SUCCEEDED_WITH_GAPS")
    assert process("wait", "a", "--strict").code == 10


def test_process_69_unreachable(process):
    ran = process("ls", "--address", "127.0.0.1:1")
    assert ran.code == 69
    assert "jobplane dev" in ran.err


def test_process_70_defect(process, server):
    server.refuse("ListJobs", rich_status("INTERNAL", "INTERNAL", "oops"))
    ran = process("ls")
    assert ran.code == 70
    assert "req-1" in ran.err


def test_process_124_timeout(process, server):
    server.add(new_job("a"))
    ran = process("watch", "a", "--timeout", "300ms")
    assert ran.code == 124
    assert "goes on" in ran.err


@pytest.fixture
def interruptible():
    """A shell that runs the tests in the background has them, and their children, ignore this."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_process_130_detached_and_the_job_goes_on(server, number):
    server.add(new_job("a"))
    code, told = interrupted(["watch", "a"], number)
    assert code == 130
    assert "Come back with: jobplane watch a" in told
    assert server.requests("CancelJob") == []


@pytest.mark.usefixtures("interruptible")
def test_process_130_cancels_when_told_to(server):
    server.add(new_job("a"))
    code, _ = interrupted(["watch", "a", "--cancel-on-interrupt"], signal.SIGINT)
    assert code == 130
    assert server.jobs["projects/default/jobs/a"].finished


def interrupted(arguments, number):
    """Interrupt the command once it has shown its first line."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "jobplane.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    return process.returncode, told


def test_process_141_when_the_reader_goes_away(server):
    server.add(run_to_end(new_job("a"), steps=2000))
    with subprocess.Popen(
        [sys.executable, "-m", "jobplane.cli", "events", "a", "-o", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
        assert (process.wait(60), told) == (141, "")
