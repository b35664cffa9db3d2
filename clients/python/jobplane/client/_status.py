"""Turns what gRPC raises into the typed errors of this package."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, status_pb2
from google.rpc import error_details_pb2 as details

from jobplane.client import errors
from jobplane.v1 import error_reason_pb2, options_pb2

if TYPE_CHECKING:
    import grpc

REASONS = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]
DETAILS_KEY = "grpc-status-details-bin"
REQUEST_ID_KEY = "x-request-id"
SPEC_REASONS = frozenset(
    {
        "INVALID_SPEC",
        "UNKNOWN_FIELD",
        "UNKNOWN_KIND",
        "KIND_UNAVAILABLE",
        "REFERENCE_NOT_FOUND",
        "PAYLOAD_TOO_LARGE",
    }
)
BY_CODE: dict[str, type[errors.JobplaneError]] = {
    "INVALID_ARGUMENT": errors.InvalidArgument,
    "NOT_FOUND": errors.NotFound,
    "ALREADY_EXISTS": errors.AlreadyExists,
    "FAILED_PRECONDITION": errors.PreconditionFailed,
    "RESOURCE_EXHAUSTED": errors.RateLimited,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "UNAVAILABLE": errors.Unavailable,
    "ABORTED": errors.Aborted,
    "OUT_OF_RANGE": errors.OutOfRange,
    "DATA_LOSS": errors.DataLoss,
    "UNIMPLEMENTED": errors.NotEnabled,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    "CANCELLED": errors.CallCancelled,
}
HINTS = {
    "UNAVAILABLE": "check the address, or start a server here with: jobplane dev",
    "UNAUTHENTICATED": "set JOBPLANE_TOKEN, or the token of the context in use",
    "PERMISSION_DENIED": "check the project, or ask for access to it",
    "DEADLINE_EXCEEDED": "repeat the call with a longer time limit; a submit with its key is safe",
    "INTERNAL": "quote the request id to whoever runs the server",
    "UNIMPLEMENTED": "this server is older, or has the feature switched off",
}

_Detail = TypeVar("_Detail", bound=Message)
_Metadata = Iterable[tuple[str, str | bytes]]


class _Failure(Protocol):
    """What both kinds of RpcError can tell."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def initial_metadata(self) -> _Metadata | None: ...
    def trailing_metadata(self) -> _Metadata | None: ...


def error_of(raised: grpc.RpcError) -> errors.JobplaneError:
    """Typed error for what a call of either kind raised."""
    failure = cast("_Failure", raised)
    trailing = list(failure.trailing_metadata() or ())
    metadata = dict([*(failure.initial_metadata() or ()), *trailing])
    status = _rich_status(metadata.get(DETAILS_KEY))
    code = failure.code().name
    # Details that tell another code were cut off on the way: the transport's own word counts.
    if status is None or status.code != failure.code().value[0]:
        status = status_pb2.Status(message=failure.details() or "")
    request_id = metadata.get(REQUEST_ID_KEY, "")
    return error_from_status(
        status, code=code, request_id=request_id if isinstance(request_id, str) else ""
    )


def error_from_status(
    status: status_pb2.Status, *, code: str, request_id: str = ""
) -> errors.JobplaneError:
    """Typed error for a google.rpc.Status with its details."""
    info = _detail(status, details.ErrorInfo)
    request = _detail(status, details.RequestInfo)
    refusal = errors.Refusal(
        code=code,
        reason=info.reason or _DEFAULT_REASONS.get(code, ""),
        message=_readable(status.message, code),
        metadata=dict(info.metadata),
        violations=_violations(status),
        resource=_detail(status, details.ResourceInfo).resource_name,
        request_id=request.request_id or request_id,
        hint=_hint(status, code=code, reason=info.reason),
        retry_after=_retry_after(status),
    )
    return _class_of(refusal)(refusal)


def error_of_status(status: status_pb2.Status) -> errors.JobplaneError:
    """Typed error for a google.rpc.Status inside of an answer."""
    known = status.code in code_pb2.Code.values()
    return error_from_status(status, code=code_pb2.Code.Name(status.code) if known else "UNKNOWN")  # type: ignore[arg-type]  # checked


def lost(message: str) -> errors.JobplaneError:
    """Typed error for a connection that broke, where grpc has none to tell it by."""
    return error_from_status(status_pb2.Status(message=message), code="UNAVAILABLE")


# What the transport says of itself has no reason of the contract.
UNREACHABLE = "UNREACHABLE"
_DEFAULT_REASONS = {"UNAVAILABLE": UNREACHABLE}


def _readable(message: str, code: str) -> str:
    """Give the sentence, or the code in words where there is none."""
    return message or code.replace("_", " ").lower()


def _rich_status(raw: str | bytes | None) -> status_pb2.Status | None:
    """Parse the details, or give None where they are missing or damaged."""
    if not isinstance(raw, bytes):
        return None
    try:
        return status_pb2.Status.FromString(raw)
    except DecodeError:
        return None


def _detail(status: status_pb2.Status, kind: type[_Detail]) -> _Detail:
    """Give the first detail of a type, or an empty one."""
    found = kind()
    for packed in status.details:
        if packed.Unpack(found):
            break
    return found


def _violations(status: status_pb2.Status) -> tuple[errors.Violation, ...]:
    """List what is wrong: fields, preconditions and quotas alike."""
    fields = [
        errors.Violation(item.field, item.description, getattr(item, "reason", ""))
        for item in _detail(status, details.BadRequest).field_violations
    ]
    states = [
        errors.Violation(item.subject, item.description, item.type)
        for item in _detail(status, details.PreconditionFailure).violations
    ]
    quotas = [
        errors.Violation(item.subject, item.description, getattr(item, "quota_metric", ""))
        for item in _detail(status, details.QuotaFailure).violations
    ]
    return (*fields, *states, *quotas)


def _retry_after(status: status_pb2.Status) -> float | None:
    """Seconds to wait, when the server said so."""
    retry = _detail(status, details.RetryInfo)
    if not retry.HasField("retry_delay"):
        return None
    return retry.retry_delay.ToTimedelta().total_seconds()


def _hint(status: status_pb2.Status, *, code: str, reason: str) -> str:
    """Next step: the server's own, else the contract's for the reason, else ours for the code."""
    for link in _detail(status, details.Help).links:
        return f"{link.description}: {link.url}" if link.url else link.description
    return _next_step(reason) or HINTS.get(code, "")


def _next_step(reason: str) -> str:
    """Next step that the contract names for a reason, or nothing for one that it does not know."""
    value = REASONS.values_by_name.get(f"ERROR_REASON_{reason}")
    if value is None:
        return ""
    return value.GetOptions().Extensions[options_pb2.answer].next_step


def _class_of(refusal: errors.Refusal) -> type[errors.JobplaneError]:
    """Choose the class: the reason first, then the code."""
    if refusal.code == "INVALID_ARGUMENT" and refusal.reason in SPEC_REASONS:
        return errors.InvalidSpec
    if refusal.code == "RESOURCE_EXHAUSTED" and refusal.reason == "QUOTA_EXCEEDED":
        return errors.QuotaExceeded
    return BY_CODE.get(refusal.code, errors.Internal)
