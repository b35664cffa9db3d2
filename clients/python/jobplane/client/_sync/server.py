"""Calls about the server: what it can do, and how much of it each may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import _kinds as kinds
from jobplane.client import _quotas as quotas
from jobplane.client import _server as server
from jobplane.client._sync.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobplane.v1.kind_service_pb2 import Kind
    from jobplane.v1.quota_service_pb2 import Queue, Quota
    from jobplane.v1.system_service_pb2 import (
        GetDataModeResponse,
        GetModelAgeResponse,
        GetServerInfoResponse,
    )


class ServerCalls(Connection):
    """Reads what the server is, its kinds, quotas and queues, and sets the latter two."""

    def server_info(self) -> GetServerInfoResponse:
        """Version, limits and kinds of the server."""
        return self._run(server.info())

    def model_age(self, family: str = "", *, project: str = "") -> GetModelAgeResponse:
        """Age of the newest model in production, or of the newest of all; of one family."""
        return self._run(server.model_age(family, project=project or self.project))

    def data_mode(self, *, project: str = "") -> GetDataModeResponse:
        """Whether the project works on real data, and which job that rests on."""
        return self._run(server.data_mode(project=project or self.project))

    def kinds(self) -> Iterator[Kind]:
        """Kinds that the server knows, without their schemas."""
        return self._walk(kinds.listing())

    def kind(self, kind: str) -> Kind:
        """Kind with the JSON Schema of its parameters."""
        return self._run(kinds.get(kind))

    def quota(self, *, project: str = "") -> Quota:
        """Limits of a project, and how much of them is used."""
        return self._run(quotas.get(project=project or self.project))

    def update_quota(
        self, limits: Mapping[str, float | None], *, etag: str = "", project: str = ""
    ) -> Quota:
        """Quota with these limits changed and no others; None removes a limit."""
        return self._run(quotas.update(limits, project=project or self.project, etag=etag))

    def queues(self) -> Iterator[Queue]:
        """Queues with their state and depth, by name."""
        return self._walk(quotas.queues())

    def set_queue_state(self, queue: str, state: str, *, reason: str = "") -> Queue:
        """Queue that is "open", "cordoned" (takes jobs, starts none) or "closed" (refuses them)."""
        return self._run(quotas.set_queue_state(queue, state, reason=reason))
