"""Server reflection, in both versions."""

import pytest
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2 as wire

from jobplane.service.settings import ServiceSettings

VERSIONS = ["v1", "v1alpha"]


def ask(server, version: str, **question) -> wire.ServerReflectionResponse:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    request = wire.ServerReflectionRequest(**question).SerializeToString()
    answers = server.channel.stream_stream(path)(iter([request]), timeout=10)
    return wire.ServerReflectionResponse.FromString(next(answers))


def files(server, version: str, symbol: str) -> set[str]:
    answer = ask(server, version, file_containing_symbol=symbol)
    return {
        descriptor_pb2.FileDescriptorProto.FromString(data).name
        for data in answer.file_descriptor_response.file_descriptor_proto
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_every_service_is_listed(server, version):
    answer = ask(server, version, list_services="")
    names = {service.name for service in answer.list_services_response.service}
    assert {
        "jobplane.v1.JobService",
        "jobplane.v1.ScheduleService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    } <= names


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol",
    [
        "jobplane.v1.JobService",
        "jobplane.kinds.probe.v1.ProbeSpec",
        "google.rpc.BadRequest",
        "google.rpc.ErrorInfo",
        "google.rpc.Help",
        "jobplane.v1.PartialAnswer",
        "grpc.reflection.v1.ServerReflection",
        "grpc.health.v1.Health",
    ],
)
def test_what_calls_and_errors_are_made_of_can_be_resolved(server, version, symbol):
    assert files(server, version, symbol)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_unknown_symbol_is_told_in_the_answer(server, version):
    assert ask(server, version, file_containing_symbol="no.Such").error_response.error_code == 5


def test_reflection_can_be_closed(serve):
    server = serve(ServiceSettings(port=0, dev=True, reflection=False))
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    assert server.refusal(path).code == "UNIMPLEMENTED"


def test_channelz_is_open_in_dev_mode_only(serve):
    path = "/grpc.channelz.v1.Channelz/GetServers"
    assert serve().call(path)
    assert serve(ServiceSettings(port=0)).refusal(path).code == "UNIMPLEMENTED"
