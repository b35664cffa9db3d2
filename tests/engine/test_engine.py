"""Jobs through a whole engine, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain.errors import (
    DuplicateRequestError,
    IdempotencyKeyReusedError,
    InvalidSpecError,
    JobIdTakenError,
    JobNotFoundError,
    UnknownKindError,
)
from jobplane.engine.domain.job import JobSpec, RunPolicy, WaitReason
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import DuplicatePolicy, Submission
from jobplane.engine.query.page import JobQuery
from tests.engine.conftest import finished, probe, running, until


def run(coroutine):
    return asyncio.run(coroutine)


def test_a_job_runs_to_its_end(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            accepted = await engine.submit(probe(steps=3))
            job = await finished(engine, accepted.job)
            assert job.status is JobStatus.SUCCEEDED
            assert job.result.metrics["completed_steps"] == 3
            page = await events_of(engine, job)
            assert [event.sequence for event in page] == list(range(1, len(page) + 1))
            assert page[0].type == "submitted"
            assert page[-1].type == "finished"

    run(scenario())


async def events_of(engine, job):
    page = await engine.events(
        "demo", job.job_id, after_sequence=0, page_size=1000, page_token="", descending=False
    )
    return page.items


def test_fifty_submits_with_one_key_make_one_job(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            answers = await asyncio.gather(
                *(engine.submit(probe(idempotency_key="k")) for _ in range(50))
            )
            assert len({answer.job.job_id for answer in answers}) == 1
            assert sum(not answer.deduplicated for answer in answers) == 1

    run(scenario())


def test_a_key_with_another_body_says_what_differs(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await engine.submit(probe(idempotency_key="k", steps=1))
            with pytest.raises(IdempotencyKeyReusedError) as refusal:
                await engine.submit(probe(idempotency_key="k", steps=2))
            assert refusal.value.first_difference == "spec.probe.steps"
            with pytest.raises(IdempotencyKeyReusedError) as refusal:
                await engine.submit(probe(idempotency_key="k", steps=1, labels={"a": "b"}))
            assert refusal.value.first_difference == "labels.a"
            with pytest.raises(IdempotencyKeyReusedError) as refusal:
                await engine.submit(probe(idempotency_key="k", steps=1, job_id="mine"))
            assert refusal.value.first_difference == "job_id"

    run(scenario())


def test_a_duplicate_can_be_rejected(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            first = await engine.submit(probe(idempotency_key="k"))
            with pytest.raises(DuplicateRequestError) as refusal:
                await engine.submit(
                    probe(idempotency_key="k", duplicate_policy=DuplicatePolicy.REJECT)
                )
            assert refusal.value.job == first.job.name

    run(scenario())


def test_a_chosen_id_is_taken_once(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            assert (await engine.submit(probe(job_id="mine"))).job.job_id == "mine"
            with pytest.raises(JobIdTakenError):
                await engine.submit(probe(job_id="mine"))

    run(scenario())


def test_validate_only_writes_nothing(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            checked = await engine.submit(probe(job_id="mine", validate_only=True))
            assert checked.job.status is JobStatus.QUEUED
            with pytest.raises(JobNotFoundError):
                await engine.get("demo", "mine")

    run(scenario())


def test_bad_specs_are_refused(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            with pytest.raises(UnknownKindError):
                await engine.submit(Submission("demo", JobSpec("nope", b"")))
            with pytest.raises(InvalidSpecError):
                await engine.submit(probe(orphans=1))

    run(scenario())


def test_a_start_time_is_kept(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            start_at = datetime.now(UTC) + timedelta(seconds=1)
            accepted = await engine.submit(probe(policy=RunPolicy(start_at=start_at)))
            assert accepted.job.wait.reason is WaitReason.START_TIME
            job = await finished(engine, accepted.job)
            assert job.started_at >= start_at

    run(scenario())


def test_a_failing_job_is_tried_again(settings):
    async def scenario():
        policy = RunPolicy(max_attempts=3, initial_backoff_s=0.05)
        async with running(settings) as (_, engine):
            accepted = await engine.submit(
                probe(fail_at_step=1, failure_mode=2, failing_attempts=2, policy=policy)
            )
            job = await finished(engine, accepted.job)
            assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 3)

    run(scenario())


def test_a_running_job_is_cancelled(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=1000, step_s=0.01))).job
            await until(lambda: status_is(engine, job, JobStatus.RUNNING))
            asked = await engine.cancel(
                "demo", job.job_id, requester="me", reason="enough", force=False
            )
            assert asked.status is JobStatus.CANCELLING
            done = await finished(engine, job)
            assert done.status is JobStatus.CANCELLED
            assert done.cancel_request.reason == "enough"

    run(scenario())


async def status_is(engine, job, status):
    return (await engine.get("demo", job.job_id)).status is status


def test_a_paused_job_goes_on_from_its_checkpoint(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=60, step_s=0.01))).job

            async def halfway():
                progress = (await engine.get("demo", job.job_id)).progress
                return progress is not None and progress.completed_units >= 10

            await until(halfway)
            await engine.pause("demo", job.job_id, requester="me", reason="")
            await until(lambda: status_is(engine, job, JobStatus.PAUSED))
            await engine.resume("demo", job.job_id, requester="me", reason="")
            done = await finished(engine, job)
            assert (done.status, done.attempt) == (JobStatus.SUCCEEDED, 2)
            started = [one for one in await events_of(engine, job) if one.type == "attempt_started"]
            assert started[1].payload.from_checkpoint == done.checkpoint.id

    run(scenario())


def test_a_question_is_asked_and_answered(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(steps=3, ask_at_step=2))).job
            await until(lambda: status_is(engine, job, JobStatus.AWAITING_INPUT))
            asked = (await engine.get("demo", job.job_id)).pending_input
            await engine.provide_input(
                "demo",
                job.job_id,
                input_id=asked.input_id,
                answers={"proceed": "yes"},
                responder="me",
            )
            assert (await finished(engine, job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_pages_give_every_job_once(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            made = {(await engine.submit(probe())).job.job_id for _ in range(7)}
            seen, token = [], ""
            while True:
                page = await engine.list(JobQuery("demo", page_size=3, page_token=token))
                seen += [job.job_id for job in page.items]
                if not (token := page.next_page_token):
                    break
            assert sorted(seen) == sorted(made)
            assert len(seen) == len(made)

    run(scenario())


def test_counts_are_exact_and_grouped(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            for team in ("red", "red", "blue"):
                await engine.submit(probe(labels={"team": team}))
            await engine.submit(probe())
            counts = await engine.count(project="demo", filter="", group_by="labels.team")
            assert (counts.total, counts.groups) == (4, {"red": 2, "blue": 1, "": 1})
            assert (await engine.count(project="demo", filter="", group_by="")).total == 4

    run(scenario())


def test_what_was_running_is_taken_up_again(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            job = (await engine.submit(probe(steps=100, step_s=0.02, checkpoint_every=5))).job

            async def checkpointed():
                return (await engine.get("demo", job.job_id)).checkpoint

            await until(checkpointed)
            await house.stop(0.2)
        async with running(settings) as (_, engine):
            done = await finished(engine, job)
            assert done.status is JobStatus.SUCCEEDED
            assert done.attempt >= 2

    run(scenario())


def test_a_queued_job_says_how_many_are_ahead(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await engine.submit(probe())
            second = await engine.submit(probe())
            waiting = await engine.get("demo", second.job.job_id)
            assert (waiting.wait.reason, waiting.wait.position) == (WaitReason.CAPACITY, 2)

    run(scenario())
