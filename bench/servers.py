"""Servers under measurement, each in a process of its own, gone with their context."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import grpc

from jobplane.v1 import event_pb2
from jobplane.v1 import job_service_pb2 as wire
from jobplane.v1 import job_service_pb2_grpc as stubs


@contextmanager
def bare_server() -> Iterator[str]:
    """The ceiling: the same messages over grpc.aio, and nothing behind it."""
    with _process([sys.executable, "-m", "bench.servers"], {}) as server:
        yield server


@contextmanager
def plane(folder: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The real server, quiet, on a folder."""
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    options = ["--data", folder, "--log-level", "WARNING"]
    with _process([*command, *options], environment or {}) as server:
        yield server


@contextmanager
def _process(command: list[str], environment: Mapping[str, str]) -> Iterator[str]:
    """A server that says its address in its first line."""
    with subprocess.Popen(  # noqa: S603  our own interpreter and words
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield line.split("grpc=")[1].split()[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


class Bare(stubs.JobServiceServicer):
    """Answers at once."""

    async def SubmitJob(self, request: object, context: object) -> wire.SubmitJobResponse:  # noqa: N802, ARG002
        """An empty answer."""
        return wire.SubmitJobResponse()

    async def WatchJob(  # noqa: N802
        self,
        request: wire.WatchJobRequest,
        context: object,  # noqa: ARG002
    ) -> AsyncIterator[wire.WatchJobResponse]:
        """As many frames as the cursor says, each of the size of one event."""
        event = event_pb2.JobEvent(job=f"projects/bench/jobs/{'0' * 36}", sequence=1, attempt=1)
        event.metric_reported.values["value"] = 1.0
        frame = wire.WatchJobResponse(cursor=1, events={"events": [event]})
        for _ in range(request.after_sequence):
            yield frame


async def serve_bare() -> None:
    """Serve the ceiling until the process is ended."""
    server = grpc.aio.server()
    stubs.add_JobServiceServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"bare grpc=127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve_bare())
