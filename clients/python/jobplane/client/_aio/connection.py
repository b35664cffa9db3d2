"""The asyncio client's two loops: one does a talk, one reads pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc
import grpc.aio

from jobplane.client import errors
from jobplane.client._aio.stream import AsyncFrames
from jobplane.client._base import ClientBase
from jobplane.client._channel import open_aio_channel
from jobplane.client._methods import method_of
from jobplane.client._status import error_of, lost
from jobplane.client._talk import Pause, Send, Step, Talk, ask

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from types import TracebackType
    from typing import Self

    from google.protobuf.message import Message

    from jobplane.client._page import Pages

T = TypeVar("T")


class AsyncConnection(ClientBase):
    """A server, and the two channels to it."""

    def _dial(self) -> None:
        self._channel = open_aio_channel(self._context)
        self._watch_channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """Channel of the unary calls, for stubs of your own."""
        return self._channel

    async def close(self) -> None:
        """Cancel every open call and leave the server."""
        await self._channel.close()
        if self._watch_channel is not None:
            await self._watch_channel.close()

    async def _run(self, talk: Talk[T]) -> T:
        """Do what a talk says, step by step, and give what it comes to."""
        answer: Any = None
        refused: errors.JobplaneError | None = None
        while True:
            try:
                step = talk.send(answer) if refused is None else talk.throw(refused)
            except StopIteration as end:
                return cast("T", end.value)
            answer, refused = None, None
            try:
                answer = await self._do(step)
            except errors.JobplaneError as error:
                refused = error

    async def _walk(self, pages: Pages[T]) -> AsyncGenerator[T, None]:
        """Read page after page, each as it is asked for."""
        while not pages.complete:
            request = pages.request()
            page = await self._run(ask(request, method_of(type(request)).answer))
            for item in pages.take(page):
                yield item

    async def _do(self, step: Step) -> Any:
        try:
            match step:
                case Pause(seconds):
                    return await asyncio.sleep(seconds)
                case Send(kind, messages, timeout_s):
                    return await self._send(kind, messages, timeout_s)
                case request:
                    return await self._call(request)
        except grpc.RpcError as error:
            raise error_of(error) from error

    async def _call(self, request: Message) -> Any:
        call = method_of(type(request)).bind(self._channel.unary_unary)
        return await call(request, timeout=self._timeout_s, metadata=self._metadata)

    async def _send(
        self, kind: type[Message], messages: Iterator[Message], timeout_s: float
    ) -> Any:
        call = method_of(kind).bind(self._channel.stream_unary)
        try:
            return await call(messages, timeout=timeout_s, metadata=self._metadata)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # grpc cancels a call of its own when the connection breaks under its last message.
            raise lost("the connection broke while sending") from None

    def _open(self, request: Message) -> AsyncFrames:
        method = method_of(type(request))
        channel = self._watching() if method.is_watch else self._channel
        call = method.bind(channel.unary_stream)
        return cast("AsyncFrames", call(request, metadata=self._metadata))

    def _watching(self) -> grpc.aio.Channel:
        # Watches have a connection of their own: a full one would make unary calls wait.
        if self._watch_channel is None:
            self._watch_channel = open_aio_channel(self._context, own_connection=True)
        return self._watch_channel


def _is_cancelled() -> bool:
    """Whether somebody wants the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
