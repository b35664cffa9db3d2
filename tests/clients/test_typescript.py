"""The TypeScript client keeps its own tests, and works against a real server."""

import json
from pathlib import Path

import pytest

from tests.clients.dev_server import DevServer
from tests.clients.example import assert_whole_history
from tests.clients.toolbox import ROOT, path_of, run


# It is built first, and its fakes keep a small machine busy.
@pytest.mark.timeout(300)
def test_the_typescript_client_passes_its_tests(typescript_folder: Path, server: DevServer) -> None:
    tests = [path_of("node"), "--test", "--test-reporter", "tap", "dist/test/"]
    printed = run(tests, folder=typescript_folder, JOBPLANE_ADDRESS=server.address)
    assert "# skipped 0" in printed


def test_the_typescript_example_follows_a_probe_job_to_its_end(
    typescript_folder: Path, server: DevServer
) -> None:
    example = typescript_folder / "dist/examples/watch.js"
    command = [path_of("node"), str(example), "--address", server.address]
    printed = run(command, folder=typescript_folder, seconds=60)
    assert_whole_history(printed, status="SUCCEEDED")


def test_the_typescript_lock_file_names_no_download_address() -> None:
    lock = json.loads((ROOT / "clients/typescript/package-lock.json").read_text())
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []
