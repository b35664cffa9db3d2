"""What the pages talk to: grpcurl, and a real server as a reader starts it."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tests.docs.console import ROOT

READY = re.compile(r"jobplane ready grpc=(\S+) ")
INSTALL = "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"


@pytest.fixture
def grpcurl():
    found = shutil.which("grpcurl", path=f"{ROOT / '.tools/bin'}:{os.environ['PATH']}")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"grpcurl is missing: {INSTALL}")
        pytest.skip(f"grpcurl is missing: {INSTALL}")
    return found


@pytest.fixture
def server(tmp_path):
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [*command, "--data", str(tmp_path / "data")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        address = READY.match(process.stdout.readline())[1]
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
