"""What groups of calls ask of the client that they are part of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import grpc
    import grpc.aio
    from google.protobuf.message import Message

    _Request = TypeVar("_Request", bound=Message)
    _Response = TypeVar("_Response")


class Caller(ABC):
    """Makes unary calls: typed errors, a time limit, repeats where those are safe."""

    @property
    @abstractmethod
    def project(self) -> str:
        """Project that ids without one belong to."""

    @property
    @abstractmethod
    def channel(self) -> grpc.Channel:
        """Channel of the unary calls."""

    @abstractmethod
    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[_Request, _Response], request: _Request
    ) -> _Response: ...


class AsyncCaller(ABC):
    """The same for asyncio."""

    @property
    @abstractmethod
    def project(self) -> str:
        """Project that ids without one belong to."""

    @property
    @abstractmethod
    def channel(self) -> grpc.aio.Channel:
        """Channel of the unary calls."""

    @abstractmethod
    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response], request: _Request
    ) -> _Response: ...
