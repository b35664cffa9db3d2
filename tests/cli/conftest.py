"""A fake server and a way to run the command, in this process or as one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from jobplane.cli.main import run
from tests.client.fake_server import FakeServer


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


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
