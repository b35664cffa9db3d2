"""A fake server and a way to run the command, in this process or as one of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobplane.cli.main import run
from tests.client.fake_server import FakeServer


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
READY = re.compile(r"jobplane ready grpc=(\S+) http=(\S+) data=(\S+)")


@contextmanager
def dev_server(data: Path, *, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `jobplane dev`, and give its process and address once it is ready."""
    with (
        (data.parent / "server.log").open("a") as log,
        subprocess.Popen(
            [sys.executable, "-m", "jobplane.cli", "dev", "--port", str(port),
             "--http-port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stdout
        try:
            ready = READY.match(process.stdout.readline())
            assert ready, (data.parent / "server.log").read_text()
            yield process, ready[1]
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    for name in ("ADDRESS", "PROJECT", "TOKEN", "CONTEXT", "TLS", "CA_FILE"):
        monkeypatch.delenv(f"JOBPLANE_{name}", raising=False)
    monkeypatch.setenv("JOBPLANE_CONFIG", str(tmp_path / "contexts.json"))


@pytest.fixture
def server(monkeypatch) -> Iterator[FakeServer]:
    with FakeServer() as server:
        monkeypatch.setenv("JOBPLANE_ADDRESS", server.address)
        yield server


@pytest.fixture(scope="session")
def plane(tmp_path_factory) -> Iterator[str]:
    """Address of a real server in a process of its own, shared by all tests."""
    with dev_server(tmp_path_factory.mktemp("plane") / "data") as (_, address):
        yield address


@pytest.fixture
def cli(capsys) -> Cli:
    """Run a command line in this process."""

    def ran(*arguments: str) -> Ran:
        code = run(arguments)
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return ran


@pytest.fixture
def process() -> Cli:
    """Run a command line as a process of its own."""

    def ran(*arguments: str, stdin: str = "") -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "jobplane.cli", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return ran
