"""Shutting down: watches are told, and nobody holds the server up."""

import time

import grpc
import pytest

from jobplane.service.settings import ServiceSettings
from jobplane.v1 import job_service_pb2 as wire
from tests.service.fake_engine import batch
from tests.service.running_server import Refused
from tests.service.test_jobs import JOBS, submit


def test_a_watch_ends_with_draining(server, eventually):
    submit(server, job_id="one")
    call = server.stream(JOBS + "WatchJob", wire.WatchJobRequest(name="projects/demo/jobs/one"))
    eventually(lambda: server.engine.open_watches == 1)
    server.stop()
    frames = [wire.WatchJobResponse.FromString(data) for data in call]
    assert frames[-1].end.reason == wire.WatchJobResponse.End.REASON_DRAINING
    assert frames[-1].end.retry_after.seconds == 1
    assert server.house.is_stopped


def test_a_reader_that_takes_nothing_is_told_that_the_server_drains(serve, eventually):
    server = serve(ServiceSettings(port=0, dev=True, drain_s=0.2))
    submit(server, job_id="one")
    job = server.engine.jobs["demo", "one"]
    server.engine.frames = [batch(job, n, n, size=900_000) for n in range(1, 60)]
    call = server.stream(
        JOBS + "WatchJob", wire.WatchJobRequest(name=job.name, after_sequence=0), timeout=60
    )
    eventually(lambda: bool(server.server._pipeline._writes))
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5.0
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    # Its last frame never fitted in; what it is told depends on whether it reads in time.
    assert Refused.of(caught.value).code == "UNAVAILABLE"


def test_a_stopped_server_takes_no_calls(server):
    server.stop()
    assert server.refusal("/grpc.health.v1.Health/Check").code == "UNAVAILABLE"
