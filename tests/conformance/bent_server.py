"""A proxy before a real server that changes what goes through, as a bug would."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from jobplane.service.contract import service_files
from jobplane.service.rpc.methods import PUBLIC, Rpc, rpcs

RPCS = {
    rpc.path: rpc for rpc in [*rpcs(service_files()), *rpcs([health_pb2.DESCRIPTOR], access=PUBLIC)]
}
# The forwarded call takes a request (or an iterator of them), and gives bytes or an iterator.
Forward = Callable[[Any], Any]
# By method: takes the request and the forwarded call, and gives what the caller shall see.
Bend = Callable[[Any, Forward], Any]


class BentServer:
    """Forwards every call; the bent methods go through a bend."""

    def __init__(self, address: str, **bends: Bend) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self._bends = bends
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Router(self._handler),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)
        await self._channel.close()

    def _handler(self, path: str) -> Any:
        rpc = RPCS[path]
        bend = self._bends.get(rpc.name)

        def forward(context: Any) -> Forward:
            return lambda request: self._forward(rpc, request, context)

        async def answer(request: Any, context: Any) -> Any:
            try:
                call = forward(context)
                return await (bend(request, call) if bend else call(request))
            except grpc.aio.AioRpcError as error:
                await _abort(context, error)

        async def stream(request: Any, context: Any) -> AsyncIterator[bytes]:
            try:
                call = forward(context)
                async for frame in bend(request, call) if bend else call(request):
                    yield frame
            except grpc.aio.AioRpcError as error:
                await _abort(context, error)

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }[rpc.streams_requests, rpc.streams_responses]
        return make(stream if rpc.streams_responses else answer)

    def _forward(self, rpc: Rpc, request: Any, context: Any) -> Any:
        metadata = [
            (key, value)
            for key, value in context.invocation_metadata() or ()
            if key.startswith("x-")
        ]
        make = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, False): self._channel.stream_unary,
        }[rpc.streams_requests, rpc.streams_responses]
        return make(rpc.path)(request, metadata=metadata)


async def _abort(context: Any, error: grpc.aio.AioRpcError) -> None:
    await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))


class _Router(grpc.GenericRpcHandler):
    def __init__(self, handler: Callable[[str], Any]) -> None:
        self._handler = handler

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handler(handler_call_details.method)
