"""A whole server in the process of a test, with its data in a folder of the test."""

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeVar

from jobplane.client import Client
from jobplane.engine.clock import Clock, SystemClock
from jobplane.engine.executors.port import Executor
from jobplane.engine.executors.processes import ProcessExecutor
from jobplane.engine.executors.settings import ExecutorSettings, ProcessSettings, ThreadSettings
from jobplane.engine.executors.threads import ThreadExecutor
from jobplane.engine.house import House
from jobplane.engine.kinds.base import Isolation
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.settings import EngineSettings
from jobplane.service.settings import ServiceSettings
from jobplane.service.system import ServerFacts
from jobplane.testing.faults import Faults
from jobplane.testing.faulty import FaultyServer

T = TypeVar("T")

PROJECT = "test"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 10.0
# A clock that a test moves by a day must not look like a worker that died.
LEASE_S = 10 * 365 * 86_400.0


class LocalServer:
    """A server on a free port of loopback: `with LocalServer(folder) as server`."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        faults: Faults | None = None,
        project: str = PROJECT,
    ) -> None:
        self.folder = folder
        self.project = project
        self.faults = faults or Faults()
        self.port = 0
        self._clock = clock or SystemClock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: FaultyServer | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Address of the server, for clients in any language."""
        return f"127.0.0.1:{self.port}"

    @property
    def client(self) -> Client:
        """A client of the server, closed with it."""
        if self._client is None:
            self._client = self.connect()
        return self._client

    def connect(self) -> Client:
        """Another client, for the caller to close."""
        return Client(self.address, project=self.project, tls=False)

    def start(self) -> None:
        """Return once the server takes calls; after a stop it has the same port and data."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="jobplane-server", daemon=True
        )
        self._thread.start()
        try:
            self._server = self._new_server()
            self.port = self._run(self._server.start(), within_s=START_WITHIN_S)
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Stop in good order and within a time limit; TimeoutError when that can't be kept."""
        if self._client is not None:
            self._client.close()
            self._client = None
        server, self._server = self._server, None
        if server is None:
            return
        try:
            self._run(server.stop(), within_s=STOP_WITHIN_S)
        finally:
            self._end_loop()

    def restart(self) -> None:
        """Stop and start over the same data: what was acknowledged is still there."""
        client, self._client = self._client, None
        self.stop()
        self.start()
        # The client is a test's own: it sees a server that was away.
        self._client = client

    def _new_server(self) -> FaultyServer:
        registry = Registry.discover()
        where = ExecutorSettings(
            threads=ThreadSettings(slots=8),
            # No process waits warm for a kind that the test may never run.
            processes=ProcessSettings(slots=2, warm_per_kind=0),
        )
        executors: dict[str, Executor] = {
            Isolation.THREAD.value: ThreadExecutor(registry, where),
            Isolation.PROCESS.value: ProcessExecutor(registry, where),
        }
        settings = EngineSettings(self.folder, lease_s=LEASE_S, feed_interval_s=0.2)
        house = House(settings, registry=registry, executors=executors, clock=self._clock)
        facts = ServerFacts(
            version=version("jobplane"),
            engine="local",
            store="sqlite",
            started_at=datetime.now(UTC),
        )
        service = ServiceSettings(port=self.port, dev=True, drain_s=0.2, grace_s=0.5)
        return FaultyServer(service, house, facts, self.faults)

    def _run(self, work: Coroutine[Any, Any, T], *, within_s: float) -> T:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def _end_loop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_WITHIN_S)
        if not thread.is_alive():
            loop.close()
