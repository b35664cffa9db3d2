"""What attempts hand in counts against the project's limit of artifact bytes."""

import asyncio
import functools
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from jobplane.engine.catalogue import Registration
from jobplane.engine.domain.errors import ArtifactNotFoundError, QuotaExceededError
from jobplane.engine.domain.job import FailureCategory, RunPolicy
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.library import ArtifactQuery
from jobplane.engine.scheduler.room import Output, Room
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from tests.engine.conftest import finished, probe, running

ISOLATIONS = {"thread": ProbeSpec.ISOLATION_THREAD, "process": ProbeSpec.ISOLATION_PROCESS}
either = pytest.mark.parametrize("isolation", ISOLATIONS)


def in_loop(scenario):
    """Run an async test in an event loop of its own."""

    @functools.wraps(scenario)
    def run(**fixtures):
        asyncio.run(scenario(**fixtures))

    return run


@asynccontextmanager
async def working(settings):
    """A started engine that runs probes in threads and in processes."""
    registry = Registry.discover()
    where = ExecutorSettings(
        threads=ThreadSettings(slots=4), processes=ProcessSettings(slots=2, warm_per_kind=0)
    )
    executors = {
        "THREAD": ThreadExecutor(registry, where),
        "PROCESS": ProcessExecutor(registry, where),
    }
    house = House(settings, registry=registry, executors=executors)
    engine = await house.start()
    try:
        yield house, engine
    finally:
        await house.stop(5)


async def limit(engine, artifact_bytes):
    limits = {"artifact_bytes": artifact_bytes}
    await engine.planning.update_quota("demo", limits=limits, metrics=None, etag="")


async def used(engine):
    return (await engine.planning.get_quota("demo")).usage["artifact_bytes"]


async def submitted(engine, isolation="thread", **fields):
    accepted = await engine.submit(probe(isolation=ISOLATIONS[isolation], **fields))
    return accepted.job


async def names_of(engine, job):
    page = await engine.library.list_artifacts(ArtifactQuery("demo", job.job_id))
    return [artifact.artifact_id for artifact in page.items]


@either
@in_loop
async def test_an_output_that_does_not_fit_ends_its_attempt_and_says_why(settings, isolation):
    async with working(settings) as (house, engine):
        await limit(engine, 2000)
        first = await finished(engine, await submitted(engine, isolation, artifact_bytes=1500))
        assert first.status is JobStatus.SUCCEEDED
        job = await submitted(
            engine, isolation, artifact_bytes=600, policy=RunPolicy(max_attempts=5)
        )
        job = await finished(engine, job)
        failure = job.failure
        assert (job.status, job.attempt) == (JobStatus.FAILED, 1)
        assert (failure.reason, failure.category) == ("QUOTA_EXCEEDED", FailureCategory.RESOURCE)
        assert failure.message == (
            "artifact 'payload.bin' of 600 bytes does not fit: projects/demo: artifact_bytes is "
            "at 1500 of 2000 (500 left); delete jobs or uploads of the project, or raise its limit"
        )
        assert await names_of(engine, job) == []
        with pytest.raises(ArtifactNotFoundError):
            await engine.library.get_artifact("demo", job.job_id, "payload.bin")
        assert await used(engine) == 1500
        # It was not even copied.
        assert {one.size_bytes for one in house.content.walk()} == {1500}


@either
@in_loop
async def test_attempts_that_end_together_never_pass_the_limit(settings, isolation):
    async with working(settings) as (house, engine):
        # Each finds room when it looks; what counts is the look with the row.
        house.ledger._misfit = lambda *_: None
        house.dispatcher.paused = True
        await limit(engine, 3500)
        jobs = [await submitted(engine, isolation, artifact_bytes=1000) for _ in range(6)]
        house.dispatcher.paused = False
        house.dispatcher.step()
        ends = [await finished(engine, job, within_s=60.0) for job in jobs]
        assert sorted(job.status for job in ends) == ["FAILED"] * 3 + ["SUCCEEDED"] * 3
        assert await used(engine) == 3000
        for job in ends:
            is_kept = job.status is JobStatus.SUCCEEDED
            assert await names_of(engine, job) == (["payload.bin"] if is_kept else [])
            assert is_kept or job.failure.reason == "QUOTA_EXCEEDED"


@in_loop
async def test_what_was_handed_in_before_stays_and_what_follows_is_dropped(settings):
    async with working(settings) as (house, engine):
        house.ledger._misfit = lambda *_: None
        await limit(engine, 1000)
        # The payload comes first, the table does not fit any more.
        job = await submitted(engine, artifact_bytes=900, table_rows=100)
        job = await finished(engine, job)
        assert job.failure.reason == "QUOTA_EXCEEDED"
        assert await names_of(engine, job) == ["payload.bin"]
        history = await engine.events(
            "demo", job.job_id, after_sequence=0, page_size=100, page_token="", descending=False
        )
        told = [event.payload for event in history.items]
        assert [one.artifact.artifact_id for one in told if hasattr(one, "artifact")] == [
            "payload.bin"
        ]


@in_loop
async def test_an_output_that_replaces_an_earlier_one_counts_by_the_difference(settings):
    async with running(settings) as (house, engine):
        await limit(engine, 1500)
        job = await finished(engine, await submitted(engine, artifact_bytes=1000))

        def index_of_misfit(*sizes):
            outputs = [Output("payload.bin", size) for size in sizes]
            misfit = house.database.read_now(
                lambda connection: Room.of(connection, "demo").misfit(
                    connection, job.job_id, outputs
                )
            )
            return misfit and misfit.place

        assert index_of_misfit(1500) is None
        assert index_of_misfit(1501) == 0
        assert index_of_misfit(1400, 1500, 1501) == 2


@in_loop
async def test_what_an_attempt_printed_is_kept_though_nothing_else_fits(settings):
    async with working(settings) as (_, engine):
        await limit(engine, 10)
        job = await submitted(engine, "process", log_bytes=100, artifact_bytes=600)
        job = await finished(engine, job, within_s=60.0)
        assert job.failure.reason == "QUOTA_EXCEEDED"

        async def is_logged():
            return await names_of(engine, job)

        async with asyncio.timeout(10):
            while not (names := await is_logged()):  # noqa: ASYNC110  no event tells of it
                await asyncio.sleep(0.01)
        assert all(name.startswith("logs/") for name in names)


@in_loop
async def test_without_a_limit_nothing_is_counted(settings):
    async with running(settings) as (_, engine):
        await limit(engine, 0)
        job = await finished(engine, await submitted(engine, artifact_bytes=1_000_000))
        assert job.status is JobStatus.SUCCEEDED


@in_loop
async def test_a_data_set_of_an_output_is_refused_where_its_copy_does_not_fit(settings):
    async with running(settings) as (_, engine):
        job = await finished(engine, await submitted(engine, artifact_bytes=1000))
        await limit(engine, 1500)
        name = f"projects/demo/jobs/{job.job_id}/artifacts/payload.bin"
        registration = Registration(project="demo", dataset_id="d", version="1", artifact=name)
        with pytest.raises(QuotaExceededError):
            await engine.library.datasets.register(registration)
        await limit(engine, 2000)
        await engine.library.datasets.register(replace(registration, version="2"))
