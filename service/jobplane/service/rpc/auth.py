"""Who calls, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import Message

from jobplane.service.refusals import ForbiddenError
from jobplane.service.rpc.methods import Access, Rpc
from jobplane.v1 import options_pb2 as options

ALL_PROJECTS = "-"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller and the highest role it holds, on the server and by project."""

    name: str
    server_role: int = options.ROLE_PUBLIC
    project_roles: Mapping[str, int] = field(default_factory=dict[str, int])

    def holds(self, access: Access, project: str) -> bool:
        """Whether the access is within what the principal holds."""
        roles = [self.server_role]
        if access.in_project and project != ALL_PROJECTS:
            roles.append(self.project_roles.get(project, options.ROLE_PUBLIC))
        elif access.in_project or access.role <= options.ROLE_VIEWER:
            # Reading over all projects, or on the server, takes the role in any of them.
            roles += self.project_roles.values()
        return max(roles) >= access.role


class Authenticator(Protocol):
    """Finds out who calls."""

    async def authenticate(self, metadata: Mapping[str, str], peer: str) -> Principal:
        """Give the caller; raises CredentialsMissingError or CredentialsInvalidError."""
        ...


class DevAuthenticator:
    """Takes everybody for one principal that may do all: for loopback only."""

    _everybody = Principal("dev", server_role=options.ROLE_OPERATOR)

    async def authenticate(self, metadata: Mapping[str, str], peer: str) -> Principal:
        """Give the one principal."""
        del metadata, peer
        return self._everybody


ANONYMOUS = Principal("anonymous")


def authorize(rpc: Rpc, principal: Principal, request: Message | None) -> None:
    """Raise unless the contract lets the principal make the call."""
    if rpc.access is None:
        raise ForbiddenError(principal.name)
    project = project_of(request) if request is not None else ""
    if not principal.holds(rpc.access, project):
        raise ForbiddenError(principal.name, rpc.access.role_name, rpc.access.scope_name)


def project_of(request: Message) -> str:
    """Project that a request names, by field or in a resource name; "" when it names none."""
    fields = request.DESCRIPTOR.fields_by_name
    if "project" in fields:
        return str(getattr(request, "project"))  # noqa: B009  a field known by name only
    for name in ("name", "parent"):
        if name in fields:
            parts = str(getattr(request, name)).split("/")
            return parts[1] if len(parts) > 1 and parts[0] == "projects" else ""
    for one, value in request.ListFields():
        if one.message_type is not None and not one.is_repeated:
            project = project_of(value)
            if project:
                return project
    return ""
