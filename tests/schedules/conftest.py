"""A schedule rig on a fresh store."""

import pytest

from jobplane.engine.store.database import sqlite_url
from tests.engine.conftest import postgres_schema
from tests.schedules.rig import rig_at


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "postgresql":
        return postgres_schema()
    return sqlite_url(tmp_path / "jobs.db")


@pytest.fixture
def rig(url):
    with rig_at(url) as rig:
        yield rig
