"""The way of every call: identify, decode, authorize, check, handle, answer, log."""

# The stubs of grpc are half untyped.
# pyright: standard

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from jobplane.engine.domain.errors import (
    DrainingError,
    EngineError,
    NotEnabledError,
    SlowConsumerError,
)
from jobplane.service.refusals import ForbiddenError
from jobplane.service.rpc.auth import ANONYMOUS, Authenticator, Principal, authorize
from jobplane.service.rpc.call import Call
from jobplane.service.rpc.chunks import plain_chunk
from jobplane.service.rpc.decoding import check, parse
from jobplane.service.rpc.methods import Rpc
from jobplane.service.status import DETAILS_KEY, Refusal, bug, refuse

REQUEST_ID = "x-request-id"
VERSION = "x-jobplane-version"

_log = logging.getLogger("jobplane.rpc")
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:-]{1,64}")

# A handler takes a request (or an iterator of them) and the call. It gives one response,
# or an async iterator of them; a response may be bytes that are encoded already.
Handler = Callable[[Any, Call], Any]
Exchange = Callable[[Call, Any, Handler | None, Any], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """What every call is subject to."""

    version: str
    slow_consumer_s: float
    show_bugs: bool


class Pipeline:
    """Makes grpc handlers out of ours."""

    def __init__(
        self,
        settings: PipelineSettings,
        authenticator: Authenticator,
        new_request_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._new_request_id = new_request_id
        self._writes: set[asyncio.Timeout] = set()
        self._is_draining = False

    def handler(self, rpc: Rpc, handle: Handler | None) -> "grpc.RpcMethodHandler[Any, Any]":
        """Give what grpc calls for one method; without `handle` the method is not enabled."""

        async def answer(raw: Any, context: Any) -> bytes | None:
            call = self._call(rpc, context)
            response, refusal = await self._run(call, context, self._one, handle, raw)
            if refusal is not None:
                # An abort leaves this frame in a cycle with the context: let the request go.
                del raw
                await self._abort(context, call, refusal)
            return response

        async def stream(raw: Any, context: Any) -> None:
            call = self._call(rpc, context)
            _, refusal = await self._run(call, context, self._many, handle, raw)
            if refusal is not None:
                del raw
                await self._abort(context, call, refusal)

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[rpc.streams_requests, rpc.streams_responses]
        return make(stream if rpc.streams_responses else answer)

    def cut_blocked_streams(self) -> None:
        """End every stream whose reader does not take its last frame: DRAINING."""
        self._is_draining = True
        now = asyncio.get_running_loop().time()
        for write in self._writes:
            # One that has just run out can't be told again.
            with suppress(RuntimeError):
                write.reschedule(now)

    async def _run(
        self, call: Call, context: Any, exchange: Exchange, handle: Handler | None, raw: Any
    ) -> tuple[bytes | None, Refusal | None]:
        """Give the response or the refusal, and write the log line."""
        started = time.perf_counter()
        code, reason = grpc.StatusCode.OK, ""
        try:
            context.set_trailing_metadata(self._trailers(call))
            return await exchange(call, context, handle, raw), None
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001  the edge of the process
            # Whatever goes wrong, the caller is told.
            refusal = self._refusal(error, call)
            code, reason = refusal.code, refusal.reason
            return None, refusal
        finally:
            self._log_call(call, code, reason, time.perf_counter() - started)

    def _call(self, rpc: Rpc, context: Any) -> Call:
        metadata = {
            key: value
            for key, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        }
        wished = metadata.get(REQUEST_ID, "")
        request_id = wished if _REQUEST_ID_FORM.fullmatch(wished) else self._new_request_id()
        return Call(rpc, request_id, metadata, context.peer())

    async def _one(self, call: Call, _context: Any, handle: Handler | None, raw: Any) -> bytes:
        call.principal = await self._identify(call)
        if handle is None:
            raise _not_enabled(call)
        request = self._admit(call, raw)
        return _encoded(await handle(request, call))

    async def _many(self, call: Call, context: Any, handle: Handler | None, raw: Any) -> None:
        call.principal = await self._identify(call)
        if handle is None:
            raise _not_enabled(call)
        request = self._admit(call, raw)
        await context.send_initial_metadata(self._trailers(call))
        async with aclosing(handle(request, call)) as responses:
            async for response in responses:
                await self._write(call, context, _encoded(response))

    def _admit(self, call: Call, raw: Any) -> Any:
        """Give the checked request, or an iterator of them, of a caller who may make the call."""
        if call.rpc.streams_requests:
            return self._requests(call, raw)
        return self._checked(call, raw)

    async def _identify(self, call: Call) -> Principal:
        if call.rpc.access is not None and call.rpc.access.is_public:
            return ANONYMOUS
        return await self._authenticator.authenticate(call.metadata, call.peer)

    def _checked(self, call: Call, data: bytes, *, is_first: bool = True) -> Message:
        message = parse(data, call.rpc.request)
        if is_first:
            authorize(call.rpc, call.principal, message)
        check(message, data)
        return message

    async def _requests(
        self, call: Call, raw: AsyncIterator[bytes]
    ) -> AsyncIterator[Message | memoryview]:
        """Only the first message of an upload names the project."""
        is_first = True
        async for data in raw:
            chunk = None if is_first else plain_chunk(data, call.rpc.request)
            yield self._checked(call, data, is_first=is_first) if chunk is None else chunk
            is_first = False

    async def _write(self, call: Call, context: Any, data: bytes) -> None:
        """Write, but wait for a reader no longer than it may sleep."""
        try:
            async with asyncio.timeout(self._settings.slow_consumer_s) as limit:
                self._writes.add(limit)
                try:
                    await context.write(data)
                finally:
                    self._writes.discard(limit)
        except TimeoutError:
            if self._is_draining:
                raise DrainingError from None
            raise SlowConsumerError(call.cursor) from None

    def _refusal(self, error: Exception, call: Call) -> Refusal:
        refusal = refuse(error) if isinstance(error, EngineError) else None
        if refusal is None:
            fields = {"method": call.rpc.path, "request_id": call.request_id}
            _log.error("rpc.bug", exc_info=error, extra=fields)
            refusal = bug(error, call.request_id, show=self._settings.show_bugs)
        return refusal

    async def _abort(self, context: Any, call: Call, refusal: Refusal) -> None:
        trailers = (*self._trailers(call), (DETAILS_KEY, refusal.details))
        await context.abort(refusal.code, refusal.message, trailing_metadata=trailers)

    def _trailers(self, call: Call) -> tuple[tuple[str, str], ...]:
        return ((REQUEST_ID, call.request_id), (VERSION, self._settings.version))

    def _log_call(self, call: Call, code: grpc.StatusCode, reason: str, duration_s: float) -> None:
        fields = {
            "method": call.rpc.path,
            "code": code.name,
            "reason": reason,
            "duration_ms": round(duration_s * 1000, 2),
            "request_id": call.request_id,
            "principal": call.principal.name,
        }
        _log.info("rpc.done", extra=fields)


def _not_enabled(call: Call) -> EngineError:
    """Give the refusal of a method that is not built; without a role nobody learns even that."""
    if call.rpc.access is None:
        return ForbiddenError(call.principal.name)
    return NotEnabledError(call.rpc.path)


def _encoded(response: Message | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


class Router(grpc.GenericRpcHandler):
    """Finds the handler of a method; unknown methods of ours are told as not enabled."""

    def __init__(
        self,
        handlers: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]",
        absent: "Callable[[str], grpc.RpcMethodHandler[Any, Any]]",
    ) -> None:
        self._handlers = handlers
        self._absent = absent

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Give the handler of a path, or None for what is not ours."""
        path = handler_call_details.method
        with suppress(KeyError):
            return self._handlers[path]
        return self._absent(path) if path.startswith("/jobplane.") else None
