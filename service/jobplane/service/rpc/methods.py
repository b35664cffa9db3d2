"""The list of RPCs, read from the contract itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from jobplane.v1 import options_pb2 as options


@dataclass(frozen=True, slots=True)
class Access:
    """What a caller must hold: a role, in the request's project or on the server."""

    role: "options.Role.ValueType"
    scope: "options.Scope.ValueType"

    @property
    def is_public(self) -> bool:
        """Whether no credentials are needed."""
        return self.role == options.ROLE_PUBLIC

    @property
    def in_project(self) -> bool:
        """Whether the role must be held in the project that the request names."""
        return self.scope == options.SCOPE_PROJECT

    @property
    def role_name(self) -> str:
        """Role as people write it."""
        return options.Role.Name(self.role).removeprefix("ROLE_").lower()

    @property
    def scope_name(self) -> str:
        """Scope as people write it."""
        return options.Scope.Name(self.scope).removeprefix("SCOPE_").lower()


PUBLIC = Access(options.ROLE_PUBLIC, options.SCOPE_SERVER)
SERVER_VIEWER = Access(options.ROLE_VIEWER, options.SCOPE_SERVER)


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of one service."""

    service: str
    name: str
    request: type[Message]
    streams_requests: bool
    streams_responses: bool
    # None when the contract names no role: then nobody may call it.
    access: Access | None

    @property
    def path(self) -> str:
        """Path on the wire."""
        return f"/{self.service}/{self.name}"


def rpcs(files: Iterable[Any], *, access: Access | None = None) -> list[Rpc]:
    """Give every method in the files; `access` is for methods that name none themselves.

    Files are descriptors of either implementation of protobuf, which share no type.
    """
    return [
        _rpc(method, access)
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    ]


def _rpc(method: MethodDescriptor, access: Access | None) -> Rpc:
    return Rpc(
        service=method.containing_service.full_name,
        name=method.name,
        request=GetMessageClass(method.input_type),
        streams_requests=method.client_streaming,
        streams_responses=method.server_streaming,
        access=access_of(method) or access,
    )


def access_of(method: MethodDescriptor) -> Access | None:
    """Access that the contract asks for; None when it asks for nothing that is valid."""
    declared = method.GetOptions().Extensions[options.access]
    if not declared.role or not declared.scope:
        return None
    return Access(declared.role, declared.scope)
