"""A watch gives the same events however often, and wherever, its connection is cut."""

import asyncio
from itertools import count
from typing import Any

import pytest

from jobplane.client import AsyncClient, Client, Interruption, WatchPlan, errors
from jobplane.v1 import job_service_pb2
from tests.client.cutting_proxy import CuttingProxy
from tests.client.fake_jobs import new_job, run_to_end
from tests.client.fake_server import FakeServer, rich_status

Frame = job_service_pb2.WatchJobResponse
PLAN = WatchPlan(heartbeat_s=1, timeout_s=60)


@pytest.fixture
def job(server: FakeServer):
    return server.add(run_to_end(new_job("a"), steps=2))


def durable(job):
    return [event for event in job.events if event.sequence]


def watch_all(address: str) -> list[Any]:
    with Client(address) as client, client.watch("a", plan=PLAN) as watch:
        return [event.wire for event in watch if event.is_durable]


async def watch_all_async(address: str) -> list[Any]:
    async with AsyncClient(address) as client, client.watch("a", plan=PLAN) as watch:
        return [event.wire async for event in watch if event.is_durable]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_cut_at_every_message_the_events_are_the_same(server: FakeServer, job, how):
    for cut_after in count():
        with CuttingProxy(server.port, [cut_after], how) as proxy:
            assert watch_all(proxy.address) == durable(job)
            if proxy.connections == 1:
                # So many messages that no cut was left to make.
                assert cut_after > len(durable(job))
                return


def test_cut_at_every_message_the_events_are_the_same_under_asyncio(server: FakeServer, job):
    for cut_after in count():
        with CuttingProxy(server.port, [cut_after]) as proxy:
            assert asyncio.run(watch_all_async(proxy.address)) == durable(job)
            if proxy.connections == 1:
                return


def test_cut_again_and_again_the_events_are_the_same(server: FakeServer, job):
    with CuttingProxy(server.port, [1, 0, 2, 1, 3]) as proxy:
        assert watch_all(proxy.address) == durable(job)


def test_a_server_that_falls_silent_is_left_after_three_heartbeats(server: FakeServer, job):
    server.silent = True
    told: list[Interruption] = []
    plan = WatchPlan(heartbeat_s=0.1, timeout_s=60)
    with Client(server.address) as client:
        seen = list(client.watch("a", plan=plan, on_interruption=told.append))
    assert [event.wire for event in seen if event.is_durable] == durable(job)
    assert "no sign of life" in told[0].cause


def test_a_server_that_falls_silent_is_left_under_asyncio(server: FakeServer, job):
    server.silent = True

    async def watch():
        plan = WatchPlan(heartbeat_s=0.1, timeout_s=60)
        async with AsyncClient(server.address) as client:
            return [event.wire async for event in client.watch("a", plan=plan)]

    assert [event for event in asyncio.run(watch()) if event.sequence] == durable(job)


def test_an_ok_without_an_end_frame_is_no_end(server: FakeServer, job):
    server.frames = [[Frame(cursor=1, events=Frame.Events(events=job.events[:1]))], []]
    assert watch_all(server.address) == durable(job)
    requests = server.requests("WatchJob")
    assert [request.after_sequence for request in requests] == [0, 1, 1]


def test_a_watch_of_an_unknown_job_raises_at_once(server: FakeServer):
    with Client(server.address) as client, pytest.raises(errors.NotFound):
        next(client.watch("nobody"))
    assert len(server.requests("WatchJob")) == 1


def test_too_many_watches_is_waited_out(server: FakeServer, job):
    server.refuse("WatchJob", rich_status("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHES", "full"))
    assert watch_all(server.address) == durable(job)


def test_a_watch_that_is_left_cancels_its_stream(server: FakeServer):
    job = server.add(new_job("b"))
    with Client(server.address) as client:
        for _ in client.watch("b"):
            break
        with client.watch("b") as watch:
            next(watch)
        assert list(watch) == []
    assert not job.finished


def test_closing_from_another_task_ends_the_reader(server: FakeServer):
    server.add(new_job("b"))

    async def run() -> list[Any]:
        async with AsyncClient(server.address) as client:
            watch = client.watch("b")
            first = await anext(watch)

            async def read_on():
                return [event async for event in watch]

            reader = asyncio.create_task(read_on())
            await asyncio.sleep(0)
            await watch.aclose()
            return [first, *await asyncio.wait_for(reader, 10)]

    assert [event.sequence for event in asyncio.run(run())] == [1]
