"""The README's grpcurl session, run as it stands with the real grpcurl."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


def session():
    """Commands of the README's console blocks, each with the output it shows."""
    text = (ROOT / "README.md").read_text()
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output.splitlines()


def missing(shown, printed):
    """The first shown line that the output does not have in its place; None when all are there."""
    at = 0
    anywhere = False
    for line in shown:
        if line == "…":
            anywhere = True
            continue
        rest = [text.rstrip() for text in printed[at:]]
        if line.rstrip() not in (rest if anywhere else rest[:1]):
            return line
        at += rest.index(line.rstrip()) + 1
        anywhere = False
    return None if anywhere or at == len(printed) else f"nothing after {shown[-1]!r}"


def test_the_session_runs_as_the_readme_shows_it(grpcurl, server):
    ran = 0
    for command, shown in session():
        words = shlex.split(command.replace("127.0.0.1:7070", server))
        assert words[0] == "grpcurl"
        done = subprocess.run(
            [grpcurl, *words[1:]], capture_output=True, text=True, timeout=60, check=False
        )
        printed = (done.stdout + done.stderr).splitlines()
        assert missing(shown, printed) is None, (command, missing(shown, printed), printed)
        ran += 1
    assert ran >= 8
