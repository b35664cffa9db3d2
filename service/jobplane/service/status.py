"""Builds google.rpc.Status for refusals and bugs, small enough to arrive."""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from jobplane.engine.domain.errors import EngineError, Violation
from jobplane.engine.domain.item_refusal import ItemRefusedError
from jobplane.service.errors import row_of

DOMAIN = "jobplane"
DETAILS_KEY = "grpc-status-details-bin"

# Trailers over 8 KiB may be dropped with the whole error; this leaves room for the rest.
MAX_DETAILS_BYTES = 6 * 1024
MAX_MESSAGE_CHARS = 512
MAX_TEXT_CHARS = 256
# For the number of omitted violations, and for the wrapping of all of them.
_ROOM_FOR_OMITTED = 128
# For the wrapping of one violation.
_ROOM_AROUND_ONE = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it goes over the wire."""

    code: grpc.StatusCode
    reason: str
    message: str
    details: bytes


def refuse(error: EngineError) -> Refusal | None:
    """Give the wire's form of a refusal; None when the table has no row for it."""
    message, item, path = cut(error.message, MAX_MESSAGE_CHARS), dict[str, str](), ""
    if isinstance(error, ItemRefusedError):
        item, path = {"item": str(error.index)}, f"items[{error.index}].request."
        error = error.cause
    row = row_of(error)
    if row is None:
        return None
    status = status_pb2.Status(code=_number(row.code), message=message)
    info = error_info(error.reason, {**row.metadata(error), **item})
    _append(status, [info, *(_cut_texts(one) for build in row.details for one in build(error))])
    violations = [Violation(path + one.field, one.description) for one in row.violations(error)]
    _append_violations(status, info, violations)
    return Refusal(row.code, error.reason, message, status.SerializeToString())


def bug(error: BaseException, request_id: str, *, show: bool) -> Refusal:
    """INTERNAL with the request's id, and with the stack only when `show` is set."""
    code = grpc.StatusCode.INTERNAL
    message = "internal error; the server's log has more under the request id"
    status = status_pb2.Status(code=_number(code), message=message)
    request = error_details_pb2.RequestInfo(request_id=request_id)
    _append(status, [error_info("INTERNAL", {"request_id": request_id}), request])
    if show:
        entries = [cut(line, MAX_TEXT_CHARS) for line in traceback.format_tb(error.__traceback__)]
        detail = cut(repr(error), MAX_TEXT_CHARS)
        stack = error_details_pb2.DebugInfo(stack_entries=entries[-8:], detail=detail)
        _append(status, [stack])
    return Refusal(code, "INTERNAL", message, status.SerializeToString())


def error_info(reason: str, metadata: Mapping[str, str]) -> error_details_pb2.ErrorInfo:
    """ErrorInfo of our domain."""
    short = {key: cut(value, MAX_TEXT_CHARS) for key, value in metadata.items()}
    return error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=short)


def cut(text: str, limit: int) -> str:
    """Text of at most `limit` characters; what is cut shows as an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _number(code: grpc.StatusCode) -> int:
    return int(code.value[0])


def _append(status: status_pb2.Status, details: Iterable[Message]) -> None:
    for detail in details:
        status.details.add().Pack(detail)


def _cut_texts(message: Message) -> Message:
    """Shorten every text in a detail, in place."""
    for field, value in message.ListFields():
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in value:
                value[key] = cut(value[key], MAX_TEXT_CHARS)
        elif field.message_type is not None and field.is_repeated:
            for item in value:
                _cut_texts(item)
        elif isinstance(value, str):
            setattr(message, field.name, cut(value, MAX_TEXT_CHARS))
    return message


def _append_violations(
    status: status_pb2.Status,
    info: error_details_pb2.ErrorInfo,
    violations: Sequence[Violation],
) -> None:
    """Append as many violations as fit; how many did not is told in the metadata."""
    room = MAX_DETAILS_BYTES - _ROOM_FOR_OMITTED - status.ByteSize()
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        one = error_details_pb2.BadRequest.FieldViolation(
            field=cut(violation.field, MAX_TEXT_CHARS),
            description=cut(violation.description, MAX_TEXT_CHARS),
        )
        room -= one.ByteSize() + _ROOM_AROUND_ONE
        if room < 0:
            break
        bad.field_violations.append(one)
    omitted = len(violations) - len(bad.field_violations)
    if omitted:
        info.metadata["omitted_violations"] = str(omitted)
        status.details[0].CopyFrom(_packed(info))
    if bad.field_violations:
        _append(status, [bad])


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
