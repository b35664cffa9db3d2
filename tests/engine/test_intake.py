"""Submits that are written together answer as if each had come alone, on both databases."""

import asyncio
import threading
from dataclasses import replace

from jobplane.engine.domain.errors import (
    IdempotencyKeyReusedError,
    JobIdTakenError,
    QueueClosedError,
    QuotaExceededError,
)
from jobplane.engine.store.queues import QueueState
from tests.engine.conftest import probe, running


def together(settings, submissions, *, prepare=None):
    """What the submits are answered, all of them in one group of the writer."""

    async def scenario():
        async with running(settings) as (house, engine):
            house.dispatcher.paused = True
            if prepare:
                await prepare(engine)
            came, gone = threading.Event(), threading.Event()

            def hold(_):
                came.set()
                assert gone.wait(10)

            held = house.database.write(hold)
            await asyncio.to_thread(came.wait, 10)
            calls = [asyncio.create_task(engine.submit(one)) for one in submissions]
            # Each call hands its order to the writer before it first waits for anything.
            await asyncio.sleep(0)
            gone.set()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            held.result(10)
            found = [
                await engine.get(answer.job.project, answer.job.job_id)
                for answer in answers
                if not isinstance(answer, Exception)
            ]
            return answers, found

    return asyncio.run(scenario())


def test_each_of_many_has_its_own_job_key_labels_and_history(settings):
    submissions = [
        probe(idempotency_key=f"k{number}", labels={"number": str(number)}, steps=number + 1)
        for number in range(75)
    ]
    answers, found = together(settings, submissions)
    assert [job.labels for job in found] == [one.labels for one in submissions]
    assert [job.idempotency_key for job in found] == [f"k{number}" for number in range(75)]
    assert [job.spec.params for job in found] == [one.job.spec.params for one in answers]
    assert len({job.job_id for job in found}) == 75
    assert {job.sequence for job in found} == {1}


def test_one_key_makes_one_job(settings):
    answers, _ = together(settings, [probe(idempotency_key="same") for _ in range(3)])
    assert [answer.deduplicated for answer in answers] == [False, True, True]
    assert len({answer.job.job_id for answer in answers}) == 1


def test_one_key_for_two_requests_is_refused_to_the_second(settings):
    first, second = probe(idempotency_key="same"), probe(idempotency_key="same", steps=7)
    (made, refused), _ = together(settings, [first, second])
    assert isinstance(refused, IdempotencyKeyReusedError)
    assert refused.job == made.job.name


def test_one_id_is_given_to_the_first(settings):
    (made, refused), _ = together(settings, [probe(job_id="mine"), probe(job_id="mine")])
    assert made.job.job_id == "mine"
    assert isinstance(refused, JobIdTakenError)


def test_one_key_in_two_projects_makes_two_jobs(settings):
    mine = probe(idempotency_key="same", job_id="mine")
    theirs = replace(mine, project="other")
    answers, found = together(settings, [mine, theirs])
    assert [answer.deduplicated for answer in answers] == [False, False]
    assert [job.project for job in found] == ["demo", "other"]


def test_a_refused_one_leaves_the_others_be(settings):
    async def close(engine):
        await engine.planning.set_queue_state("shut", QueueState.CLOSED, reason="", updater="")

    submissions = [probe(), probe(queue="shut"), probe()]
    (first, refused, last), _ = together(settings, submissions, prepare=close)
    assert isinstance(refused, QueueClosedError)
    assert first.job.job_id != last.job.job_id


def test_each_counts_against_the_quota_of_the_next(settings):
    async def limit(engine):
        await engine.planning.update_quota("demo", limits={"queued": 2}, metrics=None, etag="")

    answers, found = together(settings, [probe() for _ in range(4)], prepare=limit)
    refused = [isinstance(answer, QuotaExceededError) for answer in answers]
    assert refused == [False, False, True, True]
    assert len(found) == 2
