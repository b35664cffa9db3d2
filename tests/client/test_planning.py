"""Updates, quotas, queues and data sets against the real server."""

import asyncio

import pytest

from jobplane.client import AsyncClient, errors, specs

QUICK = specs.Probe(steps=1, isolation=specs.Probe.ISOLATION_THREAD)


def test_a_waiting_job_is_updated_in_what_is_said(jobplane_client):
    jobplane_client.set_queue_state("night", "cordoned", reason="not before dark")
    job = jobplane_client.submit(QUICK, queue="night", labels={"team": "q", "old": "1"})
    job.update(priority=900, labels={"old": None, "new": "2"})
    assert job.wire.priority == 900
    assert dict(job.labels) == {"team": "q", "new": "2"}
    (queue,) = [one for one in jobplane_client.queues() if one.name == "queues/night"]
    assert queue.queued == 1
    jobplane_client.set_queue_state("night", "open")
    assert job.wait(30).status == "SUCCEEDED"


def test_a_closed_queue_refuses(jobplane_client):
    jobplane_client.set_queue_state("night", "closed")
    with pytest.raises(errors.PreconditionFailed) as refused:
        jobplane_client.submit(QUICK, queue="night")
    assert refused.value.reason == "QUEUE_CLOSED"


def test_a_finished_job_is_deleted(jobplane_client):
    job = jobplane_client.submit(QUICK).wait(30)
    job.delete()
    with pytest.raises(errors.NotFound):
        job.refresh()


def test_a_limit_is_set_used_and_removed(jobplane_client):
    quota = jobplane_client.update_quota({"queued": 1, "running": 4})
    assert dict(quota.limits) == {"queued": 1.0, "running": 4.0}
    jobplane_client.set_queue_state("night", "cordoned")
    jobplane_client.submit(QUICK, queue="night")
    with pytest.raises(errors.QuotaExceeded):
        jobplane_client.submit(QUICK)
    assert dict(jobplane_client.update_quota({"queued": None}).limits) == {"running": 4.0}
    assert jobplane_client.submit(QUICK).wait(30).done
    assert "running" in jobplane_client.quota().usage


def test_a_data_set_is_registered_once_and_found(jobplane_client):
    made = jobplane_client.register_dataset("prices", b"a,b\n1,2\n", format="table", version="v1")
    again = jobplane_client.register_dataset("prices", b"a,b\n1,2\n", format="table", version="v1")
    assert again == made
    assert jobplane_client.dataset("prices@v1") == made
    assert jobplane_client.dataset(made.name) == made
    assert [one.name for one in jobplane_client.datasets('format = "table"')] == [made.name]
    with pytest.raises(errors.AlreadyExists):
        jobplane_client.register_dataset("prices", b"c\n", version="v1")
    assert [one.sha256 for one in jobplane_client.uploads()].count(made.sha256) == 1


def test_asyncio_has_the_same(jobplane):
    async def scenario():
        async with AsyncClient() as client:
            await client.set_queue_state("night", "cordoned")
            job = await client.submit(QUICK, queue="night")
            await job.update(priority=1)
            assert job.wire.priority == 1
            assert [queue.name async for queue in client.queues()] == ["queues/night"]
            await client.set_queue_state("night", "open")
            await job.wait(30)
            await job.delete()
            assert await client.count() == 0
            assert dict((await client.update_quota({"running": 4})).limits) == {"running": 4.0}
            made = await client.register_dataset("prices", b"a,b\n1,2\n")
            assert [one.name async for one in client.datasets()] == [made.name]

    asyncio.run(scenario())
