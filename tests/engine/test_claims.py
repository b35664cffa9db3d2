"""Claims join the commits that let jobs start, and never harm them."""

import asyncio
from dataclasses import replace

from jobplane.engine.domain.status import JobStatus
from tests.engine.conftest import finished, probe, running


def run(coroutine):
    return asyncio.run(coroutine)


def commits_of(house):
    """What every commit from now on changes: pairs of a job and the status it has then."""
    commits = []
    tell = house.database._on_commit

    def note(changes):
        commits.append([(change.job.job_id, change.job.status) for change in changes])
        tell(changes)

    house.database._on_commit = note
    return commits


async def opened(house, engine):
    """Wait until claims are made: the first of them comes with the first step."""
    await finished(engine, (await engine.submit(probe())).job)
    assert house.dispatcher._is_open


def test_a_job_that_finds_a_free_slot_starts_in_the_commit_of_its_submit(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            await opened(house, engine)
            commits = commits_of(house)
            job = (await engine.submit(probe())).job
            assert job.status is JobStatus.QUEUED
            await finished(engine, job)
            assert [job_id for job_id, _ in commits[0]] == [job.job_id, job.job_id]
            assert [status for _, status in commits[0]] == [JobStatus.QUEUED, JobStatus.RUNNING]

    run(scenario())


def test_the_end_of_an_attempt_and_the_start_of_the_next_are_one_commit(settings):
    async def scenario():
        async with running(replace(settings, thread_slots=1)) as (house, engine):
            await opened(house, engine)
            first = (await engine.submit(probe(steps=2, step_s=0.1))).job
            commits = commits_of(house)
            second = (await engine.submit(probe())).job
            await finished(engine, second)
            handover = {(first.job_id, JobStatus.SUCCEEDED), (second.job_id, JobStatus.RUNNING)}
            assert any(handover <= set(commit) for commit in commits)

    run(scenario())


def test_no_more_is_claimed_than_there_are_slots(settings):
    async def scenario():
        async with running(replace(settings, thread_slots=2)) as (house, engine):
            await opened(house, engine)
            executor = house._executors["THREAD"]
            launch, live = executor.launch, []

            def launch_and_count(assignment):
                launch(assignment)
                live.append(len(executor._live))

            executor.launch = launch_and_count
            made = await asyncio.gather(*(engine.submit(probe()) for _ in range(40)))
            for accepted in made:
                await finished(engine, accepted.job)
            assert max(live) <= 2

    run(scenario())


def test_a_claim_that_fails_does_not_fail_the_submit_beside_it(settings, caplog):
    async def scenario():
        async with running(settings) as (house, engine):
            await opened(house, engine)
            decide = house.dispatcher._begun

            def fail_once(*arguments):
                house.dispatcher._begun = decide
                raise ArithmeticError("a bug in the claim")

            house.dispatcher._begun = fail_once
            job = (await engine.submit(probe())).job
            assert (await finished(engine, job)).status is JobStatus.SUCCEEDED
            assert "store.join_failed" in caplog.text

    run(scenario())
