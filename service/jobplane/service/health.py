"""grpc.health.v1: whether the server and each service take calls."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2 as wire

from jobplane.engine.domain.errors import ResourceNotFoundError
from jobplane.service.rpc.call import Call

OVERALL = ""
# The types that the package ships lag behind its messages.
_newer: Any = wire


class HealthService:
    """Tells the state of services by name; the empty name is the server as a whole."""

    def __init__(self, services: Iterable[str]) -> None:
        names = (OVERALL, *services)
        serving = wire.HealthCheckResponse.SERVING
        self._statuses = dict.fromkeys(names, int(serving))
        self._changed = asyncio.Event()
        self._is_closed = False

    def set_serving(self, *, is_serving: bool) -> None:
        """Change the state of every service, unless the server is shutting down."""
        if not self._is_closed:
            self._set(is_serving=is_serving)

    def close(self) -> None:
        """Say NOT_SERVING for good; watchers are told, then their streams end."""
        self._is_closed = True
        self._set(is_serving=False)

    def _set(self, *, is_serving: bool) -> None:
        response = wire.HealthCheckResponse
        status = response.SERVING if is_serving else response.NOT_SERVING
        self._statuses = dict.fromkeys(self._statuses, int(status))
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(self, request: wire.HealthCheckRequest, call: Call) -> wire.HealthCheckResponse:
        """Tell the state of one service."""
        del call
        status = self._statuses.get(request.service)
        if status is None:
            raise ResourceNotFoundError(request.service)
        return _response(status)

    async def List(self, request: Message, call: Call) -> Message:
        """Tell the state of every service."""
        del request, call
        statuses = {name: _response(status) for name, status in self._statuses.items()}
        response: Message = _newer.HealthListResponse(statuses=statuses)
        return response

    async def Watch(
        self, request: wire.HealthCheckRequest, call: Call
    ) -> AsyncIterator[wire.HealthCheckResponse]:
        """Tell the state of one service whenever it changes."""
        del call
        unknown = int(wire.HealthCheckResponse.SERVICE_UNKNOWN)
        last = None
        while True:
            changed, status = self._changed, self._statuses.get(request.service, unknown)
            if status != last:
                yield _response(status)
                last = status
            if self._is_closed:
                return
            await changed.wait()


def _response(status: int) -> wire.HealthCheckResponse:
    return wire.HealthCheckResponse(status=cast("Any", status))
