"""The blocking client's two loops: one does a talk, one reads pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

import grpc

from jobplane.client import errors
from jobplane.client._base import ClientBase
from jobplane.client._channel import open_channel
from jobplane.client._methods import method_of
from jobplane.client._status import error_of
from jobplane.client._sync.stream import Frames
from jobplane.client._talk import Pause, Send, Step, Talk, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from google.protobuf.message import Message

    from jobplane.client._page import Pages

T = TypeVar("T")


class Connection(ClientBase):
    """A server, and the two channels to it."""

    def _dial(self) -> None:
        self._channel = open_channel(self._context)
        self._watch_channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def channel(self) -> grpc.Channel:
        """Channel of the unary calls, for stubs of your own."""
        return self._channel

    def close(self) -> None:
        """Cancel every open call and leave the server."""
        self._channel.close()
        if self._watch_channel is not None:
            self._watch_channel.close()

    def _run(self, talk: Talk[T]) -> T:
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
                answer = self._do(step)
            except errors.JobplaneError as error:
                refused = error

    def _walk(self, pages: Pages[T]) -> Iterator[T]:
        """Read page after page, each as it is asked for."""
        while not pages.complete:
            request = pages.request()
            yield from pages.take(self._run(ask(request, method_of(type(request)).answer)))

    def _do(self, step: Step) -> Any:
        try:
            match step:
                case Pause(seconds):
                    return time.sleep(seconds)
                case Send(kind, messages, timeout_s):
                    return self._send(kind, messages, timeout_s)
                case request:
                    return self._call(request)
        except grpc.RpcError as error:
            raise error_of(error) from error

    def _call(self, request: Message) -> Any:
        call = method_of(type(request)).bind(self._channel.unary_unary)
        return call(request, timeout=self._timeout_s, metadata=self._metadata)

    def _send(self, kind: type[Message], messages: Iterator[Message], timeout_s: float) -> Any:
        call = method_of(kind).bind(self._channel.stream_unary)
        return call(messages, timeout=timeout_s, metadata=self._metadata)

    def _open(self, request: Message) -> Frames:
        method = method_of(type(request))
        channel = self._watching() if method.is_watch else self._channel
        call = method.bind(channel.unary_stream)
        return cast("Frames", call(request, metadata=self._metadata))

    def _watching(self) -> grpc.Channel:
        # Watches have a connection of their own: a full one would make unary calls wait.
        if self._watch_channel is None:
            self._watch_channel = open_channel(self._context, own_connection=True)
        return self._watch_channel
