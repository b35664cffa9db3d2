"""Many jobs submitted or cancelled by one call, on both databases."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from jobplane.engine import batch
from jobplane.engine.batch import BatchItem
from jobplane.engine.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidFilterError,
    InvalidSpecError,
    JobFinishedError,
    JobIdTakenError,
    JobNotFoundError,
    QuotaExceededError,
    ReferenceNotFoundError,
)
from jobplane.engine.domain.item_refusal import ItemRefusedError
from jobplane.engine.domain.job import Dependency, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Accepted
from jobplane.engine.query.page import JobQuery
from tests.engine.conftest import finished, probe, running, until


def run(coroutine):
    return asyncio.run(coroutine)


@asynccontextmanager
async def quiet(settings):
    """An engine in which nothing starts by itself."""
    async with running(settings) as (house, engine):
        house.dispatcher.paused = True
        yield house, engine


async def submit(engine, *items, allow_partial=False, validate_only=False):
    return await engine.batches.submit(
        items, allow_partial=allow_partial, validate_only=validate_only
    )


def item(ref="", after=(), **fields):
    submission = probe(**fields)
    depends_on = tuple(Dependency(name) for name in after)
    spec = replace(submission.spec, depends_on=depends_on)
    return BatchItem(replace(submission, spec=spec), ref)


def unknown_kind():
    return BatchItem(replace(probe(), spec=JobSpec("nothing", b"")))


async def total(engine, filter=""):
    return (await engine.count(project="demo", filter=filter, group_by="")).total


async def cancel(engine, filter="", *, names=(), validate_only=False):
    common = {"requester": "me", "reason": "enough", "validate_only": validate_only}
    if names:
        return await engine.batches.cancel_named("demo", names, **common)
    return await engine.batches.cancel_matching("demo", filter, **common)


def test_all_jobs_of_a_batch_are_durable_in_their_order(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            results = await submit(engine, *(item(job_id=f"j{n}") for n in range(50)))
            assert [result.job.job_id for result in results] == [f"j{n}" for n in range(50)]
            assert await total(engine) == 50

    run(scenario())


def test_the_jobs_of_a_batch_run(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            for result in await submit(engine, item(), item()):
                assert (await finished(engine, result.job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_one_refused_item_refuses_all_and_leaves_nothing_behind(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await engine.submit(probe(job_id="taken"))
            with pytest.raises(ItemRefusedError) as refusal:
                await submit(engine, item(), item(idempotency_key="k"), item(job_id="taken"))
            assert refusal.value.index == 2
            assert isinstance(refusal.value.cause, JobIdTakenError)
            assert await total(engine) == 1
            # Neither the key nor the count of waiting jobs remembers it.
            assert (await engine.submit(probe(steps=2, idempotency_key="k"))).job
            (queue,) = (await engine.planning.list_queues(page_size=0, page_token="")).items
            assert queue.queued == 2

    run(scenario())


def test_all_broken_rules_of_a_batch_are_told_at_once_with_their_items(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            with pytest.raises(InvalidSpecError) as refusal:
                await submit(engine, item(), item(after=["#no"]), item(after=["#", "#x"]))
            assert [one.field for one in refusal.value.violations] == [
                "items[1].request.spec.depends_on[0].job",
                "items[2].request.spec.depends_on[0].job",
            ]

    run(scenario())


def test_a_partial_batch_keeps_what_is_good(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await engine.submit(probe(job_id="taken"))
            results = await submit(
                engine, item(), item(job_id="taken"), unknown_kind(), item(), allow_partial=True
            )
            kinds = [type(result).__name__ for result in results]
            assert kinds == ["Accepted", "JobIdTakenError", "UnknownKindError", "Accepted"]
            assert await total(engine) == 3

    run(scenario())


def test_a_dry_run_checks_everything_and_writes_nothing(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            results = await submit(engine, item("a"), item(after=["#a"]), validate_only=True)
            assert all(isinstance(result, Accepted) for result in results)
            assert await total(engine) == 0
            with pytest.raises(InvalidSpecError):
                await submit(engine, item(after=["#no"]), validate_only=True)

    run(scenario())


def test_refs_name_earlier_items(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            first, second, third = await submit(
                engine, item("a"), item("b", after=["#a"]), item(after=["#a", "#b"])
            )
            names = [one.job for one in third.job.spec.depends_on]
            assert names == [first.job.name, second.job.name]
            assert second.job.wait.reason == "DEPENDENCY"
            assert (await finished(engine, third.job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_a_ref_may_not_name_a_later_item(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            with pytest.raises(InvalidSpecError, match="no earlier item"):
                await submit(engine, item(after=["#a"]), item("a"))

    run(scenario())


def test_a_ref_that_two_items_have_refuses_the_batch(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            with pytest.raises(InvalidSpecError) as refusal:
                await submit(engine, item("a"), item("b"), item("a"), allow_partial=True)
            assert refusal.value.violations[0].field == "items[2].ref"

    run(scenario())


def test_what_depends_on_a_refused_item_is_refused_too(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await engine.submit(probe(job_id="taken"))
            _, refused = await submit(
                engine, item("a", job_id="taken"), item(after=["#a"]), allow_partial=True
            )
            assert isinstance(refused, ReferenceNotFoundError)
            assert refused.field == "spec.depends_on[0].job"

    run(scenario())


def test_a_repeated_batch_with_keys_makes_no_second_jobs(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            items = (
                item("a", idempotency_key="a"),
                item("b", idempotency_key="b", after=["#a"]),
            )
            first = await submit(engine, *items)
            second = await submit(engine, *items)
            assert [one.job.job_id for one in second] == [one.job.job_id for one in first]
            assert [one.deduplicated for one in second] == [True, True]
            assert await total(engine) == 2

    run(scenario())


def test_one_key_twice_in_a_batch_is_one_job_and_with_another_body_a_refusal(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            results = await submit(
                engine,
                item(idempotency_key="k"),
                item(idempotency_key="k"),
                item(idempotency_key="k", steps=9),
                allow_partial=True,
            )
            assert results[0].job.job_id == results[1].job.job_id
            assert isinstance(results[2], IdempotencyKeyReusedError)

    run(scenario())


def test_a_quota_counts_the_jobs_of_the_batch_itself(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await engine.planning.update_quota("demo", limits={"queued": 3}, metrics=None, etag="")
            with pytest.raises(ItemRefusedError) as refusal:
                await submit(engine, *(item() for _ in range(5)))
            assert refusal.value.index == 3
            assert isinstance(refusal.value.cause, QuotaExceededError)
            assert await total(engine) == 0
            results = await submit(engine, *(item() for _ in range(5)), allow_partial=True)
            assert sum(isinstance(result, Accepted) for result in results) == 3

    run(scenario())


def test_a_cancel_by_filter_ends_what_matches_and_leaves_the_rest(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            await submit(engine, *(item(labels={"team": "a"}) for _ in range(7)), item())
            done = await cancel(engine, 'labels.team = "a"')
            assert (done.affected, done.more, done.refusals) == (7, False, {})
            assert await total(engine, "status = CANCELLED") == 7
            assert (await cancel(engine, 'labels.team = "a"')).affected == 0

    run(scenario())


def test_a_dry_run_of_a_cancel_only_counts(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            jobs = await submit(engine, item(), item())
            assert (await cancel(engine, "priority = 500", validate_only=True)).affected == 2
            names = [jobs[0].job.job_id, "no"]
            done = await cancel(engine, names=names, validate_only=True)
            assert done.affected == 1
            assert set(done.refusals) == {"projects/demo/jobs/no"}
            assert await total(engine, "status = QUEUED") == 2

    run(scenario())


def test_a_cancel_by_names_tells_each_refusal(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            over = await finished(engine, (await engine.submit(probe())).job)
            house.dispatcher.paused = True
            queued = (await engine.submit(probe())).job
            done = await cancel(engine, names=[queued.job_id, queued.job_id, over.job_id, "no"])
            assert done.affected == 1
            assert {name: type(refusal) for name, refusal in done.refusals.items()} == {
                over.name: JobFinishedError,
                "projects/demo/jobs/no": JobNotFoundError,
            }
            again = await cancel(engine, names=[queued.job_id])
            assert (again.affected, again.refusals) == (0, {})

    run(scenario())


def test_running_jobs_are_asked_to_stop_and_counted_once(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = (await engine.submit(probe(step_s=30))).job

            async def started():
                return (await engine.get("demo", job.job_id)).status is JobStatus.RUNNING

            await until(started)
            assert (await cancel(engine, "done = false")).affected == 1
            assert (await finished(engine, job)).status is JobStatus.CANCELLED

    run(scenario())


def test_a_cancel_goes_on_over_many_transactions(settings, monkeypatch):
    monkeypatch.setattr(batch, "CANCEL_CHUNK", 10)

    async def scenario():
        async with quiet(settings) as (_, engine):
            await submit(engine, *(item() for _ in range(95)))
            done = await cancel(engine, "kind = probe")
            assert (done.affected, done.more) == (95, False)

    run(scenario())


def test_a_cancel_that_takes_long_says_that_there_is_more(settings, monkeypatch):
    monkeypatch.setattr(batch, "CANCEL_CHUNK", 10)
    monkeypatch.setattr(batch, "CANCEL_S", 0.0)

    async def scenario():
        async with quiet(settings) as (_, engine):
            await submit(engine, *(item() for _ in range(25)))
            affected, calls, more = 0, 0, True
            while more:
                done = await cancel(engine, "kind = probe")
                affected, calls, more = affected + done.affected, calls + 1, done.more
            assert (affected, calls) == (25, 3)

    run(scenario())


def test_other_projects_are_left_alone(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            other = (await engine.submit(replace(probe(), project="other"))).job
            await cancel(engine, "done = false")
            done = await cancel(engine, names=[other.job_id])
            assert isinstance(next(iter(done.refusals.values())), JobNotFoundError)
            page = await engine.list(JobQuery(project="other", filter="status = QUEUED"))
            assert len(page.items) == 1

    run(scenario())


def test_a_cancel_tells_what_depends_on_the_jobs(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            _, second = await submit(engine, item("a", job_set="x"), item(after=["#a"]))
            assert (await cancel(engine, 'job_set = "x"')).affected == 1
            job = await engine.get("demo", second.job.job_id)
            assert job.failure.reason == "DEPENDENCY_UNSATISFIABLE"

    run(scenario())


def test_a_bad_filter_is_refused(settings):
    async def scenario():
        async with quiet(settings) as (_, engine):
            with pytest.raises(InvalidFilterError):
                await cancel(engine, "status = NO")

    run(scenario())
