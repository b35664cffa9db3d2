"""The processes that read tables, as the server sees them."""

import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

import msgspec

from jobplane.engine.content.tables.shape import TableError
from jobplane.engine.content.tables.wire import LENGTH, Answer, Ask

_MODULE = "jobplane.engine.content.tables.worker"
_READ_BYTES = 1 << 20
_END_S = 5.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Answer).decode


class WorkersBusyError(Exception):
    """No process became free, or none answered, in time."""


class _Worker:
    """One process; it answers one request at a time."""

    def __init__(self, memory_bytes: int) -> None:
        # -P: nothing is imported from wherever the server was started.
        command = [sys.executable, "-P", "-m", _MODULE, str(memory_bytes)]
        self._process = subprocess.Popen(  # noqa: S603  our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "LC_ALL": "C.UTF-8",
                # Threads of libraries take address space, and bring nothing here.
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            start_new_session=True,
        )
        self.idle_since = time.monotonic()

    def ask(self, ask: Ask, *, ends_at: float) -> tuple[Answer, list[bytes]]:
        """The answer, and the rows of a page; TableError when the process died of it."""
        source, target = self._process.stdout, self._process.stdin
        assert source is not None
        assert target is not None
        body = _encode(ask)
        try:
            target.write(LENGTH.pack(len(body)) + body)
            target.flush()
            answer, rest = self._answer(source.fileno(), ends_at)
        except (BrokenPipeError, EOFError):
            raise TableError("reading it takes too much memory, or breaks its reader") from None
        self.idle_since = time.monotonic()
        return answer, list(_cut(rest, answer.lengths))

    def _answer(self, handle: int, ends_at: float) -> tuple[Answer, bytes]:
        buffer = bytearray()
        _fill(handle, buffer, LENGTH.size, ends_at)
        size = LENGTH.size + LENGTH.unpack(buffer[: LENGTH.size])[0]
        _fill(handle, buffer, size, ends_at)
        answer = _decode(bytes(buffer[LENGTH.size : size]))
        _fill(handle, buffer, size + sum(answer.lengths), ends_at)
        return answer, bytes(buffer[size:])

    def end(self) -> None:
        """End the process and reap it."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)


class Workers:
    """At most so many processes, started when they are needed. Calls block."""

    def __init__(self, *, limit: int, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._idle: list[_Worker] = []
        self._seats = threading.Semaphore(limit)
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, ask: Ask, *, timeout_s: float) -> tuple[Answer, list[bytes]]:
        """The answer of a process, and the rows of a page.

        TableError when the table broke it, WorkersBusyError when it took too long.
        """
        ends_at = time.monotonic() + timeout_s
        with self._worker(timeout_s) as worker:
            return worker.ask(ask, ends_at=ends_at)

    def rest(self, *, idle_s: float) -> None:
        """End the processes that nobody needed for a while, with all that they hold."""
        before = time.monotonic() - idle_s
        with self._lock:
            ending = [worker for worker in self._idle if worker.idle_since < before]
            self._idle = [worker for worker in self._idle if worker not in ending]
        for worker in ending:
            worker.end()

    def close(self) -> None:
        """End every process; those at work when they are done."""
        with self._lock:
            self._is_closed = True
            ending, self._idle = self._idle, []
        for worker in ending:
            worker.end()

    @contextmanager
    def _worker(self, timeout_s: float) -> Generator[_Worker]:
        if not self._seats.acquire(timeout=timeout_s):
            raise WorkersBusyError("every reader of tables is busy")
        try:
            worker = self._taken()
            try:
                yield worker
            except BaseException:
                # What it still has to say belongs to nobody.
                worker.end()
                raise
            self._back(worker)
        finally:
            self._seats.release()

    def _taken(self) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise WorkersBusyError("the server is stopping")
            # The last one used holds what was read last.
            if self._idle:
                return self._idle.pop()
        return _Worker(self._memory_bytes)

    def _back(self, worker: _Worker) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(worker)
                return
        worker.end()


def _fill(handle: int, buffer: bytearray, size: int, ends_at: float) -> None:
    """Read until the buffer has so many bytes."""
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while len(buffer) < size:
            if not selector.select(max(ends_at - time.monotonic(), 0)):
                raise WorkersBusyError("the table was not read in time")
            data = os.read(handle, _READ_BYTES)
            if not data:
                raise EOFError
            buffer += data


def _cut(rows: bytes, lengths: tuple[int, ...]) -> Iterator[bytes]:
    at = 0
    for length in lengths:
        yield rows[at : at + length]
        at += length
