"""A server for each test, all on one event loop."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service.library_server import LibraryServer
from tests.service.loop_thread import LoopThread
from tests.service.running_server import RunningServer


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def serve(loop_thread: LoopThread) -> Iterator[Callable[..., RunningServer]]:
    running: list[RunningServer] = []

    def start(*args, **kwargs) -> RunningServer:
        running.append(RunningServer(loop_thread, *args, **kwargs))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def server(serve: Callable[..., RunningServer]) -> RunningServer:
    return serve()


@pytest.fixture
def library(loop_thread: LoopThread, tmp_path: Path) -> Iterator[LibraryServer]:
    server = LibraryServer(loop_thread, tmp_path / "data")
    yield server
    server.close()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds, but not for ever."""

    def wait(condition: Callable[[], bool], within_s: float = 20.0) -> None:
        ends_at = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < ends_at, "it never came to be"
            time.sleep(0.01)

    return wait
