"""Queues, priorities, waits, updates and retries, on both databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.domain.errors import (
    EtagMismatchError,
    InvalidSpecError,
    InvalidTransitionError,
    JobFinishedError,
    QueueClosedError,
)
from jobplane.engine.domain.job import Job, JobSpec, Resources, RunPolicy, WaitReason
from jobplane.engine.domain.standing import POINT_S, rank_us, shape_of
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.settings import NodeSettings, SchedulerSettings
from jobplane.engine.store import jobs as store_jobs
from jobplane.engine.store import loads
from jobplane.engine.store.queues import QueueState
from tests.engine.conftest import finished, probe, running, until

GIB = 2**30
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(coroutine):
    return asyncio.run(coroutine)


def asking(submission, **resources):
    return replace(submission, spec=replace(submission.spec, resources=Resources(**resources)))


async def submitted(engine, submission):
    return (await engine.submit(submission)).job


async def set_state(engine, name, state):
    return await engine.planning.set_queue_state(name, state, reason="test", updater="me")


async def queues(engine):
    page = await engine.planning.list_queues(page_size=0, page_token="")
    return {queue.name: queue for queue in page.items}


async def order_of_starts(engine, jobs):
    done = [await finished(engine, job) for job in jobs]
    return sorted(range(len(done)), key=lambda index: done[index].started_at)


def test_a_closed_queue_refuses_submits_and_drains_what_it_has(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = await submitted(engine, probe(queue="night"))
            await set_state(engine, "night", QueueState.CLOSED)
            with pytest.raises(QueueClosedError):
                await engine.submit(probe(queue="night"))
            await engine.submit(probe())
            house.dispatcher.paused = False
            assert (await finished(engine, job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_a_cordoned_queue_takes_jobs_and_starts_none_until_it_is_opened(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await set_state(engine, "night", QueueState.CORDONED)
            job = await submitted(engine, probe(queue="night"))
            await finished(engine, await submitted(engine, probe()))
            wait = (await engine.get("demo", job.job_id)).wait
            assert (wait.reason, wait.position) == (WaitReason.QUEUE_CORDONED, 1)
            assert "night" in wait.message
            await set_state(engine, "night", QueueState.OPEN)
            assert (await finished(engine, job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_the_state_of_a_queue_outlives_the_server(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            await set_state(engine, "night", QueueState.CLOSED)
        async with running(settings) as (_, engine):
            assert (await queues(engine))["night"].state is QueueState.CLOSED

    run(scenario())


def test_queues_are_listed_with_what_is_in_them(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            jobs = [await submitted(engine, probe(queue=name)) for name in ("a", "a", "b")]
            await set_state(engine, "c", QueueState.CORDONED)
            listed = await queues(engine)
            assert {name: queue.queued for name, queue in listed.items()} == {
                "a": 2,
                "b": 1,
                "c": 0,
            }
            assert listed["a"].oldest_since == jobs[0].created_at
            assert listed["a"].state is QueueState.OPEN
            assert listed["c"].oldest_since is None

    run(scenario())


def test_queues_come_in_pages(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            for name in "abcde":
                await engine.submit(probe(queue=name))
            seen, token = [], ""
            while True:
                page = await engine.planning.list_queues(page_size=2, page_token=token)
                seen += [queue.name for queue in page.items]
                if not (token := page.next_page_token):
                    break
            assert seen == list("abcde")

    run(scenario())


def test_a_place_counts_jobs_of_every_shape_and_ends_at_a_bound(settings, monkeypatch):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            shapes = [{}, {"cpu": 1.0}, {}, {"cpu": 1.0}, {}, {"cpu": 1.0}]
            jobs = [await submitted(engine, asking(probe(), **shape)) for shape in shapes]
            await engine.submit(probe(queue="other"))

            async def places():
                return [(await engine.get("demo", job.job_id)).wait.position for job in jobs]

            assert await places() == [1, 2, 3, 4, 5, 6]
            monkeypatch.setattr(store_jobs, "LAST_PLACE", 4)
            assert await places() == [1, 2, 3, 4, 4, 4]

    run(scenario())


def test_the_urgent_start_first_and_equals_in_the_order_of_submits(settings):
    async def scenario():
        async with running(replace(settings, thread_slots=1)) as (house, engine):
            house.dispatcher.paused = True
            priorities = (500, 500, 900, 100)
            jobs = [await submitted(engine, probe(priority=one)) for one in priorities]
            positions = [(await engine.get("demo", job.job_id)).wait.position for job in jobs]
            assert positions == [2, 3, 1, 4]
            house.dispatcher.paused = False
            assert await order_of_starts(engine, jobs) == [2, 0, 1, 3]

    run(scenario())


def aged(priority, age_s, **fields):
    spec = JobSpec("probe", b"")
    at = NOW - timedelta(seconds=age_s)
    return Job("p", "j", spec, JobStatus.QUEUED, 1, at, at, priority=priority, **fields)


def test_a_point_of_priority_is_worth_its_seconds_of_waiting():
    assert rank_us(aged(500, 1 + POINT_S)) < rank_us(aged(501, 0)) < rank_us(aged(500, 0))


def test_the_least_urgent_job_is_overtaken_for_an_hour_at_most():
    assert rank_us(aged(0, 3601)) < rank_us(aged(1000, 0))


def test_time_spent_paused_is_no_age():
    assert rank_us(aged(500, 100, paused_s=100.0)) == rank_us(aged(500, 0))


def test_demands_of_one_size_have_one_shape():
    big = Resources(cpu=5, memory_bytes=5 * GIB, gpu_type="A100", gpu_count=3)
    assert shape_of(big) == shape_of(replace(big, cpu=8, memory_bytes=8 * GIB, gpu_count=4))
    assert shape_of(big) != shape_of(replace(big, spot_ok=True))
    assert shape_of(Resources()) == ""


def test_what_no_machine_can_ever_hold_is_refused_at_submit(settings):
    nodes = (NodeSettings("one", 8, 32 * GIB, {"A100": 4}),)
    settings = replace(settings, scheduler=SchedulerSettings(nodes=nodes))

    async def scenario():
        async with running(settings) as (_, engine):
            for resources, field in (
                ({"gpu_type": "A100", "gpu_count": 8}, "gpu_count"),
                ({"gpu_type": "H100", "gpu_count": 1}, "gpu_type"),
                ({"cpu": 9.0}, "cpu"),
                ({"memory_bytes": 33 * GIB}, "memory_bytes"),
            ):
                with pytest.raises(InvalidSpecError) as refusal:
                    await engine.submit(asking(probe(), **resources))
                assert refusal.value.violations[0].field == f"spec.resources.{field}"
            job = await submitted(engine, asking(probe(), gpu_type="A100", gpu_count=4))
            assert (await finished(engine, job)).status is JobStatus.SUCCEEDED

    run(scenario())


def test_a_machine_is_never_given_more_than_it_has(settings):
    nodes = (NodeSettings("one", 2, 32 * GIB),)
    settings = replace(settings, scheduler=SchedulerSettings(nodes=nodes))

    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            jobs = [
                await submitted(engine, asking(probe(steps=2, step_s=0.02), cpu=1.0))
                for _ in range(8)
            ]
            last = await engine.get("demo", jobs[-1].job_id)
            assert last.wait.message == "it waits for a machine with 1 cores free"
            house.dispatcher.paused = False
            done = [await finished(engine, job) for job in jobs]
            for one in done:
                together = [
                    other
                    for other in done
                    if other.started_at <= one.started_at < other.finished_at
                ]
                assert len(together) <= 2

    run(scenario())


def test_projects_share_slots_whoever_submitted_first(settings):
    async def scenario():
        async with running(replace(settings, thread_slots=1)) as (house, engine):
            house.dispatcher.paused = True
            many = [await submitted(engine, probe()) for _ in range(6)]
            few = [await submitted(engine, replace(probe(), project="other")) for _ in range(2)]
            house.dispatcher.paused = False
            for job in many:
                await finished(engine, job)
            starts = {}
            for job in (*many, *few):
                done, _ = await engine.wait(
                    job.project, job.job_id, after_sequence=None, timeout_s=10
                )
                starts[job.job_id] = done.started_at
            last_of_few = max(starts[job.job_id] for job in few)
            assert sum(starts[job.job_id] < last_of_few for job in many) <= 2

    run(scenario())


def test_a_kind_that_nobody_runs_says_so(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house._obstacle = lambda lane, kind: f"no server runs jobs of kind {kind!r}"
            engine._obstacle = house._obstacle
            job = await submitted(engine, probe())
            wait = (await engine.get("demo", job.job_id)).wait
            assert wait.reason is WaitReason.NO_WORKER_FOR_KIND
            assert "probe" in wait.message

    run(scenario())


def test_a_job_with_a_start_time_says_when(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            start_at = datetime.now(UTC) + timedelta(hours=1)
            job = await submitted(engine, probe(policy=RunPolicy(start_at=start_at)))
            wait = (await engine.get("demo", job.job_id)).wait
            assert (wait.reason, wait.not_before) == (WaitReason.START_TIME, start_at)
            await engine.pause("demo", job.job_id, requester="me", reason="")
            await engine.resume("demo", job.job_id, requester="me", reason="")
            assert (await engine.get("demo", job.job_id)).wait.reason is WaitReason.START_TIME

    run(scenario())


def test_an_update_is_seen_in_the_job_and_in_its_history(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            first = await submitted(engine, probe())
            second = await submitted(engine, probe(labels={"a": "1"}))
            job = await engine.update(
                "demo",
                second.job_id,
                priority=900,
                queue="fast",
                labels={"b": "2"},
                etag=second.etag,
                updater="me",
            )
            assert (job.priority, job.queue, job.labels) == (900, "fast", {"b": "2"})
            page = await engine.events(
                "demo", job.job_id, after_sequence=1, page_size=9, page_token="", descending=False
            )
            assert page.items[0].payload.paths == ("priority", "queue", "labels")
            assert page.items[0].payload.updater == "me"
            counts = await engine.count(project="demo", filter="labels.b = 2", group_by="")
            assert counts.total == 1
            listed = await queues(engine)
            assert (listed["fast"].queued, listed["default"].queued) == (1, 1)
            assert (await engine.get("demo", first.job_id)).wait.position == 1

    run(scenario())


def test_an_update_from_an_old_reading_is_refused(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            job = await submitted(engine, probe())
            await engine.update("demo", job.job_id, priority=1, etag=job.etag)
            with pytest.raises(EtagMismatchError):
                await engine.update("demo", job.job_id, priority=2, etag=job.etag)
            same = await engine.update("demo", job.job_id, priority=1)
            assert same.sequence == job.sequence + 1

    run(scenario())


def test_a_job_that_is_over_is_not_updated(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = await finished(engine, await submitted(engine, probe()))
            with pytest.raises(JobFinishedError):
                await engine.update("demo", job.job_id, priority=1)

    run(scenario())


def test_no_job_is_moved_into_a_closed_queue(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            await set_state(engine, "night", QueueState.CLOSED)
            job = await submitted(engine, probe())
            with pytest.raises(QueueClosedError):
                await engine.update("demo", job.job_id, queue="night")

    run(scenario())


def test_a_retry_is_a_new_job_that_names_its_origin(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            options = {"from_checkpoint": False, "idempotency_key": "again", "creator": "you"}
            live = await submitted(engine, probe(steps=50, step_s=0.02))
            with pytest.raises(InvalidTransitionError):
                await engine.retry("demo", live.job_id, **options)
            origin = await finished(engine, await submitted(engine, probe(steps=2)))
            new = (await engine.retry("demo", origin.job_id, **options)).job
            assert (new.origin_job, new.creator) == (origin.name, "you")
            assert new.job_id != origin.job_id
            again = await engine.retry("demo", origin.job_id, **options)
            assert (again.deduplicated, again.job.job_id) == (True, new.job_id)
            assert (await finished(engine, new)).status is JobStatus.SUCCEEDED
            assert (await engine.get("demo", origin.job_id)).sequence == origin.sequence

    run(scenario())


def test_a_retry_can_go_on_from_the_checkpoint(settings):
    async def scenario():
        async with running(settings) as (_, engine):
            job = await submitted(engine, probe(steps=400, step_s=0.01, checkpoint_every=2))

            async def saved():
                return (await engine.get("demo", job.job_id)).checkpoint

            await until(saved)
            await engine.cancel("demo", job.job_id, requester="me", reason="", force=False)
            origin = await finished(engine, job)
            new = await engine.retry(
                "demo", job.job_id, from_checkpoint=True, idempotency_key="", creator="me"
            )
            assert new.job.checkpoint == origin.checkpoint
            await engine.cancel("demo", new.job.job_id, requester="me", reason="", force=False)
            await finished(engine, new.job)

    run(scenario())


def test_loads_agree_with_the_jobs_after_all_kinds_of_moves(settings):
    async def scenario():
        async with running(settings) as (house, engine):
            jobs = [await submitted(engine, probe(steps=30, step_s=0.01)) for _ in range(8)]
            await engine.pause("demo", jobs[0].job_id, requester="me", reason="")
            await engine.pause("demo", jobs[7].job_id, requester="me", reason="")
            await engine.cancel("demo", jobs[6].job_id, requester="me", reason="", force=False)
            await engine.update("demo", jobs[5].job_id, queue="other")
            agree = house.database.read_now(
                lambda connection: loads.kept(connection) == loads.counted(connection)
            )
            assert agree
            for job in jobs[1:7]:
                await finished(engine, job)
            assert house.database.read_now(loads.kept) == house.database.read_now(loads.counted)

    run(scenario())
