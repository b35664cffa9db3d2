"""The clients of other languages, built, and a real server to run them against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.dev_server import DevServer
from tests.clients.toolbox import ROOT, fetch, path_of, run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DevServer]:
    server = DevServer(tmp_path / "data")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def go_folder() -> Path:
    folder = ROOT / "clients/go"
    fetch([path_of("go"), "mod", "download"], folder=folder)
    return folder


@pytest.fixture(scope="session")
def go_example(go_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("go") / "watch"
    run([path_of("go"), "build", "-o", program, "./examples/watch"], folder=go_folder)
    return program


@pytest.fixture(scope="session")
def typescript_folder() -> Path:
    folder = ROOT / "clients/typescript"
    npm = path_of("npm")
    installed = folder / "node_modules/.package-lock.json"
    wanted = folder / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        fetch([npm, "ci", "--ignore-scripts"], folder=folder)
    run([npm, "run", "build"], folder=folder)
    return folder
