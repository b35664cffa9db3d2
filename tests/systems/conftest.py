"""A real server in a process of its own, shared by the tests of a module."""

import re
import signal
import subprocess
import sys

import pytest

READY = re.compile(r"jobplane ready grpc=(\S+) ")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of a dev server with a fresh folder."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, "--data", str(folder / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        ready = READY.match(process.stdout.readline())
        assert ready, (folder / "log").read_text()
        yield ready[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert "Traceback" not in (folder / "log").read_text()
