"""A whole engine in this process, over SQLite and over PostgreSQL."""

import asyncio
import os
import uuid
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import create_engine, text

from jobplane.engine.domain.job import JobSpec
from jobplane.engine.domain.submission import Submission
from jobplane.engine.executors.settings import ExecutorSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec

POSTGRES = "JOBPLANE_TEST_POSTGRES"
THREAD = ProbeSpec.ISOLATION_THREAD


def postgres_schema():
    """URL of a fresh schema of the test database."""
    url = os.environ.get(POSTGRES)
    if not url:
        message = (
            f"no PostgreSQL: apt-get install postgresql, start it, and set {POSTGRES} to its URL"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    name = f"t{uuid.uuid4().hex}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{url}?options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request, tmp_path):
    """Settings of an engine on each database."""
    url = postgres_schema() if request.param == "postgresql" else ""
    return EngineSettings(tmp_path, database_url=url, thread_slots=4, feed_interval_s=0.2)


@asynccontextmanager
async def running(settings, **overrides):
    """A started house with its engine; probes run in threads."""
    registry = Registry.discover()
    executor = ThreadExecutor(
        registry, ExecutorSettings(threads=ThreadSettings(slots=settings.thread_slots))
    )
    house = House(settings, registry=registry, executors={"THREAD": executor}, **overrides)
    engine = await house.start()
    try:
        yield house, engine
    finally:
        await house.stop(5)


def probe(**fields):
    """A submission of a probe that runs in a thread."""
    spec = ProbeSpec(isolation=THREAD)
    options = {name: fields.pop(name) for name in list(fields) if name in Submission.__slots__}
    policy = fields.pop("policy", None)
    step_s = fields.pop("step_s", 0.0)
    for name, value in fields.items():
        setattr(spec, name, value)
    if step_s:
        spec.step_duration.FromNanoseconds(int(step_s * 1e9))
    job_spec = JobSpec("probe", spec.SerializeToString())
    if policy:
        job_spec = JobSpec("probe", spec.SerializeToString(), policy=policy)
    return Submission("demo", job_spec, creator="tester", **options)


async def finished(engine, job, within_s=20.0):
    """The job, once it is over."""
    done, met = await engine.wait("demo", job.job_id, after_sequence=None, timeout_s=within_s)
    assert met, f"still {done.status}"
    return done


async def until(check, within_s=10.0):
    """Poll until a check gives something true."""
    async with asyncio.timeout(within_s):
        # What is asked for may be told by no event of ours.
        while not (value := await check()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return value
