"""Refusals: what an error of the contract carries, read from the wire itself."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from jobplane.conformance.rule import BrokenRuleError, expect, expect_equal

if TYPE_CHECKING:
    from jobplane.conformance.frames import Frames

DETAILS_KEY = "grpc-status-details-bin"
MAX_DETAILS_BYTES = 6 * 1024
DOMAIN = "jobplane"

_Detail = TypeVar("_Detail", bound=Message)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that a call ended in."""

    code: str
    message: str
    status: status_pb2.Status
    details_bytes: int
    trailers: dict[str, Any]

    @classmethod
    def of(cls, error: grpc.RpcError) -> Refusal:
        """Refusal inside of what a call raised."""
        failed = cast("grpc.aio.AioRpcError", error)
        trailers = dict[str, Any](failed.trailing_metadata() or ())
        raw = trailers.get(DETAILS_KEY, b"")
        status = status_pb2.Status.FromString(raw)
        return cls(failed.code().name, failed.details() or "", status, len(raw), trailers)

    @property
    def reason(self) -> str:
        """Reason by which programs branch."""
        return self.detail(error_details_pb2.ErrorInfo).reason

    @property
    def metadata(self) -> dict[str, str]:
        """What goes with the reason."""
        return dict(self.detail(error_details_pb2.ErrorInfo).metadata)

    @property
    def fields(self) -> list[str]:
        """Fields to blame."""
        bad = self.detail(error_details_pb2.BadRequest)
        return [violation.field for violation in bad.field_violations]

    @property
    def resource(self) -> str:
        """Resource that it is about."""
        return self.detail(error_details_pb2.ResourceInfo).resource_name

    def detail(self, kind: type[_Detail]) -> _Detail:
        """First detail of a type, or an empty one."""
        found = kind()
        for packed in self.status.details:
            if packed.Unpack(found):
                break
        return found

    def __str__(self) -> str:
        """Code, reason and message on one line."""
        return f"{self.code} {self.reason or '(no reason)'}: {self.message}"


async def refused(call: Awaitable[object], code: str, *reasons: str) -> Refusal:
    """The refusal of a call; breaks the rule unless it has the code and one of the reasons."""
    try:
        answer = await call
    except grpc.RpcError as error:
        refusal = Refusal.of(error)
    else:
        text = " ".join(str(answer).split())[:120]
        raise BrokenRuleError(f"it was answered ({text}), where {code} {reasons[0]} is due")
    return due(refusal, code, *reasons)


async def refused_stream(frames: Frames[Any], code: str, *reasons: str) -> Refusal:
    """The refusal of a stream, which must come before any frame."""
    return await refused(frames.frame(), code, *reasons)


def due(refusal: Refusal, code: str, *reasons: str) -> Refusal:
    """The refusal itself, if it has the code, one of the reasons and the form of the contract."""
    expect(
        refusal.code == code and refusal.reason in reasons,
        f"it was refused with {refusal}, where {code} {' or '.join(reasons)} is due",
    )
    expect_equal(refusal.detail(error_details_pb2.ErrorInfo).domain, DOMAIN, "ErrorInfo.domain")
    expect(bool(refusal.message), "the refusal has no message")
    expect(
        refusal.details_bytes <= MAX_DETAILS_BYTES,
        f"the details have {refusal.details_bytes} bytes, more than {MAX_DETAILS_BYTES}",
    )
    return refusal


def blames(refusal: Refusal, *fields: str) -> None:
    """Break the rule unless the refusal names the fields."""
    missing = set(fields) - set(refusal.fields)
    expect(not missing, f"{refusal} blames {refusal.fields}, not {sorted(missing)}")
