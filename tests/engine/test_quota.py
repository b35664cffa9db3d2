"""Quotas of projects, on both databases."""

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain.errors import (
    EtagMismatchError,
    InvalidSpecError,
    QuotaExceededError,
)
from jobplane.engine.domain.job import Resources, WaitReason
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.settings import NodeSettings, SchedulerSettings
from jobplane.engine.store import quotas
from tests.engine.conftest import finished, probe, running, until

GPU = Resources(gpu_type="A100", gpu_count=4)
NODES = (NodeSettings("one", 8, 2**35, {"A100": 8}),)


def run(coroutine):
    return asyncio.run(coroutine)


def with_gpus(submission):
    return replace(submission, spec=replace(submission.spec, resources=GPU))


async def limit(engine, **limits):
    by_metric = {name.replace("__", "."): value for name, value in limits.items()}
    return await engine.planning.update_quota("demo", limits=by_metric, metrics=None, etag="")


async def submitted(engine, submission):
    return (await engine.submit(submission)).job


async def usage(engine):
    return (await engine.planning.get_quota("demo")).usage


def test_a_full_queue_is_told_with_what_is_left(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await limit(engine, queued=2)
            for _ in range(2):
                await engine.submit(probe())
            with pytest.raises(QuotaExceededError) as refusal:
                await engine.submit(probe())
            error = refusal.value
            assert (error.subject, error.metric) == ("projects/demo", "queued")
            assert (error.limit, error.used, error.remaining) == (2, 2, 0)
            assert error.retry_after_s is None
            await engine.submit(replace(probe(), project="other"))

    run(scenario())


def test_many_submits_at_once_never_pass_the_limit(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await limit(engine, queued=7)
            answers = await asyncio.gather(
                *(engine.submit(probe()) for _ in range(30)), return_exceptions=True
            )
            assert sum(not isinstance(answer, QuotaExceededError) for answer in answers) == 7

    run(scenario())


def test_a_rate_of_submits_heals_with_time_and_says_when(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await limit(engine, submits_per_minute=3)
            for _ in range(3):
                await engine.submit(probe())
            with pytest.raises(QuotaExceededError) as refusal:
                await engine.submit(probe())
            assert 0 < refusal.value.retry_after_s <= 60
            assert (refusal.value.limit, refusal.value.used) == (3, 3)

    run(scenario())


def test_a_repeated_request_is_answered_even_at_the_limit(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await limit(engine, queued=1)
            first = await engine.submit(probe(idempotency_key="k"))
            again = await engine.submit(probe(idempotency_key="k"))
            assert (again.deduplicated, again.job.job_id) == (True, first.job.job_id)

    run(scenario())


@pytest.mark.parametrize("metric", ["running", "running__probe"])
def test_a_limit_of_running_jobs_makes_the_others_wait(settings, metric):
    async def scenario():
        async with running(settings) as (_, engine):
            await limit(engine, **{metric: 1})
            jobs = [await submitted(engine, probe(steps=25, step_s=0.02)) for _ in range(3)]

            async def one_runs():
                return (await usage(engine))["running"] == 1

            await until(one_runs)
            waits = [(await engine.get("demo", job.job_id)).wait for job in jobs]
            waits = [wait for wait in waits if wait]
            assert len(waits) == 2
            assert all(wait.reason is WaitReason.QUOTA for wait in waits)
            assert metric.replace("__", ".") in waits[0].message
            done = sorted(
                [await finished(engine, job) for job in jobs], key=lambda job: job.started_at
            )
            for before, after in itertools.pairwise(done):
                assert before.finished_at <= after.started_at

    run(scenario())


def test_a_limit_of_one_project_does_not_hold_up_another(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await limit(engine, running=1)
            for _ in range(3):
                await engine.submit(probe(steps=50, step_s=0.02))
            other = await submitted(engine, replace(probe(), project="other"))
            done, met = await engine.wait("other", other.job_id, after_sequence=None, timeout_s=10)
            assert met
            assert done.status is JobStatus.SUCCEEDED

    run(scenario())


def test_limits_are_set_one_by_one_and_guarded_by_the_etag(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            planning = engine.planning
            first = await limit(engine, queued=5, running=2)
            second = await planning.update_quota(
                "demo",
                limits={"queued": 9},
                metrics=frozenset({"queued", "running"}),
                etag=first.etag,
            )
            assert second.limits == {"queued": 9}
            with pytest.raises(EtagMismatchError):
                await planning.update_quota("demo", limits={}, metrics=None, etag=first.etag)
            with pytest.raises(InvalidSpecError):
                await planning.update_quota("demo", limits={"x": 1}, metrics=None, etag="")
            read = await planning.get_quota("demo")
            assert (read.limits, read.etag) == ({"queued": 9}, second.etag)

    run(scenario())


def test_no_limit_and_a_limit_of_0_let_everything_in(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await limit(engine, queued=0, running=0, submits_per_minute=0)
            job = await finished(engine, await submitted(engine, probe()))
            assert job.status is JobStatus.SUCCEEDED

    run(scenario())


def test_consumption_counts_by_the_month():
    moment = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert quotas.period_of(moment) == datetime(2026, 12, 1, tzinfo=UTC)
    assert quotas.next_period(moment) == datetime(2027, 1, 1, tzinfo=UTC)


def test_gpu_hours_are_counted_when_attempts_end_and_while_they_run(settings):
    settings = replace(settings, scheduler=SchedulerSettings(nodes=NODES))

    async def scenario():
        async with running(settings) as (_, engine):
            job = await submitted(engine, with_gpus(probe(steps=20, step_s=0.02)))

            async def counted():
                return (await usage(engine))["gpu_hours"] > 0

            await until(counted)
            done = await finished(engine, job)
            assert (await usage(engine))["gpu_hours"] == pytest.approx(done.usage.gpu_hours)

    run(scenario())


def test_a_budget_that_runs_out_pauses_what_runs_and_refuses_what_comes(settings):
    settings = replace(settings, scheduler=SchedulerSettings(nodes=NODES))

    async def scenario():
        async with running(settings) as (_, engine):
            await limit(engine, gpu_hours=0.1 / 3600)
            job = await submitted(
                engine, with_gpus(probe(steps=2000, step_s=0.01, checkpoint_every=1))
            )

            async def paused():
                return (await engine.get("demo", job.job_id)).status is JobStatus.PAUSED

            await until(paused)
            job = await engine.get("demo", job.job_id)
            assert (job.pause_request.requester, job.pause_request.reason) == (
                "system",
                "BUDGET_EXCEEDED",
            )
            assert job.checkpoint is not None
            with pytest.raises(QuotaExceededError) as refusal:
                await engine.submit(with_gpus(probe()))
            assert refusal.value.metric == "gpu_hours"
            assert timedelta(seconds=refusal.value.retry_after_s) <= timedelta(days=31)
            await engine.submit(probe())
            await engine.resume("demo", job.job_id, requester="me", reason="")
            assert (await engine.get("demo", job.job_id)).wait.reason is WaitReason.QUOTA
            await limit(engine)
            await until(lambda: is_running(engine, job))
            await engine.cancel("demo", job.job_id, requester="me", reason="", force=True)
            await finished(engine, job)

    run(scenario())


async def is_running(engine, job):
    return (await engine.get("demo", job.job_id)).status is JobStatus.RUNNING
