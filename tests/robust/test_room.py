"""The harness writes down what the server said, not what grpc's client made of it."""

import grpc
import pytest

from jobplane.service.status import DETAILS_KEY, bug
from tests.robust.history import Operation
from tests.robust.room import CUT_WHILE_SENDING, note_error


@pytest.fixture
def operation() -> Operation:
    return Operation(1, "upload", 0.0)


def _error(
    code: grpc.StatusCode, details: str, *trailers: tuple[str, str | bytes]
) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), details=details
    )


def test_a_connection_that_breaks_under_a_message_leaves_the_outcome_unknown(operation: Operation):
    note_error(operation, _error(grpc.StatusCode.INTERNAL, CUT_WHILE_SENDING))
    assert (operation.outcome, operation.detail) == ("unknown", "cut while sending")


def test_a_bug_of_the_server_stays_one(operation: Operation):
    refusal = bug(ValueError("planted"), "request-1", show=False)
    error = _error(refusal.code, refusal.message, (DETAILS_KEY, refusal.details))
    note_error(operation, error)
    assert (operation.outcome, operation.detail) == ("refused", "INTERNAL")


def test_an_internal_error_of_another_kind_stays_one(operation: Operation):
    note_error(operation, _error(grpc.StatusCode.INTERNAL, "the response can't be read"))
    assert (operation.outcome, operation.detail) == ("refused", "INTERNAL")
