"""Calls about the server: what it can do, and how much of it each may use, for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobplane.client import _kinds as kinds
from jobplane.client import _quotas as quotas
from jobplane.client import _server as server
from jobplane.client._aio.connection import AsyncConnection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jobplane.v1.kind_service_pb2 import Kind
    from jobplane.v1.quota_service_pb2 import Queue, Quota
    from jobplane.v1.system_service_pb2 import (
        GetDataModeResponse,
        GetModelAgeResponse,
        GetServerInfoResponse,
    )


class AsyncServerCalls(AsyncConnection):
    """Reads what the server is, its kinds, quotas and queues, and sets the latter two."""

    async def server_info(self) -> GetServerInfoResponse:
        """Version, limits and kinds of the server."""
        return await self._run(server.info())

    async def model_age(self, family: str = "", *, project: str = "") -> GetModelAgeResponse:
        """Age of the newest model in production, or of the newest of all; of one family."""
        return await self._run(server.model_age(family, project=project or self.project))

    async def data_mode(self, *, project: str = "") -> GetDataModeResponse:
        """Whether the project works on real data, and which job that rests on."""
        return await self._run(server.data_mode(project=project or self.project))

    def kinds(self) -> AsyncGenerator[Kind, None]:
        """Kinds that the server knows, without their schemas."""
        return self._walk(kinds.listing())

    async def kind(self, kind: str) -> Kind:
        """Kind with the JSON Schema of its parameters."""
        return await self._run(kinds.get(kind))

    async def quota(self, *, project: str = "") -> Quota:
        """Limits of a project, and how much of them is used."""
        return await self._run(quotas.get(project=project or self.project))

    async def update_quota(
        self, limits: Mapping[str, float | None], *, etag: str = "", project: str = ""
    ) -> Quota:
        """Quota with these limits changed and no others; None removes a limit."""
        return await self._run(quotas.update(limits, project=project or self.project, etag=etag))

    def queues(self) -> AsyncGenerator[Queue, None]:
        """Queues with their state and depth, by name."""
        return self._walk(quotas.queues())

    async def set_queue_state(self, queue: str, state: str, *, reason: str = "") -> Queue:
        """Queue that is "open", "cordoned" (takes jobs, starts none) or "closed" (refuses them)."""
        return await self._run(quotas.set_queue_state(queue, state, reason=reason))
