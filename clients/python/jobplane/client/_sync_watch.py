"""The blocking shell around the watch machine."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import grpc

from jobplane.client._requests import watch_request
from jobplane.client._status import error_of
from jobplane.client._steps import Fail, Interruption, Open, Read, Stop, WatchPlan
from jobplane.client._watch import WatchMachine
from jobplane.client._watchdog import Watchdog

if TYPE_CHECKING:
    from types import TracebackType

    from jobplane.client._event import Event
    from jobplane.v1 import job_pb2, job_service_pb2

    OpenStream = Callable[[job_service_pb2.WatchJobRequest], "Stream"]


class Stream(Protocol):
    """What a blocking stream of frames can do."""

    def __next__(self) -> job_service_pb2.WatchJobResponse: ...
    def cancel(self) -> object: ...


class Watch(Iterator["Event"], AbstractContextManager["Watch"]):
    """Events of one job until its end; resumes by itself after every cut.

    Closing it, or leaving its `with` block, cancels the stream. `job` is the newest whole
    state that the server sent, the final one once the job has ended.
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
        self._call: Stream | None = None
        self._closed = threading.Event()
        self._watchdog = Watchdog()
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

    def __next__(self) -> Event:
        return next(self._events)

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

    def _run(self) -> Iterator[Event]:
        try:
            while not self._closed.is_set():
                step = self._machine.step(time.monotonic())
                self._tell_interruptions()
                match step:
                    case Stop():
                        return
                    case Fail(error):
                        raise error
                    case Open(after_sequence, delay_s):
                        self._open(after_sequence, delay_s)
                    case Read(timeout_s):
                        events = self._read(timeout_s)
                        self._tell_interruptions()
                        yield from events
        finally:
            self.close()

    def _open(self, after_sequence: int | None, delay_s: float) -> None:
        if self._call is not None:
            self._call.cancel()
        if self._closed.wait(delay_s):
            return
        self._call = self._open_stream(watch_request(self._name, self._plan, after_sequence))
        self._machine.opened(time.monotonic())

    def _read(self, timeout_s: float) -> list[Event]:
        if self._call is None:
            return []
        self._watchdog.arm(self._call, timeout_s)
        try:
            frame = self._call.__next__()
        except StopIteration:
            self._watchdog.disarm()
            self._machine.ended(time.monotonic())
            return []
        except grpc.RpcError as error:
            if self._watchdog.disarm():
                self._machine.silent(time.monotonic())
            elif not self._closed.is_set():
                self._machine.failed(error_of(error), time.monotonic())
            return []
        self._watchdog.disarm()
        return self._machine.received(frame, time.monotonic())

    def _tell_interruptions(self) -> None:
        pending, self._machine.interruptions = self._machine.interruptions, []
        for interruption in pending:
            if self._tell is not None:
                self._tell(interruption)
