"""Deny by default: every method of every service, from the contract itself."""

import grpc
import pytest

from jobplane.service.refusals import CredentialsInvalidError, CredentialsMissingError
from jobplane.service.rpc.auth import Principal, projects_of
from jobplane.v1 import artifact_service_pb2, job_service_pb2, quota_service_pb2
from jobplane.v1 import options_pb2 as options
from tests.service.messages import all_rpcs
from tests.service.running_server import Refused

RPCS = all_rpcs()
IDS = [rpc.path for rpc in RPCS]
FOREIGN = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/grpc.channelz.v1.Channelz/GetServers",
]


class TokenAuthenticator:
    """Knows one viewer of the project `mine`, and an operator of nothing."""

    def __init__(self) -> None:
        self.principals = {
            "viewer": Principal("v", project_roles={"mine": options.ROLE_VIEWER}),
            "submitter": Principal("s", project_roles={"mine": options.ROLE_SUBMITTER}),
        }

    async def authenticate(self, metadata, peer):  # noqa: ARG002  the port has it
        token = metadata.get("authorization", "")
        if not token:
            raise CredentialsMissingError
        if token not in self.principals:
            raise CredentialsInvalidError
        return self.principals[token]


@pytest.fixture
def guarded(serve):
    return serve(authenticator=TokenAuthenticator())


def refusal(server, path, data=b"", *, token=None) -> Refused:
    metadata = [("authorization", token)] if token else []
    method = server.channel.stream_stream(path)
    try:
        list(method(iter([data]), timeout=10, metadata=metadata))
    except grpc.RpcError as error:
        return Refused.of(error)
    return Refused("OK", "", {}, {})


@pytest.mark.parametrize("rpc", RPCS, ids=IDS)
def test_every_method_of_the_contract_names_a_role(rpc):
    assert rpc.access is not None


def test_no_method_lets_in_who_has_no_credentials(guarded):
    codes = {rpc.path: refusal(guarded, rpc.path).reason for rpc in RPCS}
    open_to_all = [rpc.path for rpc in RPCS if rpc.access.is_public]
    assert {path for path, reason in codes.items() if reason != "CREDENTIALS_MISSING"} == set(
        open_to_all
    )


@pytest.mark.parametrize("path", FOREIGN)
def test_reflection_and_channelz_ask_for_credentials_too(guarded, path):
    assert refusal(guarded, path).code == "UNAUTHENTICATED"


def test_health_needs_no_credentials(guarded):
    guarded.call("/grpc.health.v1.Health/Check")


def test_a_wrong_token_is_told_apart_from_none(guarded):
    refused = refusal(guarded, RPCS[0].path, token="wrong")
    assert (refused.code, refused.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


def test_another_project_is_forbidden_before_anything_is_looked_up(guarded):
    request = job_service_pb2.GetJobRequest(name="projects/theirs/jobs/one")
    path = "/jobplane.v1.JobService/GetJob"
    refused = refusal(guarded, path, request.SerializeToString(), token="viewer")
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "PROJECT_FORBIDDEN")
    assert refused.metadata == {"role": "viewer", "scope": "project"}
    assert guarded.engine.calls == []


def test_the_own_project_is_open(guarded):
    request = job_service_pb2.GetJobRequest(name="projects/mine/jobs/one")
    path = "/jobplane.v1.JobService/GetJob"
    refused = refusal(guarded, path, request.SerializeToString(), token="viewer")
    assert refused.reason == "JOB_NOT_FOUND"


def test_a_viewer_can_not_cancel_but_a_submitter_can(guarded):
    data = job_service_pb2.CancelJobRequest(name="projects/mine/jobs/one").SerializeToString()
    path = "/jobplane.v1.JobService/CancelJob"
    assert refusal(guarded, path, data, token="viewer").reason == "PROJECT_FORBIDDEN"
    assert refusal(guarded, path, data, token="submitter").reason == "JOB_NOT_FOUND"


def test_reading_on_the_server_takes_a_role_in_any_project(guarded):
    path = "/jobplane.v1.SystemService/GetServerInfo"
    assert refusal(guarded, path, token="viewer").code == "OK"


def test_a_method_without_a_role_is_refused_to_everybody(serve, monkeypatch):
    monkeypatch.setattr("jobplane.service.rpc.methods.access_of", lambda _method: None)
    server = serve()
    for rpc in RPCS:
        assert refusal(server, rpc.path).reason == "PROJECT_FORBIDDEN"


@pytest.mark.parametrize(
    ("request_", "projects"),
    [
        (job_service_pb2.ListJobsRequest(project="p"), {"p"}),
        (job_service_pb2.GetJobRequest(name="projects/p/jobs/j"), {"p"}),
        (artifact_service_pb2.ListArtifactsRequest(parent="projects/p/jobs/j"), {"p"}),
        (quota_service_pb2.UpdateQuotaRequest(quota={"name": "projects/p/quota"}), {"p"}),
        (
            job_service_pb2.UpdateJobRequest(job={"name": "projects/p/jobs/j", "project": "q"}),
            {"p", "q"},
        ),
        (artifact_service_pb2.UploadArtifactRequest(header={"project": "p"}), {"p"}),
        (job_service_pb2.GetJobRequest(name="nonsense"), set()),
    ],
)
def test_projects_are_found_wherever_the_request_names_them(request_, projects):
    assert projects_of(request_) == projects


def test_a_second_project_in_a_request_needs_its_role_too(guarded):
    request = job_service_pb2.UpdateJobRequest()
    request.job.name, request.job.project = "projects/theirs/jobs/one", "mine"
    path = "/jobplane.v1.JobService/UpdateJob"
    refused = refusal(guarded, path, request.SerializeToString(), token="submitter")
    assert refused.reason == "PROJECT_FORBIDDEN"


@pytest.mark.parametrize("rpc", [r for r in RPCS if r.access.in_project], ids=lambda r: r.path)
def test_every_method_in_a_project_has_a_place_that_names_it(rpc):
    fields = rpc.request.DESCRIPTOR.fields_by_name
    nested = [field.message_type for field in fields.values() if field.message_type]
    names = {"project", "name", "parent"}
    assert names & set(fields) or any(names & set(one.fields_by_name) for one in nested)
