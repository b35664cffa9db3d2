"""The server of a test: the real one, whose calls go wrong where the test says so."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

from jobplane.engine.domain.errors import BackendUnavailableError
from jobplane.service.contract import service_files
from jobplane.service.port import EnginePort
from jobplane.service.rpc.auth import DevAuthenticator
from jobplane.service.rpc.call import Call
from jobplane.service.rpc.methods import rpcs
from jobplane.service.server import Server, Servicers
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.testing.faults import Faults

Handler = Callable[[Any, Call], Any]


class FaultyServer(Server):
    """The grpc server, with faults between it and what answers."""

    def __init__(
        self, settings: ServiceSettings, house: Any, facts: ServerFacts, faults: Faults
    ) -> None:
        super().__init__(settings, house, facts, DevAuthenticator())
        self._faults = faults
        faults.know(frozenset(rpc.name for rpc in rpcs(service_files())))

    def _servicers(self, engine: EnginePort) -> Servicers:
        return {
            service: (FaultyServicer(servicers, self._faults),)
            for service, servicers in super()._servicers(engine).items()
        }


class FaultyServicer:
    """The methods of some servicers, each with its faults before it."""

    def __init__(self, servicers: Iterable[object], faults: Faults) -> None:
        streaming = {rpc.name for rpc in rpcs(service_files()) if rpc.streams_responses}
        for servicer in servicers:
            for name in dir(servicer):
                # The methods of the contract are the ones with names in capitals.
                if name[0].isupper() and not hasattr(self, name):
                    wrap = _stream if name in streaming else _unary
                    setattr(self, name, wrap(name, getattr(servicer, name), faults))


def _unary(name: str, handle: Handler, faults: Faults) -> Handler:
    async def handle_with_faults(request: Any, call: Call) -> Any:
        fault = faults.take(name)
        await asyncio.sleep(fault.delay_s)
        if fault.is_refused:
            raise _unavailable("a test has it refused")
        answer = await handle(request, call)
        if fault.is_answer_lost:
            raise _unavailable("a test has its answer lost")
        return answer

    return handle_with_faults


def _stream(name: str, handle: Handler, faults: Faults) -> Handler:
    async def stream_with_faults(request: Any, call: Call) -> AsyncIterator[Any]:
        fault = faults.take(name)
        await asyncio.sleep(fault.delay_s)
        if fault.is_refused or fault.cut_after == 0:
            raise _unavailable("a test has it refused")
        sent = 0
        async with aclosing(handle(request, call)) as messages:
            async for message in messages:
                yield message
                sent += 1
                if sent == fault.cut_after:
                    raise _unavailable(f"a test has it cut after {sent} messages")

    return stream_with_faults


def _unavailable(why: str) -> BackendUnavailableError:
    # At once, so that tests are quick.
    return BackendUnavailableError(why, retry_after_s=0.0)
