"""Learns the methods of a server by gRPC reflection, without their generated code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from jobplane.client import errors
from jobplane.client._status import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
TIMEOUT_S = 15.0
_Field = descriptor_pb2.FieldDescriptorProto


class Reflection:
    """Methods of a server, and the types that they take and give."""

    def __init__(self, channel: grpc.Channel, metadata: Sequence[tuple[str, str]]) -> None:
        self._channel = channel
        self._metadata = metadata
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()
        self._package = PACKAGES[0]

    def services(self) -> list[str]:
        """Full names of the services."""
        answer = self._ask_any(list_services="")
        return sorted(service.name for service in answer.list_services_response.service)

    def methods(self, service: str) -> list[MethodDescriptor]:
        """Methods of a service."""
        self._load(self._ask_any(file_containing_symbol=service))
        return list(self._pool.FindServiceByName(service).methods)

    def request_of(self, method: MethodDescriptor) -> Message:
        """Empty request of a method."""
        return message_factory.GetMessageClass(method.input_type)()

    def call(
        self, method: MethodDescriptor, requests: Sequence[Message], timeout_s: float | None
    ) -> Iterator[Message]:
        """Answers of a method, as they come."""
        answer = message_factory.GetMessageClass(method.output_type)
        path = f"/{method.containing_service.full_name}/{method.name}"
        stream = self._open(path, requests, answer, timeout_s)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise error_of(error) from error
        finally:
            stream.cancel()

    @property
    def pool(self) -> descriptor_pool.DescriptorPool:
        """Types learnt so far, for what is packed in an Any."""
        return self._pool

    def _ask_any(self, **question: str) -> Any:
        """Answer in the version of reflection that the server has."""
        try:
            return self._ask(**question)
        except errors.NotEnabled:
            if self._package == PACKAGES[-1]:
                raise
            self._package = PACKAGES[-1]
            return self._ask(**question)

    def _ask(self, **question: str) -> Any:
        request, answer = _messages(self._package)
        path = f"/{self._package}.ServerReflection/ServerReflectionInfo"
        stream = self._open(path, [request(**question)], answer, TIMEOUT_S)
        try:
            told: Any = next(stream)
        except grpc.RpcError as error:
            raise error_of(error) from error
        finally:
            stream.cancel()
        if told.HasField("error_response"):
            raise errors.NotFound(
                errors.Refusal(
                    code="NOT_FOUND",
                    reason="SYMBOL_NOT_FOUND",
                    message=told.error_response.error_message,
                    hint="list what there is with: jobplane api",
                )
            )
        return told

    def _open(
        self, path: str, requests: Sequence[Message], answer: Any, timeout_s: float | None
    ) -> Any:
        """Stream of answers; to the transport any method is a stream both ways."""
        channel: Any = self._channel
        call = channel.stream_stream(
            path, request_serializer=_bytes_of, response_deserializer=answer.FromString
        )
        return call(iter(requests), timeout=timeout_s, metadata=tuple(self._metadata))

    def _load(self, answer: Any) -> None:
        """Take the files into the pool, those that they import first."""
        files = [
            descriptor_pb2.FileDescriptorProto.FromString(raw)
            for raw in answer.file_descriptor_response.file_descriptor_proto
        ]
        by_name = {file.name: file for file in files}
        for file in files:
            self._add(file, by_name)

    def _add(
        self,
        file: descriptor_pb2.FileDescriptorProto,
        by_name: dict[str, descriptor_pb2.FileDescriptorProto],
    ) -> None:
        if file.name in self._known:
            return
        self._known.add(file.name)
        for name in file.dependency:
            if name in by_name:
                self._add(by_name[name], by_name)
            elif name not in self._known:
                self._load(self._ask_any(file_by_filename=name))
        self._pool.Add(file)


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def _messages(package: str) -> tuple[Any, Any]:
    """Classes of reflection's request and answer: the part of them that is needed here."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_reflection_file(package))
    return (
        message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.ServerReflectionRequest")
        ),
        message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.ServerReflectionResponse")
        ),
    )


def _reflection_file(package: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    question = file.message_type.add(name="ServerReflectionRequest")
    question.oneof_decl.add(name="message_request")
    for number, name in (
        (3, "file_by_filename"),
        (4, "file_containing_symbol"),
        (7, "list_services"),
    ):
        question.field.add(
            name=name,
            number=number,
            type=_Field.TYPE_STRING,
            label=_Field.LABEL_OPTIONAL,
            oneof_index=0,
        )
    _add_message(file, "FileDescriptorResponse", file_descriptor_proto=(1, _Field.TYPE_BYTES, True))
    _add_message(file, "ServiceResponse", name=(1, _Field.TYPE_STRING, False))
    _add_message(file, "ListServiceResponse", service=(1, f".{package}.ServiceResponse", True))
    _add_message(
        file,
        "ErrorResponse",
        error_code=(1, _Field.TYPE_INT32, False),
        error_message=(2, _Field.TYPE_STRING, False),
    )
    _add_message(
        file,
        "ServerReflectionResponse",
        file_descriptor_response=(4, f".{package}.FileDescriptorResponse", False),
        list_services_response=(6, f".{package}.ListServiceResponse", False),
        error_response=(7, f".{package}.ErrorResponse", False),
    )
    return file


def _add_message(
    file: descriptor_pb2.FileDescriptorProto, name: str, /, **fields: tuple[int, Any, bool]
) -> None:
    """Add a message; a field's type is a number, or the full name of a message."""
    message = file.message_type.add(name=name)
    for field_name, (number, kind, is_repeated) in fields.items():
        field = message.field.add(
            name=field_name,
            number=number,
            label=_Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL,
        )
        if isinstance(kind, str):
            field.type, field.type_name = _Field.TYPE_MESSAGE, kind
        else:
            field.type = kind
