"""The asyncio shell around streams that resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import grpc

from jobplane.client._event import Event
from jobplane.client._logs import LogLine
from jobplane.client._sets import JobChange, SetMachine
from jobplane.client._status import error_of
from jobplane.client._steps import Ask, Fail, Interruption, Look, Machine, Read, Stop
from jobplane.client._watch import WatchMachine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from jobplane.client._sets import WatchedJob
    from jobplane.v1 import job_pb2

Item = TypeVar("Item")


class AsyncFrames(Protocol):
    """What a stream of frames under asyncio can do."""

    def __aiter__(self) -> AsyncIterator[Any]: ...
    def cancel(self) -> object: ...


class AsyncResumingStream(
    AsyncIterator[Item], AbstractAsyncContextManager["AsyncResumingStream[Item]"], Generic[Item]
):
    """Items until the end; goes on by itself after every cut.

    Closing it, or leaving its `async with` block, cancels the stream.
    """

    def __init__(
        self,
        machine: Machine[Item],
        open_stream: Callable[[Any], AsyncFrames],
        read_job: Callable[[], Awaitable[job_pb2.Job]] | None = None,
    ) -> None:
        self._machine = machine
        self._open_stream = open_stream
        self._read_job = read_job
        self._closed = False
        self._call: AsyncFrames | None = None
        self._frames: AsyncIterator[Any] | None = None
        self._items = self._run()

    async def __anext__(self) -> Item:
        return await anext(self._items)

    async def __aenter__(self) -> Self:
        return self

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
            await self._items.aclose()

    def _cancel(self) -> None:
        # An abandoned call of grpc.aio is never cancelled by the garbage collector.
        if self._call is not None:
            self._call.cancel()

    async def _run(self) -> AsyncGenerator[Item, None]:
        try:
            while not self._closed:
                step = self._machine.step(time.monotonic())
                self._notice()
                match step:
                    case Stop():
                        return
                    case Fail(error):
                        raise error
                    case Ask(request, delay_s):
                        await self._open(request, delay_s)
                    case Look():
                        if self._read_job is not None:
                            self._machine.looked(await self._read_job())
                    case Read(timeout_s):
                        items = await self._read(timeout_s)
                        self._notice()
                        for item in items:
                            yield item
        finally:
            self._cancel()

    def _notice(self) -> None:
        """Tell what the machine noted."""

    async def _open(self, request: Any, delay_s: float) -> None:
        self._cancel()
        await asyncio.sleep(delay_s)
        self._call = self._open_stream(request)
        self._frames = aiter(self._call)
        self._machine.opened(time.monotonic())

    async def _read(self, timeout_s: float) -> Sequence[Item]:
        if self._frames is None:
            return ()
        try:
            async with asyncio.timeout(timeout_s):
                frame = await anext(self._frames)
        except StopAsyncIteration:
            self._machine.ended(time.monotonic())
            return ()
        except asyncio.CancelledError:
            # Closing from another task cancels the call under the reader.
            if not self._closed:
                raise
            return ()
        except TimeoutError:
            self._machine.silent(time.monotonic())
            return ()
        except grpc.RpcError as error:
            self._machine.failed(error_of(error), time.monotonic())
            return ()
        return self._machine.received(frame, time.monotonic())


class AsyncLogTail(AsyncResumingStream[LogLine]):
    """Lines of a job's log."""


class AsyncJobsWatch(AsyncResumingStream[JobChange]):
    """Changes of the jobs that match a filter: first all that match, then what changes."""

    def __init__(self, machine: SetMachine, open_stream: Callable[[Any], AsyncFrames]) -> None:
        super().__init__(machine, open_stream)
        self._set = machine

    @property
    def jobs(self) -> Mapping[str, WatchedJob]:
        """Jobs that match, by full name, as they were last told."""
        return self._set.jobs

    @property
    def synced(self) -> bool:
        """Whether all jobs that matched at the start were told."""
        return self._set.synced

    @property
    def cursor(self) -> str:
        """Text to come back with."""
        return self._set.cursor


class AsyncWatch(AsyncResumingStream[Event]):
    """Events of one job until its end; resumes by itself after every cut.

    `job` is the newest whole state that the server sent, the final one once the job has ended.
    """

    def __init__(
        self,
        machine: WatchMachine,
        open_stream: Callable[[Any], AsyncFrames],
        on_interruption: Callable[[Interruption], None] | None = None,
    ) -> None:
        super().__init__(machine, open_stream)
        self._watch = machine
        self._tell = on_interruption

    @property
    def job(self) -> job_pb2.Job | None:
        """Newest whole state that the server sent."""
        return self._watch.job

    @property
    def cursor(self) -> int | None:
        """Sequence to come back with as `after_sequence`."""
        return self._watch.cursor

    def _notice(self) -> None:
        pending, self._watch.interruptions = self._watch.interruptions, []
        for interruption in pending:
            if self._tell is not None:
                self._tell(interruption)
