"""How refusals of every kind become typed errors."""

import pickle
import socket

import grpc
import pytest
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

from jobplane.client import Client, errors, specs
from jobplane.client._status import error_from_status, error_of
from tests.client.fake_server import FakeServer, rich_status

TABLE = [
    ("INVALID_ARGUMENT", "INVALID_SPEC", errors.InvalidSpec),
    ("INVALID_ARGUMENT", "UNKNOWN_FIELD", errors.InvalidSpec),
    ("INVALID_ARGUMENT", "UNKNOWN_KIND", errors.InvalidSpec),
    ("INVALID_ARGUMENT", "REFERENCE_NOT_FOUND", errors.InvalidSpec),
    ("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE", errors.InvalidSpec),
    ("INVALID_ARGUMENT", "INVALID_FILTER", errors.InvalidArgument),
    ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", errors.InvalidArgument),
    ("INVALID_ARGUMENT", "MALFORMED_REQUEST", errors.InvalidArgument),
    ("ALREADY_EXISTS", "DUPLICATE_REQUEST", errors.AlreadyExists),
    ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED", errors.AlreadyExists),
    ("ALREADY_EXISTS", "JOB_ID_TAKEN", errors.AlreadyExists),
    ("NOT_FOUND", "JOB_NOT_FOUND", errors.NotFound),
    ("NOT_FOUND", "JOB_EXPIRED", errors.NotFound),
    ("FAILED_PRECONDITION", "INVALID_TRANSITION", errors.PreconditionFailed),
    ("FAILED_PRECONDITION", "RESULT_NOT_READY", errors.PreconditionFailed),
    ("ABORTED", "ETAG_MISMATCH", errors.Aborted),
    ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", errors.QuotaExceeded),
    ("RESOURCE_EXHAUSTED", "RATE_LIMITED", errors.RateLimited),
    ("RESOURCE_EXHAUSTED", "QUEUE_FULL", errors.RateLimited),
    ("UNAUTHENTICATED", "CREDENTIALS_MISSING", errors.Unauthenticated),
    ("PERMISSION_DENIED", "PROJECT_FORBIDDEN", errors.PermissionDenied),
    ("OUT_OF_RANGE", "SEQUENCE_IN_FUTURE", errors.OutOfRange),
    ("UNAVAILABLE", "DRAINING", errors.Unavailable),
    ("DATA_LOSS", "ARTIFACT_MISSING", errors.DataLoss),
    ("UNIMPLEMENTED", "NOT_ENABLED", errors.NotEnabled),
    ("DEADLINE_EXCEEDED", "", errors.DeadlineExceeded),
    ("INTERNAL", "INTERNAL", errors.Internal),
    ("UNKNOWN", "", errors.Internal),
]


@pytest.mark.parametrize(("code", "reason", "expected"), TABLE)
def test_each_situation_has_its_class(client: Client, server: FakeServer, code, reason, expected):
    server.refuse("CancelJob", rich_status(code, reason, "a sentence"))
    with pytest.raises(errors.JobplaneError) as caught:
        client.cancel("a")
    error = caught.value
    assert type(error) is expected
    assert (error.code, error.reason, error.message) == (code, reason, "a sentence")


def test_a_taken_key_tells_whose_it_is(client: Client):
    client.submit(specs.Probe(steps=1), idempotency_key="k", job_id="first")
    with pytest.raises(errors.AlreadyExists) as caught:
        client.submit(specs.Probe(steps=2), idempotency_key="k")
    assert caught.value.job_id == "first"
    assert caught.value.resource == "projects/default/jobs/first"


def test_a_quota_tells_what_is_left_and_when_to_come_back(client: Client, server: FakeServer):
    retry = details.RetryInfo()
    retry.retry_delay.FromMilliseconds(2500)
    status = rich_status("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "full", retry, remaining="0.5")
    server.refuse("SubmitJob", status)
    with pytest.raises(errors.QuotaExceeded) as caught:
        client.submit(specs.Probe())
    assert (caught.value.remaining, caught.value.retry_after) == (0.5, 2.5)


def test_the_servers_own_help_is_the_hint(client: Client, server: FakeServer):
    link = details.Help.Link(description="Send it with UploadArtifact", url="docs/errors.md#X")
    server.refuse(
        "CancelJob",
        rich_status("INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE", "big", details.Help(links=[link])),
    )
    with pytest.raises(errors.InvalidSpec) as caught:
        client.cancel("a")
    assert caught.value.hint == "Send it with UploadArtifact: docs/errors.md#X"


def test_a_reason_of_the_contract_brings_its_next_step(client: Client, server: FakeServer):
    server.refuse("CancelJob", rich_status("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "no"))
    with pytest.raises(errors.InvalidArgument) as caught:
        client.cancel("a")
    assert caught.value.hint.startswith("Start again without a token")


def test_preconditions_and_quotas_are_violations_too():
    status = status_pb2.Status(message="no")
    state = details.PreconditionFailure.Violation(type="STATUS", subject="a", description="over")
    status.details.add().Pack(details.PreconditionFailure(violations=[state]))
    quota = details.QuotaFailure.Violation(subject="project", description="full")
    status.details.add().Pack(details.QuotaFailure(violations=[quota]))
    error = error_from_status(status, code="FAILED_PRECONDITION")
    assert [(item.field, item.description) for item in error.violations] == [
        ("a", "over"),
        ("project", "full"),
    ]


def test_a_violation_that_repeats_the_message_is_told_once():
    told = "column 2: " + "x" * 400
    status = status_pb2.Status(message=f"filter: {told}")
    cut = details.BadRequest.FieldViolation(field="filter", description=told[:299] + "…")
    status.details.add().Pack(details.BadRequest(field_violations=[cut]))
    assert str(error_from_status(status, code="INVALID_ARGUMENT")) == status.message


class Broken(grpc.RpcError):
    """An error of the transport, with details that do not fit its code."""

    def __init__(self, details_bin: bytes) -> None:
        super().__init__()
        self._details_bin = details_bin

    def code(self):
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def details(self):
        return "received metadata size exceeds soft limit"

    def initial_metadata(self):
        return None

    def trailing_metadata(self):
        return (("grpc-status-details-bin", self._details_bin),)


@pytest.mark.parametrize(
    "details_bin",
    [b"\xff\xff\xff", status_pb2.Status(code=3, message="another").SerializeToString()],
    ids=["damaged", "another code"],
)
def test_details_that_were_damaged_on_the_way_do_not_hide_the_error(details_bin):
    error = error_of(Broken(details_bin))
    assert isinstance(error, errors.RateLimited)
    assert error.message == "received metadata size exceeds soft limit"


def test_a_server_that_is_not_there_is_unavailable_with_a_next_step():
    with Client("127.0.0.1:1") as client, pytest.raises(errors.Unavailable) as caught:
        client.cancel("a")
    assert caught.value.reason == "UNREACHABLE"
    assert "jobplane dev" in caught.value.hint


def test_a_call_that_takes_too_long_is_a_typed_error():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        with Client(address, timeout=0.2) as client, pytest.raises(errors.DeadlineExceeded):
            client.cancel("a")


def test_errors_survive_pickling():
    error = errors.NotFound(errors.Refusal(code="NOT_FOUND", message="gone", reason="R"))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.refusal) == (errors.NotFound, error.refusal)
