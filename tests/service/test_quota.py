"""QuotaService over a real server and a real engine."""

import asyncio

import grpc
import pytest

from jobplane.engine.settings import EngineSettings
from jobplane.service.quota import QuotaService
from jobplane.service.rpc.auth import DevAuthenticator
from jobplane.service.server import Server
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.v1 import job_service_pb2 as jobs
from jobplane.v1 import quota_service_pb2 as wire
from tests.engine.conftest import running
from tests.service.fake_engine import START
from tests.service.running_server import Refused

QUOTAS = "/jobplane.v1.QuotaService/"
JOBS = "/jobplane.v1.JobService/"
NAME = "projects/demo/quota"


class Lent:
    """A house that somebody else starts and stops."""

    def __init__(self, engine):
        self._engine = engine

    async def start(self):
        return self._engine

    async def drain(self):
        pass

    async def stop(self, grace_s):
        pass


def run(tmp_path, scenario):
    """Run calls against a server over an engine that starts no job."""

    async def whole():
        async with running(EngineSettings(tmp_path)) as (house, engine):
            house.dispatcher.paused = True
            facts = ServerFacts("1.2.3", "local", "sqlite", START)
            server = Server(
                ServiceSettings(port=0, dev=True), Lent(engine), facts, DevAuthenticator()
            )
            port = await server.start()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await scenario(channel)
            await server.stop()

    asyncio.run(whole())


async def call(channel, path, request, response):
    method = channel.unary_unary(path)
    return response.FromString(await method(request.SerializeToString(), timeout=10))


async def refusal(channel, path, request):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await channel.unary_unary(path)(request.SerializeToString(), timeout=10)
    return Refused.of(error.value)


async def submit(channel, **fields):
    request = jobs.SubmitJobRequest(project="demo", **fields)
    request.spec.probe.steps = 1
    return (await call(channel, JOBS + "SubmitJob", request, jobs.SubmitJobResponse)).job


async def update(channel, paths, etag="", **limits):
    request = wire.UpdateQuotaRequest(quota=wire.Quota(name=NAME, limits=limits, etag=etag))
    request.update_mask.paths.extend(paths)
    return (await call(channel, QUOTAS + "UpdateQuota", request, wire.UpdateQuotaResponse)).quota


def test_a_quota_is_set_read_and_kept(tmp_path):
    async def scenario(channel):
        first = await update(channel, ["limits"], queued=1, gpu_hours=5)
        second = await update(channel, ["limits.gpu_hours"], etag=first.etag)
        assert dict(second.limits) == {"queued": 1}
        await submit(channel)
        request = wire.GetQuotaRequest(name=NAME)
        quota = (await call(channel, QUOTAS + "GetQuota", request, wire.GetQuotaResponse)).quota
        assert (quota.usage["queued"], quota.usage["running"]) == (1, 0)
        assert quota.usage["submits_per_minute"] == 1
        assert (quota.etag, quota.name) == (second.etag, NAME)
        assert quota.reset_time.seconds > START.timestamp()

    run(tmp_path, scenario)


def test_a_submit_over_the_quota_says_what_is_left(tmp_path):
    async def scenario(channel):
        await update(channel, ["limits"], submits_per_minute=1)
        await submit(channel)
        request = jobs.SubmitJobRequest(project="demo")
        request.spec.probe.steps = 1
        refused = await refusal(channel, JOBS + "SubmitJob", request)
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
        assert {"limit", "used", "remaining"} <= set(refused.metadata)
        assert refused.details["RetryInfo"].retry_delay.seconds <= 60

    run(tmp_path, scenario)


def test_an_old_etag_is_refused(tmp_path):
    async def scenario(channel):
        first = await update(channel, ["limits"], queued=1)
        await update(channel, ["limits"], queued=2)
        request = wire.UpdateQuotaRequest(quota=wire.Quota(name=NAME, etag=first.etag))
        request.update_mask.paths.append("limits")
        refused = await refusal(channel, QUOTAS + "UpdateQuota", request)
        assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")

    run(tmp_path, scenario)


def test_a_closed_queue_refuses_and_is_listed(tmp_path):
    async def scenario(channel):
        await submit(channel, queue="night")
        request = wire.SetQueueStateRequest(name="queues/night", state=wire.QUEUE_STATE_CLOSED)
        path = QUOTAS + "SetQueueState"
        queue = (await call(channel, path, request, wire.SetQueueStateResponse)).queue
        assert (queue.name, queue.state, queue.queued) == (
            "queues/night",
            wire.QUEUE_STATE_CLOSED,
            1,
        )
        assert queue.oldest_wait_seconds >= 0
        submission = jobs.SubmitJobRequest(project="demo", queue="night")
        submission.spec.probe.steps = 1
        refused = await refusal(channel, JOBS + "SubmitJob", submission)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "QUEUE_CLOSED")
        listed = await call(
            channel, QUOTAS + "ListQueues", wire.ListQueuesRequest(), wire.ListQueuesResponse
        )
        assert [queue.name for queue in listed.queues] == ["queues/night"]

    run(tmp_path, scenario)


def test_every_method_of_the_contract_is_there():
    methods = wire.DESCRIPTOR.services_by_name["QuotaService"].methods_by_name
    assert all(hasattr(QuotaService, name) for name in methods)
