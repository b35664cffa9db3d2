"""A real grpc server over the fake engine, and raw calls to it."""

from dataclasses import dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from jobplane.service.rpc.auth import Authenticator, DevAuthenticator
from jobplane.service.server import Server
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.v1 import error_details_pb2 as our_details
from tests.service.fake_engine import START, FakeEngine, FakeHouse
from tests.service.loop_thread import LoopThread

CALL_TIMEOUT_S = 10.0
DETAILS = {
    message.DESCRIPTOR.full_name: message
    for message in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RequestInfo,
        error_details_pb2.DebugInfo,
        error_details_pb2.Help,
        error_details_pb2.PreconditionFailure,
        error_details_pb2.QuotaFailure,
        our_details.PartialAnswer,
    )
}


@dataclass(frozen=True)
class Refused:
    """An error as a client sees it."""

    code: str
    message: str
    details: dict[str, Any]
    trailers: dict[str, Any]

    @property
    def reason(self) -> str:
        return self.details["ErrorInfo"].reason if "ErrorInfo" in self.details else ""

    @property
    def metadata(self) -> dict[str, str]:
        return dict(self.details["ErrorInfo"].metadata)

    @property
    def fields(self) -> list[str]:
        return [one.field for one in self.details["BadRequest"].field_violations]

    @classmethod
    def of(cls, error: grpc.RpcError) -> "Refused":
        trailers = dict(error.trailing_metadata() or ())
        status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
        return cls(error.code().name, error.details() or "", unpacked(status), trailers)


def unpacked(status: status_pb2.Status) -> dict[str, Any]:
    found = {}
    for detail in status.details:
        message = DETAILS[detail.type_url.rpartition("/")[2]]()
        assert detail.Unpack(message)
        found[message.DESCRIPTOR.name] = message
    return found


class RunningServer:
    def __init__(
        self,
        thread: LoopThread,
        settings: ServiceSettings | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._thread = thread
        self.engine: FakeEngine = thread.run(_make(FakeEngine))
        self.house = FakeHouse(self.engine)
        facts = ServerFacts("1.2.3", "local", "sqlite", START)
        self.server = Server(
            settings or ServiceSettings(port=0, dev=True),
            self.house,
            facts,
            authenticator or DevAuthenticator(),
        )
        self.port = thread.run(self.server.start())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}")
        self._is_stopped = False

    def stop(self) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            self._thread.run(self.server.stop())

    def close(self) -> None:
        self.channel.close()
        self.stop()

    def call(self, path: str, request: Any = b"", **options: Any) -> bytes:
        """Give the response of a unary call, as bytes; raises grpc.RpcError."""
        method = self.channel.unary_unary(path)
        return method(as_bytes(request), timeout=CALL_TIMEOUT_S, **options)

    def refusal(self, path: str, request: Any = b"", **options: Any) -> Refused:
        """Give the error of a unary call."""
        try:
            self.call(path, request, **options)
        except grpc.RpcError as error:
            return Refused.of(error)
        raise AssertionError(f"{path} was not refused")

    def stream(self, path: str, request: Any = b"", **options: Any) -> Any:
        options.setdefault("timeout", CALL_TIMEOUT_S)
        return self.channel.unary_stream(path)(as_bytes(request), **options)

    def run(self, coroutine: Any) -> Any:
        return self._thread.run(coroutine)


def as_bytes(request: Any) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


async def _make(factory: Any) -> Any:
    """Make something that belongs to the loop."""
    return factory()
