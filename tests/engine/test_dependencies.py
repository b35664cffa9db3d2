"""Jobs that wait for jobs, on both databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from jobplane.engine.domain.errors import InvalidSpecError, ReferenceNotFoundError
from jobplane.engine.domain.job import Condition, Dependency, RunPolicy, WaitReason, job_name
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.query.page import JobQuery
from jobplane.engine.scheduler.dependencies import PAGE
from jobplane.engine.settings import EngineSettings
from jobplane.engine.store import dependencies
from jobplane.engine.store.dependencies import holds
from tests.engine.conftest import finished, probe, running, until

REFUSED = "#ref", "projects/other/jobs/one"


def run(coroutine):
    return asyncio.run(coroutine)


def after(*upstreams, condition=Condition.SUCCEEDED, **fields):
    """A probe that waits for jobs."""
    submission = probe(**fields)
    waits = tuple(
        Dependency(one if isinstance(one, str) else one.name, condition) for one in upstreams
    )
    return replace(submission, spec=replace(submission.spec, depends_on=waits))


async def submitted(engine, submission):
    return (await engine.submit(submission)).job


async def count(engine, status):
    return (await engine.count(project="demo", filter=f"status = {status}", group_by="")).total


def test_a_dependent_starts_after_its_upstreams(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            second = await submitted(engine, probe())
            last = await submitted(engine, after(first, second))
            assert last.wait.reason is WaitReason.DEPENDENCY
            house.dispatcher.paused = False
            done = await finished(engine, last)
            assert done.status is JobStatus.SUCCEEDED
            for upstream in (first, second):
                assert (await engine.get("demo", upstream.job_id)).finished_at <= done.started_at

    run(scenario())


def test_a_dependent_says_for_which_jobs_it_waits(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first, second = [await submitted(engine, probe()) for _ in range(2)]
            last = await submitted(engine, after(first, second))
            wait = (await engine.get("demo", last.job_id)).wait
            assert wait.reason is WaitReason.DEPENDENCY
            assert wait.message == f"it waits for {first.name} and 1 other job"
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)
            last = await engine.get("demo", last.job_id)
            assert last.status is JobStatus.CANCELLED

    run(scenario())


def test_a_condition_that_can_never_hold_ends_the_dependent_in_the_same_commit(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            second = await submitted(engine, after(first))
            third = await submitted(engine, after(second))
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)
            for job in (second, third):
                ended = await engine.get("demo", job.job_id)
                assert ended.status is JobStatus.CANCELLED
                assert ended.failure.reason == "DEPENDENCY_UNSATISFIABLE"

    run(scenario())


def test_a_dependent_on_a_job_that_is_over_is_decided_at_once(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            good = await finished(engine, await submitted(engine, probe()))
            assert (await submitted(engine, after(good))).wait is None
            never = await submitted(engine, after(good, condition=Condition.NOT_SUCCEEDED))
            assert never.status is JobStatus.CANCELLED
            assert never.failure.reason == "DEPENDENCY_UNSATISFIABLE"

    run(scenario())


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_terminal])
def test_conditions_hold_as_the_contract_says(status):
    succeeded = status in {JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_GAPS}
    assert holds(Condition.SUCCEEDED, status) == succeeded
    assert holds(Condition.SUCCEEDED_FULLY, status) == (status is JobStatus.SUCCEEDED)
    assert holds(Condition.FINISHED, status)
    assert holds(Condition.NOT_SUCCEEDED, status) != succeeded


def test_a_failure_handler_runs_after_a_failure(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            bad = await submitted(
                engine, probe(fail_at_step=1, steps=2, policy=RunPolicy(max_attempts=1))
            )
            handler = await submitted(engine, after(bad, condition=Condition.NOT_SUCCEEDED))
            house.dispatcher.paused = False
            assert (await finished(engine, handler)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_unknown_and_foreign_and_own_jobs_are_refused(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            with pytest.raises(ReferenceNotFoundError) as refusal:
                await engine.submit(after(job_name("demo", "nobody")))
            assert refusal.value.field == "spec.depends_on[0].job"
            for name in REFUSED:
                with pytest.raises(InvalidSpecError):
                    await engine.submit(after(name))
            with pytest.raises(InvalidSpecError, match="wait for itself"):
                await engine.submit(after(job_name("demo", "me"), job_id="me"))
            one = await submitted(engine, probe())
            with pytest.raises(InvalidSpecError, match="listed twice"):
                await engine.submit(after(one, one))

    run(scenario())


def test_a_pause_does_not_lift_a_dependency(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            second = await submitted(engine, after(first))
            await engine.pause("demo", second.job_id, requester="me", reason="")
            await engine.resume("demo", second.job_id, requester="me", reason="")
            await engine.update("demo", second.job_id, priority=1000)
            assert (await engine.get("demo", second.job_id)).wait.reason is WaitReason.DEPENDENCY
            house.dispatcher.paused = False
            first, second = await finished(engine, first), await finished(engine, second)
            assert first.finished_at <= second.started_at

    run(scenario())


def test_a_dependency_that_holds_while_paused_is_not_waited_for_again(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            first = await submitted(engine, probe(steps=20, step_s=0.01))
            second = await submitted(engine, after(first))
            await engine.pause("demo", second.job_id, requester="me", reason="")
            await finished(engine, first)
            await engine.resume("demo", second.job_id, requester="me", reason="")
            assert (await finished(engine, second)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_a_dependent_with_a_start_time_waits_for_both(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            start_at = datetime.now(UTC) + timedelta(seconds=1)
            first = await submitted(engine, probe(steps=2, step_s=0.01))
            second = await submitted(engine, after(first, policy=RunPolicy(start_at=start_at)))
            await finished(engine, first)
            done = await finished(engine, second)
            assert done.started_at >= start_at

    run(scenario())


def test_a_wide_fan_is_told_in_pages(settings):
    fan = 2 * PAGE + 50

    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            await asyncio.gather(*(engine.submit(after(first)) for _ in range(fan)))
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)
            assert await count(engine, "CANCELLED") >= PAGE

            async def all_ended():
                return await count(engine, "CANCELLED") == fan + 1

            await until(all_ended, within_s=30)
            assert not house.database.read_now(dependencies.any_backlog)

    run(scenario())


def test_a_long_chain_ends_without_recursion(settings):
    length = PAGE + 150

    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = last = await submitted(engine, probe())
            for _ in range(length):
                last = await submitted(engine, after(last))
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)

            async def all_ended():
                return await count(engine, "CANCELLED") == length + 1

            await until(all_ended, within_s=30)

    run(scenario())


@pytest.mark.robust
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_ten_thousand_dependents_end_in_bounded_memory(tmp_path, shape):
    memory = psutil.Process().memory_info

    async def scenario():
        async with running(EngineSettings(tmp_path)) as (house, engine):
            house.dispatcher.paused = True
            first = last = await submitted(engine, probe())
            for number in range(10_000):
                if shape == "chain":
                    last = await submitted(engine, after(last))
                elif number % 100 == 0:
                    await asyncio.gather(*(engine.submit(after(first)) for _ in range(100)))
            before = most = memory().rss
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)

            async def all_ended():
                nonlocal most
                most = max(most, memory().rss)
                return await count(engine, "CANCELLED") == 10_001

            await until(all_ended, within_s=300)
            assert most - before < 64 * 2**20

    run(scenario())


def test_a_chain_runs_in_order(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            chain = [await submitted(engine, probe())]
            for _ in range(20):
                chain.append(await submitted(engine, after(chain[-1])))
            await finished(engine, chain[-1])
            page = await engine.list(JobQuery("demo", order_by="create_time asc", page_size=100))
            starts = [job.started_at for job in page.items]
            assert starts == sorted(starts)

    run(scenario())


def test_a_dependent_that_was_cancelled_waits_for_nothing_any_more(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            second = await submitted(engine, after(first))
            await engine.cancel("demo", second.job_id, requester="me", reason="", force=False)
            open_rows = house.database.read_now(
                lambda connection: connection.exec_driver_sql(
                    "SELECT count(*) FROM job_dependencies"
                ).scalar()
            )
            assert open_rows == 0

    run(scenario())


def test_what_is_left_over_is_told_after_a_restart(settings):
    fan = PAGE + 20

    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            house.dependencies.step = lambda database: 0
            first = await submitted(engine, probe())
            await asyncio.gather(*(engine.submit(after(first)) for _ in range(fan)))
            await engine.cancel("demo", first.job_id, requester="me", reason="", force=False)
            assert await count(engine, "CANCELLED") == PAGE + 1
        async with running(settings) as (_, engine):

            async def all_ended():
                return await count(engine, "CANCELLED") == fan + 1

            await until(all_ended, within_s=30)

    run(scenario())
