"""Anything at all is thrown at every RPC: no INTERNAL, no UNKNOWN, no traceback, no hang."""

import logging

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobplane.kinds.probe.v1 import probe_pb2
from jobplane.service.contract import service_files
from jobplane.service.rpc.methods import rpcs
from jobplane.v1 import job_service_pb2 as wire
from tests.service.library_server import LibraryServer
from tests.service.messages import messages

FILES: list[FileDescriptor] = [
    *service_files(),
    health_pb2.DESCRIPTOR,
    reflection_pb2.DESCRIPTOR,
    channelz_pb2.DESCRIPTOR,
]
RPCS = rpcs(FILES)
BUGS = {"INTERNAL", "UNKNOWN"}
WITHIN_S = 5.0
GOOD = {"project": "demo", "name": "projects/demo/jobs/one", "parent": "projects/demo/jobs/one"}


@pytest.fixture(scope="module")
def target(loop_thread, tmp_path_factory):
    """A server over the real engine, with a finished job under the good names."""
    server = LibraryServer(loop_thread, tmp_path_factory.mktemp("fuzz"))
    request = wire.SubmitJobRequest(project="demo", job_id="one")
    request.spec.probe.isolation = probe_pb2.ProbeSpec.ISOLATION_THREAD
    job = server.jobs.SubmitJob(request, timeout=30).job
    assert server.jobs.WaitJob(wire.WaitJobRequest(name=job.name), timeout=30).condition_met
    yield server
    server.close()


def code_of(server: LibraryServer, path: str, data: bytes) -> str:
    """Every shape of call takes bytes and gives a code; a stream is read for a moment only."""
    call = server.channel.stream_stream(path)(iter([data]), timeout=WITHIN_S)
    try:
        for _ in call:
            call.cancel()
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def assert_no_bug(server: LibraryServer, path: str, data: bytes, caplog) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        code = code_of(server, path, data)
    assert code not in BUGS
    if not path.endswith("/Watch"):
        assert code != "DEADLINE_EXCEEDED", "it hangs"
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


fuzz = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
@fuzz
@given(data=st.binary(max_size=300))
def test_random_bytes_never_break_a_method(target, caplog, rpc, data):
    assert_no_bug(target, rpc.path, data, caplog)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
@fuzz
@given(draw=st.data())
def test_random_messages_never_break_a_method(target, caplog, rpc, draw):
    message = draw.draw(messages(rpc.request.DESCRIPTOR))
    assert_no_bug(target, rpc.path, message.SerializeToString(), caplog)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
@fuzz
@given(draw=st.data())
def test_messages_with_good_names_and_anything_else_never_break_a_method(target, caplog, rpc, draw):
    """Good names take the rest of the message past the first rules."""
    message = draw.draw(messages(rpc.request.DESCRIPTOR))
    for name, value in GOOD.items():
        if name in rpc.request.DESCRIPTOR.fields_by_name:
            setattr(message, name, value)
    names = set(rpc.request.DESCRIPTOR.fields_by_name)
    keep = draw.draw(st.sets(st.sampled_from(sorted(names) or [""])))
    for name in names - keep - set(GOOD):
        message.ClearField(name)
    if isinstance(message, wire.WatchJobRequest):
        message.heartbeat_interval.seconds = 1
    assert_no_bug(target, rpc.path, message.SerializeToString(), caplog)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
@fuzz
@given(draw=st.data())
def test_messages_with_bytes_cut_or_changed_never_break_a_method(target, caplog, rpc, draw):
    data = bytearray(draw.draw(messages(rpc.request.DESCRIPTOR)).SerializeToString())
    for _ in range(draw.draw(st.integers(0, 3))):
        if data:
            data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    end = draw.draw(st.integers(0, len(data)))
    assert_no_bug(target, rpc.path, bytes(data[:end]), caplog)
