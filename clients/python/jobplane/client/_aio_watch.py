"""The asyncio shell around the watch machine."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Protocol

import grpc

from jobplane.client._requests import watch_request
from jobplane.client._status import error_of
from jobplane.client._steps import Fail, Interruption, Open, Read, Stop, WatchPlan
from jobplane.client._watch import WatchMachine

if TYPE_CHECKING:
    from types import TracebackType

    from jobplane.client._event import Event
    from jobplane.v1 import job_pb2, job_service_pb2

    OpenStream = Callable[[job_service_pb2.WatchJobRequest], "AsyncStream"]


class AsyncStream(Protocol):
    """What a stream of frames under asyncio can do."""

    def __aiter__(self) -> AsyncIterator[job_service_pb2.WatchJobResponse]: ...
    def cancel(self) -> object: ...


class AsyncWatch(AsyncIterator["Event"], AbstractAsyncContextManager["AsyncWatch"]):
    """Events of one job until its end; resumes by itself after every cut.

    Closing it, or leaving its `async with` block, cancels the stream. `job` is the newest
    whole state that the server sent, the final one once the job has ended.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        name: str,
        *,
        plan: WatchPlan,
        after_sequence: int | None,
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> None:
        self._open_stream = open_stream
        self._name = name
        self._plan = plan
        self._tell = on_interruption
        self._closed = False
        self._call: AsyncStream | None = None
        self._frames: AsyncIterator[job_service_pb2.WatchJobResponse] | None = None
        self._machine = WatchMachine(
            name,
            plan=plan,
            after_sequence=after_sequence,
            now=time.monotonic(),
            jitter=random.random,
        )
        self._events = self._run()

    @property
    def job(self) -> job_pb2.Job | None:
        """Newest whole state that the server sent."""
        return self._machine.job

    @property
    def cursor(self) -> int | None:
        """Sequence to come back with as `after_sequence`."""
        return self._machine.cursor

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the stream."""
        self._closed = True
        self._cancel()
        # A reader in another task still runs the generator, and ends by itself.
        with suppress(RuntimeError):
            await self._events.aclose()

    def _cancel(self) -> None:
        # An abandoned call of grpc.aio is never cancelled by the garbage collector.
        if self._call is not None:
            self._call.cancel()

    async def _run(self) -> AsyncGenerator[Event, None]:
        try:
            while not self._closed:
                step = self._machine.step(time.monotonic())
                self._tell_interruptions()
                match step:
                    case Stop():
                        return
                    case Fail(error):
                        raise error
                    case Open(after_sequence, delay_s):
                        await self._open(after_sequence, delay_s)
                    case Read(timeout_s):
                        events = await self._read(timeout_s)
                        self._tell_interruptions()
                        for event in events:
                            yield event
        finally:
            self._cancel()

    async def _open(self, after_sequence: int | None, delay_s: float) -> None:
        self._cancel()
        await asyncio.sleep(delay_s)
        self._call = self._open_stream(watch_request(self._name, self._plan, after_sequence))
        self._frames = aiter(self._call)
        self._machine.opened(time.monotonic())

    async def _read(self, timeout_s: float) -> list[Event]:
        if self._frames is None:
            return []
        try:
            async with asyncio.timeout(timeout_s):
                frame = await anext(self._frames)
        except StopAsyncIteration:
            self._machine.ended(time.monotonic())
            return []
        except asyncio.CancelledError:
            # Closing from another task cancels the call under the reader.
            if not self._closed:
                raise
            return []
        except TimeoutError:
            self._machine.silent(time.monotonic())
            return []
        except grpc.RpcError as error:
            self._machine.failed(error_of(error), time.monotonic())
            return []
        return self._machine.received(frame, time.monotonic())

    def _tell_interruptions(self) -> None:
        pending, self._machine.interruptions = self._machine.interruptions, []
        for interruption in pending:
            if self._tell is not None:
                self._tell(interruption)
