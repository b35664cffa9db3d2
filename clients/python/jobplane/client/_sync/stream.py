"""The blocking shell around streams that resume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import grpc

from jobplane.client._event import Event
from jobplane.client._logs import LogLine
from jobplane.client._sets import JobChange, SetMachine
from jobplane.client._status import error_of
from jobplane.client._steps import Ask, Fail, Interruption, Look, Machine, Read, Stop
from jobplane.client._sync.watchdog import Watchdog
from jobplane.client._watch import WatchMachine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from jobplane.client._sets import WatchedJob
    from jobplane.v1 import job_pb2

Item = TypeVar("Item")


class Frames(Protocol):
    """What a blocking stream of frames can do."""

    def __next__(self) -> Any: ...
    def cancel(self) -> object: ...


class ResumingStream(Iterator[Item], AbstractContextManager["ResumingStream[Item]"], Generic[Item]):
    """Items until the end; goes on by itself after every cut.

    Closing it, or leaving its `with` block, cancels the stream.
    """

    def __init__(
        self,
        machine: Machine[Item],
        open_stream: Callable[[Any], Frames],
        read_job: Callable[[], job_pb2.Job] | None = None,
    ) -> None:
        self._machine = machine
        self._open_stream = open_stream
        self._read_job = read_job
        self._call: Frames | None = None
        self._closed = threading.Event()
        self._watchdog = Watchdog()
        self._items = self._run()

    def __next__(self) -> Item:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel the stream; a reader in another thread ends."""
        self._closed.set()
        self._watchdog.close()
        if self._call is not None:
            self._call.cancel()

    def _run(self) -> Iterator[Item]:
        try:
            while not self._closed.is_set():
                step = self._machine.step(time.monotonic())
                self._notice()
                match step:
                    case Stop():
                        return
                    case Fail(error):
                        raise error
                    case Ask(request, delay_s):
                        self._open(request, delay_s)
                    case Look():
                        if self._read_job is not None:
                            self._machine.looked(self._read_job())
                    case Read(timeout_s):
                        items = self._read(timeout_s)
                        self._notice()
                        yield from items
        finally:
            self.close()

    def _notice(self) -> None:
        """Tell what the machine noted."""

    def _open(self, request: Any, delay_s: float) -> None:
        if self._call is not None:
            self._call.cancel()
        if self._closed.wait(delay_s):
            return
        self._call = self._open_stream(request)
        self._machine.opened(time.monotonic())

    def _read(self, timeout_s: float) -> Sequence[Item]:
        if self._call is None:
            return ()
        self._watchdog.arm(self._call, timeout_s)
        try:
            frame = self._call.__next__()
        except StopIteration:
            self._watchdog.disarm()
            self._machine.ended(time.monotonic())
            return ()
        except grpc.RpcError as error:
            if self._watchdog.disarm():
                self._machine.silent(time.monotonic())
            elif not self._closed.is_set():
                self._machine.failed(error_of(error), time.monotonic())
            return ()
        self._watchdog.disarm()
        return self._machine.received(frame, time.monotonic())


class LogTail(ResumingStream[LogLine]):
    """Lines of a job's log."""


class JobsWatch(ResumingStream[JobChange]):
    """Changes of the jobs that match a filter: first all that match, then what changes."""

    def __init__(self, machine: SetMachine, open_stream: Callable[[Any], Frames]) -> None:
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


class Watch(ResumingStream[Event]):
    """Events of one job until its end; resumes by itself after every cut.

    `job` is the newest whole state that the server sent, the final one once the job has ended.
    """

    def __init__(
        self,
        machine: WatchMachine,
        open_stream: Callable[[Any], Frames],
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
