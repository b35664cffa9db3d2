"""Server reflection, v1 and v1alpha, over everything that the process knows.

The package for Python ships v1alpha only; v1 has the same bytes under another name.
"""

# The stubs of grpc are half untyped.
# pyright: standard

from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2 as wire
from grpc_reflection.v1alpha._async import ReflectionServicer

from jobplane.service.rpc.call import Call
from jobplane.service.rpc.methods import SERVER_VIEWER, Rpc, rpcs

_ALPHA_PACKAGE = "grpc.reflection.v1alpha"
_PACKAGE = "grpc.reflection.v1"
_FILE = "grpc/reflection/v1/reflection.proto"


def reflection_rpcs() -> list[Rpc]:
    """Give the method of both versions; both take messages of the class that we have."""
    files = (wire.DESCRIPTOR, _v1_file())
    return [
        replace(rpc, request=wire.ServerReflectionRequest)
        for rpc in rpcs(files, access=SERVER_VIEWER)
    ]


def _v1_file() -> FileDescriptor:
    """File of v1, made from the other where there is none."""
    pool = descriptor_pool.Default()
    with suppress(KeyError):
        return pool.FindFileByName(_FILE)
    pool.AddSerializedFile(_renamed(wire.DESCRIPTOR).SerializeToString())
    return pool.FindFileByName(_FILE)


def _renamed(alpha: Any) -> descriptor_pb2.FileDescriptorProto:
    """Give the file under v1's name and package, every reference included."""
    file = descriptor_pb2.FileDescriptorProto()
    alpha.CopyToProto(file)
    file.name, file.package = _FILE, _PACKAGE
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = _in_v1(field.type_name)
    for service in file.service:
        for method in service.method:
            method.input_type = _in_v1(method.input_type)
            method.output_type = _in_v1(method.output_type)
    return file


def _in_v1(type_name: str) -> str:
    return type_name.replace(f".{_ALPHA_PACKAGE}.", f".{_PACKAGE}.")


class ReflectionService:
    """Tells clients such as grpcurl what the server takes and gives."""

    def __init__(self, services: Iterable[str]) -> None:
        self._servicer = ReflectionServicer(services)

    async def ServerReflectionInfo(
        self, requests: AsyncIterator[wire.ServerReflectionRequest], call: Call
    ) -> AsyncIterator[wire.ServerReflectionResponse]:
        """Answer one question after the other."""
        answers: Any = self._servicer.ServerReflectionInfo(requests, call)
        async for answer in answers:
            yield answer
