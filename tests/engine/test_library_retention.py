"""What is over goes, with all that only it needed; what is needed stays."""

import asyncio
import functools
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.catalogue import Registration
from jobplane.engine.domain import lifecycle
from jobplane.engine.domain.errors import (
    ArtifactNotFoundError,
    EtagMismatchError,
    InvalidTransitionError,
    JobExpiredError,
    JobNotFoundError,
)
from jobplane.engine.domain.job import InputRef, Job, RunPolicy
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.upload import UploadHeader
from jobplane.engine.library import ArtifactQuery
from jobplane.engine.store import content, jobs
from jobplane.engine.watch.frame import End, EndReason
from tests.engine.conftest import finished, probe, running

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def in_loop(scenario):
    """Run an async test in an event loop of its own."""

    @functools.wraps(scenario)
    def run(**fixtures):
        asyncio.run(scenario(**fixtures))

    return run


@pytest.fixture
def quiet(settings):
    """Settings under which nothing is purged or swept but by the test."""
    return replace(settings, janitor_interval_s=3600.0, gc_grace_s=3600.0)


def now():
    return datetime.now(UTC)


async def upload(engine, content, **fields):
    async def chunks():
        yield content

    header = UploadHeader(project="demo", size_bytes=len(content), **fields)
    return (await engine.library.upload(header, chunks())).artifact


async def ended(engine, **fields):
    accepted = await engine.submit(probe(**fields))
    return await finished(engine, accepted.job)


def sweep(house, at):
    """Two looks, a grace apart."""
    house._janitor.sweep(at)
    return house._janitor.sweep(at + 2 * HOUR)


def age(house, *digests, by=DAY):
    """Make content look as if nobody had handed it in for a while."""
    old = time.time() - by.total_seconds()
    for digest in digests:
        os.utime(house.content.path_of(digest), (old, old))


@in_loop
async def test_a_deleted_job_is_gone_with_its_history_and_artifacts(quiet):
    async with running(quiet) as (_, engine):
        job = await ended(engine, steps=1, table_rows=2, labels={"a": "b"})
        await engine.delete("demo", job.job_id, etag=job.etag)
        with pytest.raises(JobExpiredError):
            await engine.get("demo", job.job_id)
        with pytest.raises(JobExpiredError):
            await engine.library.list_artifacts(ArtifactQuery("demo", job.job_id))
        with pytest.raises(JobExpiredError):
            await engine.library.get_artifact("demo", job.job_id, "table.csv")


@in_loop
async def test_a_delete_that_is_repeated_changes_nothing(quiet):
    async with running(quiet) as (_, engine):
        job = await ended(engine, steps=1)
        await engine.delete("demo", job.job_id, etag="")
        await engine.delete("demo", job.job_id, etag="")


@in_loop
async def test_a_job_that_never_was_can_not_be_deleted(quiet):
    async with running(quiet) as (_, engine):
        with pytest.raises(JobNotFoundError):
            await engine.delete("demo", "none", etag="")


@in_loop
async def test_a_job_that_runs_can_not_be_deleted(quiet):
    async with running(quiet) as (_, engine):
        accepted = await engine.submit(probe(steps=1000, step_s=0.01))
        with pytest.raises(InvalidTransitionError):
            await engine.delete("demo", accepted.job.job_id, etag="")
        await engine.cancel("demo", accepted.job.job_id, requester="t", reason="", force=True)


@in_loop
async def test_a_delete_with_an_old_etag_is_refused(quiet):
    async with running(quiet) as (_, engine):
        job = await ended(engine, steps=1)
        with pytest.raises(EtagMismatchError):
            await engine.delete("demo", job.job_id, etag='"1"')


@in_loop
async def test_a_jobs_id_is_not_given_again(quiet):
    async with running(quiet) as (_, engine):
        job = await ended(engine, steps=1, job_id="once")
        await engine.delete("demo", job.job_id, etag="")
        with pytest.raises(Exception, match="exists"):
            await engine.submit(probe(steps=1, job_id="once"))


@in_loop
async def test_watchers_of_a_deleted_job_hear_of_it(quiet):
    async with running(quiet) as (house, engine):
        accepted = await engine.submit(probe(steps=1000, step_s=0.01))
        frames = engine.watch(
            "demo",
            accepted.job.job_id,
            after_sequence=None,
            heartbeat_s=15.0,
            durable_only=True,
            event_types=frozenset({"nothing"}),
        )
        await anext(frames)
        house.hub.forget(("demo", accepted.job.job_id))
        async with asyncio.timeout(10):
            async for frame in frames:
                if isinstance(frame, End):
                    break
        assert frame.reason is EndReason.DELETED
        await engine.cancel("demo", accepted.job.job_id, requester="t", reason="", force=True)


@in_loop
async def test_finished_jobs_are_purged_when_their_time_is_over(quiet):
    async with running(quiet) as (house, engine):
        short = await ended(engine, steps=1, policy=RunPolicy(retention_s=3600.0))
        long = await ended(engine, steps=1, policy=RunPolicy(retention_s=7 * 86400.0))
        house._janitor.expire(now() + 2 * HOUR)
        with pytest.raises(JobExpiredError):
            await engine.get("demo", short.job_id)
        assert (await engine.get("demo", long.job_id)).status is JobStatus.SUCCEEDED


@in_loop
async def test_more_jobs_than_a_page_are_purged_in_one_step(quiet):
    async with running(quiet) as (house, engine):
        jobs = [
            await engine.submit(probe(steps=1, policy=RunPolicy(retention_s=3600.0)))
            for _ in range(230)
        ]
        for accepted in jobs:
            await finished(engine, accepted.job)
        assert house._janitor.expire(now() + 2 * HOUR) == 230


@in_loop
async def test_a_key_outlives_its_job_for_a_week(quiet):
    async with running(quiet) as (_, engine):
        submission = probe(steps=1, idempotency_key="k")
        accepted = await engine.submit(submission)
        await finished(engine, accepted.job)
        await engine.delete("demo", accepted.job.job_id, etag="")
        with pytest.raises(JobExpiredError):
            await engine.submit(submission)


@in_loop
async def test_content_of_a_deleted_job_is_collected_after_the_grace(quiet):
    async with running(quiet) as (house, engine):
        job = await ended(engine, steps=1, table_rows=2)
        artifact = await engine.library.get_artifact("demo", job.job_id, "table.csv")
        path = house.content.path_of(artifact.sha256)
        age(house, artifact.sha256)
        assert sweep(house, now()).removed == 0
        await engine.delete("demo", job.job_id, etag="")
        house._janitor.sweep(now() + 3 * HOUR)
        assert path.exists()
        assert house._janitor.sweep(now() + 5 * HOUR).removed >= 1
        assert not path.exists()


@in_loop
async def test_content_that_was_touched_meanwhile_is_not_collected(quiet):
    async with running(quiet) as (house, _):
        kept = house.content.put(b"orphan")
        age(house, kept.sha256)
        house._janitor.sweep(now())
        house.content.touch(kept.sha256)
        assert sweep(house, now()).removed == 0


@in_loop
async def test_content_that_two_projects_have_stays_for_the_other_one(quiet):
    async with running(quiet) as (house, engine):
        one = await ended(engine, steps=1, table_rows=2)
        two = await ended(engine, steps=1, table_rows=2)
        artifact = await engine.library.get_artifact("demo", one.job_id, "table.csv")
        age(house, artifact.sha256)
        await engine.delete("demo", one.job_id, etag="")
        sweep(house, now())
        assert house.content.path_of(artifact.sha256).exists()
        assert await engine.library.get_artifact("demo", two.job_id, "table.csv")


@in_loop
async def test_an_upload_goes_when_its_time_is_over_and_nobody_needs_it(quiet):
    async with running(replace(quiet, upload_retention_s=3600.0)) as (house, engine):
        artifact = await upload(engine, b"abc")
        assert artifact.expires_at - artifact.created_at == HOUR
        house._janitor.expire(now() + 2 * HOUR)
        with pytest.raises(ArtifactNotFoundError):
            await engine.library.get_artifact("demo", "", artifact.sha256)


@in_loop
async def test_an_upload_that_a_data_set_names_stays(quiet):
    async with running(replace(quiet, upload_retention_s=3600.0)) as (house, engine):
        artifact = await upload(engine, b"abc")
        await engine.library.datasets.register(
            Registration(project="demo", dataset_id="d", version="1", artifact=artifact.name)
        )
        house._janitor.expire(now() + 2 * HOUR)
        kept = await engine.library.get_artifact("demo", "", artifact.sha256)
        assert kept.expires_at is None
        age(house, artifact.sha256)
        assert sweep(house, now() + DAY).removed == 0


@in_loop
async def test_an_upload_that_comes_again_lives_longer(quiet):
    async with running(replace(quiet, upload_retention_s=3600.0)) as (_, engine):
        first = await upload(engine, b"abc")
        second = await upload(engine, b"abc")
        assert second.expires_at > first.expires_at


@in_loop
async def test_what_a_job_needs_is_kept_as_long_as_the_job(quiet):
    async with running(replace(quiet, upload_retention_s=3600.0)) as (house, engine):
        artifact = await upload(engine, b"abc")
        house.database.write(lambda transaction: need(transaction, artifact)).result(10)
        house._janitor.expire(now() + 2 * HOUR)
        age(house, artifact.sha256)
        assert sweep(house, now() + DAY).removed == 0
        assert house.content.read(artifact.sha256) == b"abc"


def need(transaction, artifact):
    """A job that has the artifact as its input."""
    at = now()
    submission = probe(steps=1)
    spec = replace(
        submission.spec, inputs={"x": InputRef(artifact=artifact.name, sha256=artifact.sha256)}
    )
    job = Job("demo", "needs", spec, JobStatus.QUEUED, 0, at, at)
    stored = jobs.create(transaction, lifecycle.submitted(job, at), lane="NONE")
    content.need_inputs(transaction.connection, stored.pk, spec)


@in_loop
async def test_only_the_last_checkpoint_of_a_job_is_kept(quiet):
    async with running(quiet) as (house, engine):
        job = await ended(engine, steps=6, checkpoint_every=2)
        digests = [one.sha256 for one in house.content.walk()]
        age(house, *digests)
        sweep(house, now())
        assert house.content.read(job.checkpoint.sha256)


@in_loop
async def test_orphans_of_a_crash_are_collected(quiet):
    async with running(quiet) as (house, _):
        orphan = house.content.put(b"never got its row")
        age(house, orphan.sha256)
        assert sweep(house, now()).removed == 1
        assert house.content.touch(orphan.sha256) is None


@in_loop
async def test_uploads_that_nobody_goes_on_with_are_dropped(quiet):
    async with running(quiet) as (house, _):
        arrival = house.landing.open("demo", "0" * 64)
        arrival.write(b"some")
        house.landing.sweep(before=now() + DAY)
        assert house.landing.received("demo", "0" * 64) == 4
        arrival.close(keep=True)
        assert house.landing.sweep(before=now() - DAY) == 0
        assert house.landing.sweep(before=now() + DAY) == 1
        assert house.landing.received("demo", "0" * 64) == 0
