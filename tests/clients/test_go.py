"""The Go client keeps its own tests, and works against a real server."""

from pathlib import Path

import pytest

from tests.clients.dev_server import DevServer
from tests.clients.example import assert_whole_history
from tests.clients.toolbox import path_of, run


def test_the_go_client_is_formatted_and_free_of_suspicious_code(go_folder: Path) -> None:
    assert run([path_of("gofmt"), "-l", "."], folder=go_folder) == ""
    run([path_of("go"), "vet", "./..."], folder=go_folder)


# The first build of a test compiles the whole of grpc.
@pytest.mark.timeout(300)
def test_the_go_client_passes_its_tests(go_folder: Path, server: DevServer) -> None:
    tests = [path_of("go"), "test", "-count=1", "-v", "."]
    printed = run(tests, folder=go_folder, JOBPLANE_ADDRESS=server.address)
    assert "--- SKIP" not in printed


def test_the_go_example_follows_a_probe_job_to_its_end(
    go_example: Path, server: DevServer, tmp_path: Path
) -> None:
    printed = run([go_example, "-address", server.address], folder=tmp_path, seconds=60)
    assert_whole_history(printed, status="SUCCEEDED")
