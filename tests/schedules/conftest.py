"""A schedule rig on a fresh store, and a whole server."""

from collections.abc import Iterator

import pytest

from jobplane.engine.store.database import sqlite_url
from tests.engine.conftest import postgres_schema
from tests.schedules.rig import rig_at
from tests.schedules.schedule_server import Schedules
from tests.service.loop_thread import LoopThread


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "postgresql":
        return postgres_schema()
    return sqlite_url(tmp_path / "jobs.db")


@pytest.fixture
def rig(url):
    with rig_at(url) as rig:
        yield rig


@pytest.fixture(scope="module")
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def server(thread, tmp_path) -> Iterator[Schedules]:
    server = Schedules(thread, tmp_path)
    yield server
    server.close()
