"""The clients of other languages follow a job across a crash of the server."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.dev_server import DevServer
from tests.clients.example import assert_whole_history
from tests.clients.toolbox import path_of


@pytest.fixture(params=["go", "typescript"])
def long_example(request: pytest.FixtureRequest, server: DevServer) -> list[str]:
    """A command that submits and watches a job of three seconds."""
    address = server.address
    if request.param == "go":
        program = request.getfixturevalue("go_example")
        return [str(program), "-address", address, "-steps", "30", "-step", "100ms"]
    folder = request.getfixturevalue("typescript_folder")
    program = str(folder / "dist/examples/watch.js")
    return [path_of("node"), program, "--address", address, "--steps", "30", "--step-ms", "100"]


def test_a_watch_gives_every_event_once_though_the_server_is_killed(
    long_example: list[str], server: DevServer, tmp_path: Path
) -> None:
    printed = ""
    with (
        (tmp_path / "stderr").open("w+") as stderr,
        subprocess.Popen(
            long_example, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=tmp_path
        ) as watcher,
    ):
        assert watcher.stdout is not None
        for line in watcher.stdout:
            printed += line
            if line.startswith("event 2 "):
                server.kill()
                server.start()
        stderr.seek(0)
        assert watcher.wait(timeout=30) == 0, stderr.read()
    assert_whole_history(printed)
