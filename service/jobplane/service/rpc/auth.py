"""Who calls, and what they may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import Message

from jobplane.service.contract import PACKAGE
from jobplane.service.refusals import ForbiddenError
from jobplane.service.rpc.methods import Access, Rpc
from jobplane.v1 import options_pb2 as options

ALL_PROJECTS = "-"
_NAME_FIELDS = frozenset({"name", "parent"})
_PREFIX = "projects/"
_SPEC = f"{PACKAGE}.JobSpec"


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


def authorize(rpc: Rpc, principal: Principal, request: Message) -> None:
    """Raise unless the contract lets the principal make the call, in every project it names."""
    if rpc.access is None:
        raise ForbiddenError(principal.name)
    projects = projects_of(request) if rpc.access.in_project else set[str]()
    if not all(principal.holds(rpc.access, project) for project in projects or {""}):
        raise ForbiddenError(principal.name, rpc.access.role_name, rpc.access.scope_name)


def projects_of(request: Message) -> set[str]:
    """Projects that a request is about, by field or in resource names."""
    found: set[str] = set()
    for part, value in request.ListFields():
        if part.is_repeated:
            continue
        if part.message_type is not None:
            if _names_projects(part.message_type.full_name):
                found |= projects_of(value)
        elif part.name == "project":
            found.add(value)
        elif part.name in _NAME_FIELDS and value.startswith(_PREFIX):
            found.add(value.removeprefix(_PREFIX).partition("/")[0])
    return found


def _names_projects(message: str) -> bool:
    """Whether names in a message are our resources; a spec may name what it likes."""
    return message.startswith(f"{PACKAGE}.") and message != _SPEC
