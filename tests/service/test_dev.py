"""`python -m jobplane.service` as a real process."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from jobplane.v1 import job_service_pb2, job_service_pb2_grpc

START_S = 30.0
READY = re.compile(
    r"jobplane ready grpc=(?P<grpc>127\.0\.0\.1:\d+) "
    r"http=(?P<http>http://127\.0\.0\.1:\d+) data=(?P<data>\S+)\n"
)


class Dev:
    def __init__(self, data: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "jobplane.service", "--data", str(data)]
        ports = [] if "--port" in arguments else ["--port", "0"]
        self.process = subprocess.Popen(
            [*command, *ports, "--http-port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> dict[str, str]:
        line = self.process.stdout.readline()
        found = READY.fullmatch(line)
        assert found, f"{line!r} {self.process.stderr.read() if not line else ''}"
        return found.groupdict()

    def end(self) -> tuple[int, str, str]:
        """Exit code and what was printed since."""
        out, err = self.process.communicate(timeout=START_S)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path) -> Iterator:
    started: list[Dev] = []

    def run(*arguments: str, data: Path = tmp_path / "data") -> Dev:
        started.append(Dev(data, *arguments))
        return started[-1]

    yield run
    for dev in started:
        if dev.process.poll() is None:
            dev.process.kill()
        dev.process.communicate()


def test_the_ready_line_is_the_only_one_and_true(start, tmp_path):
    dev = start()
    ready = dev.ready()
    assert ready["data"] == str(tmp_path / "data")
    with grpc.insecure_channel(ready["grpc"]) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        assert stub.ListJobs(job_service_pb2.ListJobsRequest(project="demo"), timeout=5).jobs == []
    with urllib.request.urlopen(ready["http"] + "/readyz", timeout=5) as response:
        assert response.read() == b"ready\n"
    dev.process.terminate()
    code, out, _ = dev.end()
    assert (code, out) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_though_a_watch_is_open(start, number):
    dev = start()
    with grpc.insecure_channel(dev.ready()["grpc"]) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        request = job_service_pb2.SubmitJobRequest(project="demo")
        request.spec.probe.steps = 1
        request.spec.policy.start_time.seconds = 4_000_000_000
        name = stub.SubmitJob(request, timeout=5).job.name
        call = stub.WatchJob(job_service_pb2.WatchJobRequest(name=name))
        next(call)
        dev.process.send_signal(number)
        last = list(call)[-1]
    assert last.end.reason == job_service_pb2.WatchJobResponse.End.REASON_DRAINING
    code, _, err = dev.end()
    assert code == 0
    assert "Traceback" not in err
    assert "never awaited" not in err


@pytest.mark.parametrize("flag", ["--port", "--http-port"])
def test_a_taken_port_is_refused_with_one_line(start, flag):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = start(flag, str(port)).end()
    assert (code, out) == (2, "")
    assert str(port) in err
    assert err.count("\n") == 1


def test_a_folder_in_use_is_refused_with_one_line(start):
    first = start()
    first.ready()
    code, out, err = start().end()
    assert (code, out) == (2, "")
    assert f"process {first.process.pid}" in err
    assert err.count("\n") == 1


def test_a_folder_that_is_a_file_is_refused_with_one_line(start, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = start(data=tmp_path / "file").end()
    assert (code, out) == (2, "")
    assert "file" in err
    assert err.count("\n") == 1


def test_a_folder_with_something_else_for_a_record_is_refused_with_one_line(start, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jobplane.db").write_bytes(b"not a database at all" * 100)
    code, out, err = start().end()
    assert (code, out) == (2, "")
    assert "not a database" in err
    assert err.count("\n") == 1


def test_a_folder_of_a_newer_version_is_refused_with_one_line(start, tmp_path):
    first = start()
    first.ready()
    first.process.terminate()
    first.end()
    with closing(sqlite3.connect(tmp_path / "data" / "jobplane.db")) as record:
        record.execute("UPDATE alembic_version SET version_num = '9999'")
        record.commit()
    code, out, err = start().end()
    assert (code, out) == (2, "")
    assert "newer than" in err
    assert err.count("\n") == 1


def test_a_folder_with_a_file_in_place_of_its_content_is_refused_with_its_name(start, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "content").write_text("")
    code, out, err = start().end()
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert last.startswith(f"jobplane dev: {tmp_path / 'data'} can't be used: ")
    assert "Traceback" not in err


def test_a_folder_is_free_again_after_a_crash(start):
    first = start()
    first.ready()
    os.kill(first.process.pid, signal.SIGKILL)
    first.end()
    assert start().ready()


def test_a_server_imports_nothing_that_only_some_jobs_need():
    heavy = ("alembic", "jsonschema", "pandas", "pyarrow", "numpy", "duckdb", "httpx2")
    program = (
        "import sys; import jobplane.service.dev; "
        "from jobplane.engine.kinds.registry import Registry; Registry.discover(); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
