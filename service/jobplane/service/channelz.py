"""grpc.channelz: the server's own channels and sockets, for the eyes of developers."""

from typing import Any, cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import Message
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1._servicer import ChannelzServicer

from jobplane.engine.domain.errors import ResourceNotFoundError
from jobplane.service.rpc.call import Call
from jobplane.service.rpc.methods import Rpc
from jobplane.service.rpc.pipeline import Handler


def channelz_file() -> FileDescriptor:
    """File that declares the service."""
    return cast("FileDescriptor", channelz_pb2.DESCRIPTOR)


class _Outcome:
    """Takes what the servicer says of an error; it knows only how to tell a context."""

    def __init__(self) -> None:
        self.code = grpc.StatusCode.OK
        self.details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Keep the code."""
        self.code = code

    def set_details(self, details: str) -> None:
        """Keep the text."""
        self.details = details


def channelz_handler(rpc: Rpc) -> Handler:
    """Give the handler of one channelz method."""
    ask: Any = getattr(ChannelzServicer, rpc.name)

    async def handle(request: Message, call: Call) -> Message:
        del call
        outcome = _Outcome()
        response: Message | None = ask(request, outcome)
        # Whatever can't be described is not, or is no longer, there.
        if response is None or outcome.code is not grpc.StatusCode.OK:
            raise ResourceNotFoundError(f"channelz: {outcome.details}")
        return response

    return handle
