"""The composition root: builds the grpc server and joins everything to it."""

# The stubs of grpc are half untyped.
# pyright: standard

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2

from jobplane.service.artifacts import ArtifactService
from jobplane.service.batches import JobBatches
from jobplane.service.batches_port import HasBatches
from jobplane.service.contract import service_files
from jobplane.service.datasets import DatasetService
from jobplane.service.health import HealthService
from jobplane.service.job_changes import JobChanges
from jobplane.service.jobs import JobService
from jobplane.service.kinds import KindService
from jobplane.service.library_port import HasLibrary
from jobplane.service.port import ChangePort, EnginePort, HousePort, PlannedPort
from jobplane.service.quota import QuotaService
from jobplane.service.rpc.auth import Authenticator
from jobplane.service.rpc.methods import PUBLIC, SERVER_VIEWER, Rpc, rpcs
from jobplane.service.rpc.pipeline import Handler, Pipeline, PipelineSettings, Router
from jobplane.service.schedule_port import HasSchedules
from jobplane.service.schedules import ScheduleService
from jobplane.service.seats import Seats
from jobplane.service.settings import ServiceSettings
from jobplane.service.streams import JobStreams
from jobplane.service.streams_port import HasStreams
from jobplane.service.system import ServerFacts, SystemService

# By service, the objects that have its methods.
Servicers = Mapping[str, tuple[object, ...]]

_READINESS_INTERVAL_S = 2.0


class Server:
    """The grpc server over one engine: started once, stopped once."""

    def __init__(
        self,
        settings: ServiceSettings,
        house: HousePort,
        facts: ServerFacts,
        authenticator: Authenticator,
    ) -> None:
        self._settings = settings
        self._house = house
        self._facts = facts
        self._pipeline = Pipeline(
            PipelineSettings(
                version=facts.version,
                slow_consumer_s=settings.slow_consumer_s,
                show_bugs=settings.dev,
            ),
            authenticator,
            new_request_id=lambda: uuid4().hex,
        )

    async def start(self) -> int:
        """Take calls; gives the port. Raises OSError when the address can't be had."""
        refuse_open_address(self._settings)
        self.engine = await self._house.start()
        servicers = self._servicers(self.engine)
        self.health = HealthService(servicers)
        self._grpc = grpc.aio.server(options=self._settings.channel_options())
        self._grpc.add_generic_rpc_handlers((self._router(servicers),))
        port = _bind(self._grpc, self._settings.host, self._settings.port)
        await self._grpc.start()
        self._readiness = asyncio.create_task(self._readiness_timer_loop())
        return port

    async def is_ready(self) -> bool:
        """Whether jobs can be submitted now."""
        return await self.engine.is_ready()

    async def stop(self) -> None:
        """Say so, let watches take their last frame, end calls, then stop the engine."""
        self._readiness.cancel()
        with suppress(asyncio.CancelledError):
            await self._readiness
        self.health.close()
        await self._house.drain()
        await self._end_streams()
        await self._grpc.stop(self._settings.grace_s)
        await self._house.stop(self._settings.grace_s)

    async def _end_streams(self) -> None:
        """Give watches time to take their last frame, then cut those that don't."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_s):
                await self.jobs.seats.wait_empty()
        self._pipeline.cut_blocked_streams()

    async def _readiness_timer_loop(self) -> None:
        while True:
            self.health.set_serving(is_serving=await self.engine.is_ready())
            await asyncio.sleep(_READINESS_INTERVAL_S)

    def _servicers(self, engine: EnginePort) -> Servicers:
        """Give what answers for each service that is built; the others answer NOT_ENABLED."""
        self.jobs = JobService(engine, self._settings)
        changes = (JobChanges(engine),) if isinstance(engine, ChangePort) else ()
        quotas = (QuotaService(engine.planning),) if isinstance(engine, PlannedPort) else ()
        system = SystemService(engine, self._settings, self._facts, now=lambda: datetime.now(UTC))
        return {
            **_library_servicers(engine),
            "jobplane.v1.JobService": (
                self.jobs,
                *changes,
                *_streams(engine, self._settings, self.jobs.seats),
                *_batches(engine, self._settings),
            ),
            "jobplane.v1.KindService": (KindService(engine),),
            "jobplane.v1.QuotaService": quotas,
            "jobplane.v1.ScheduleService": _schedule_servicers(engine),
            "jobplane.v1.SystemService": (system,),
        }

    def _router(self, servicers: Servicers) -> Router:
        handlers = {
            rpc.path: self._pipeline.handler(rpc, _method(servicers.get(rpc.service, ()), rpc))
            for rpc in rpcs(service_files())
        }
        for rpc, handle in self._foreign():
            handlers[rpc.path] = self._pipeline.handler(rpc, handle)
        return Router(handlers, self._unknown)

    def _foreign(self) -> Iterable[tuple[Rpc, Handler]]:
        """Give the services that every grpc server has; their contracts name no roles."""
        for rpc in rpcs([health_pb2.DESCRIPTOR], access=PUBLIC):
            yield rpc, getattr(self.health, rpc.name)
        if self._settings.reflection:
            yield from _reflection()
        if self._settings.dev:
            yield from _channelz()

    def _unknown(self, path: str) -> "grpc.RpcMethodHandler[Any, Any]":
        _, service, name = path.split("/", 2) if path.count("/") > 1 else ("", path, "")
        rpc = Rpc(service, name, Empty, True, True, PUBLIC)
        return self._pipeline.handler(rpc, None)


def refuse_open_address(settings: ServiceSettings) -> None:
    """Raise OSError where everybody who may do all is more than this machine."""
    if settings.dev and not is_loopback(settings.host):
        raise OSError(f"{settings.host} is not a loopback address, and dev mode is open to all")


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _library_servicers(engine: EnginePort) -> Servicers:
    """Give what answers for content; nothing where the engine keeps none."""
    if not isinstance(engine, HasLibrary):
        return {}
    return {
        "jobplane.v1.ArtifactService": (ArtifactService(engine.library),),
        "jobplane.v1.DatasetService": (DatasetService(engine.library.datasets),),
    }


def _schedule_servicers(engine: EnginePort) -> tuple[object, ...]:
    """Give what answers for schedules; nothing where the engine has none."""
    return (ScheduleService(engine.schedules),) if isinstance(engine, HasSchedules) else ()


def _streams(engine: EnginePort, settings: ServiceSettings, seats: Seats) -> tuple[JobStreams, ...]:
    if not isinstance(engine, HasStreams):
        return ()
    return (JobStreams(engine.streams, settings, seats),)


def _batches(engine: EnginePort, settings: ServiceSettings) -> tuple[JobBatches, ...]:
    return (JobBatches(engine.batches, settings),) if isinstance(engine, HasBatches) else ()


def _method(servicers: Iterable[object], rpc: Rpc) -> Handler | None:
    """Give what answers a method, if the build has it."""
    for servicer in servicers:
        handle: Handler | None = getattr(servicer, rpc.name, None)
        if handle is not None:
            return handle
    return None


def _reflection() -> Iterable[tuple[Rpc, Handler]]:
    # Imported only where it is served.
    from jobplane.service.reflection import ReflectionService, reflection_rpcs  # noqa: PLC0415

    served = {rpc.service for rpc in rpcs([*service_files(), health_pb2.DESCRIPTOR])}
    asked = reflection_rpcs()
    service = ReflectionService(served | {rpc.service for rpc in asked})
    for rpc in asked:
        yield rpc, service.ServerReflectionInfo


def _channelz() -> Iterable[tuple[Rpc, Handler]]:
    # Imported only where it is served.
    from jobplane.service.channelz import channelz_file, channelz_handler  # noqa: PLC0415

    for rpc in rpcs([channelz_file()], access=SERVER_VIEWER):
        yield rpc, channelz_handler(rpc)


def _bind(server: grpc.aio.Server, host: str, port: int) -> int:
    try:
        return server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"{host}:{port} can't be had: is it taken?") from error
