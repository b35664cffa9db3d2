"""The methods of the contract, by what is sent to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from jobplane.v1 import (
    artifact_service_pb2,
    dataset_service_pb2,
    job_service_pb2,
    kind_service_pb2,
    model_service_pb2,
    quota_service_pb2,
    schedule_service_pb2,
    system_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import MethodDescriptor

FILES = (
    job_service_pb2,
    kind_service_pb2,
    artifact_service_pb2,
    dataset_service_pb2,
    schedule_service_pb2,
    quota_service_pb2,
    model_service_pb2,
    system_service_pb2,
)
# They change things, but this package always sends a key, so a repeat is one change.
KEYED = frozenset(
    {
        "SubmitJob",
        "BatchSubmitJobs",
        "RetryJob",
        "TriggerSchedule",
        "PromoteModel",
        "RollbackModel",
    }
)
NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS


@dataclass(frozen=True, slots=True)
class Method:
    """One method: where it is called, what it takes and what it gives."""

    service: str
    name: str
    request: type[Message]
    answer: type[Message]
    # Open for as long as a job runs.
    is_watch: bool
    # Whether a call may be repeated without harm.
    is_repeatable: bool

    @property
    def path(self) -> str:
        """Path on the wire."""
        return f"/{self.service}/{self.name}"

    def bind(self, make: Callable[..., Any]) -> Any:
        """What calls it, from `unary_unary` or a like of either kind of channel."""
        return make(self.path, self.request.SerializeToString, self.answer.FromString)


def method_of(request: type[Message]) -> Method:
    """Method that takes such requests: in the contract there is exactly one."""
    return METHODS[str(request.DESCRIPTOR.full_name)]


def _method(method: MethodDescriptor) -> Method:
    is_unary = not (method.server_streaming or method.client_streaming)
    is_read = method.GetOptions().idempotency_level == NO_SIDE_EFFECTS
    return Method(
        service=str(method.containing_service.full_name),
        name=str(method.name),
        request=GetMessageClass(method.input_type),
        answer=GetMessageClass(method.output_type),
        is_watch=method.server_streaming and method.containing_service.name == "JobService",
        is_repeatable=is_unary and (is_read or method.name in KEYED),
    )


METHODS = {
    str(method.input_type.full_name): _method(method)
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
